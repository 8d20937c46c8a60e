// Deliveries, over all endpoints or of one: newest first, with filters that live in the address.
import { count, exact, relative, upcoming } from "./format.js";
import { listOf, readOlder, showNews, shownOf } from "./lists.js";
import { repeat } from "./lit-html/directives/repeat.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { choice, empty, failed, loading, pill } from "./parts.js";
import { endpoints, nameOf, needNames, types } from "./records.js";
import { openResend } from "./resend.js";
import { href, refined } from "./route.js";
import { serviceNote } from "./service.js";
import { DELIVERY_STATUSES, isFinal, lastAnswer, meaningOf, toneOf } from "./words.js";

const TIMES = [
  ["", "any time"],
  ["1h", "last hour"],
  ["24h", "last 24 hours"],
  ["7d", "last 7 days"],
  ["between", "between …"],
];

/** What a delivery is about: its resource's title, or what a ping is called. */
export const titleOf = ({ title, event_type: type }) => title ?? (type === "ping" ? "Ping" : type);

/** A delivery's status as a pill that explains it. */
export const statusPill = (delivery) =>
  pill(toneOf(delivery.status), delivery.status, meaningOf(delivery));

function tries(delivery) {
  const { attempts, next_try_at: next, status } = delivery;
  if (status === "held") return nothing;
  const made = attempts > 0 ? count(attempts, "try", "tries") : "";
  // Of one that has not been posted yet it is only a lease.
  const isDue = next && (status === "sending" || (status === "pending" && delivery.error));
  const due = isDue ? `next ${upcoming(next)}` : "";
  return [made, due].filter(Boolean).join(", ");
}

function line(delivery, query, isOfOne) {
  const { id, event_type: type, endpoint_id: endpointId, created_at: at } = delivery;
  const answer = lastAnswer(delivery);
  return html`<li class="entry">
    <a class="row delivery" id="row-${id}" href=${href("delivery", id, { from: new URLSearchParams(query).toString() })}>
      ${statusPill(delivery)}
      <span class="main"><span class="about">${titleOf(delivery)}</span><span class="soft"><span class="type" data-type=${type}>${type}</span>${isOfOne ? nothing : html` <span class="to"><span class="hidden">to </span>${nameOf(endpointId)}</span>`}</span></span>
      <span class="answer" data-tone=${isFinal(delivery) ? toneOf(delivery.status) : "waiting"}>${answer}</span>
      <span class="soft tries">${tries(delivery)}</span>
      <time class="soft time" datetime=${at} title=${exact(at)}>${relative(at)}</time>
    </a>
  </li>`;
}

/** The bar that says what is new in a list; its place is kept, so that nothing moves when it appears. */
export function newsBar(list, [one, many]) {
  const { news, isMore } = list;
  const number = `${isMore ? "more than " : ""}${news.length} new ${news.length === 1 ? one : many}`;
  return html`<div class="news" role="status">${
    news.length > 0
      ? html`<button type="button" class="quiet" @click=${() => showNews(list)}>Show ${number}</button>`
      : html`<span class="soft">Newest first</span>`
  }</div>`;
}

/** The button below a list that has older rows. */
export function olderButton(list) {
  if (list.cursor === undefined || !list.isRead) return nothing;
  const label = list.ids.length === 0 ? "Look further back" : "Show older";
  return html`<div class="older">
    <button type="button" aria-disabled=${list.busy ? "true" : nothing} @click=${() => void readOlder(list)}>${list.busy ? "Looking …" : label}</button>
  </div>`;
}

/** A list of deliveries; `none` is shown if there are none. */
export function deliveryList(list, { query, isOfOne = false, none }) {
  const shown = shownOf(list);
  return html`
    ${newsBar(list, ["delivery", "deliveries"])}
    ${failed(list.error, "The deliveries cannot be shown.", () => void readOlder(list))}
    ${list.isRead || list.error ? nothing : loading()}
    ${list.isRead && shown.length === 0 ? none : nothing}
    <ol class="list" ?hidden=${shown.length === 0}>
      ${repeat(
        shown,
        ({ id }) => id,
        (one) => line(one, query, isOfOne),
      )}
    </ol>
    ${olderButton(list)}`;
}

const filter = (route, patch) => {
  const to = refined(route, patch);
  if (to !== undefined) location.hash = to;
};

// What datetime-local takes and gives: the time here, without a zone.
const toLocal = (iso) => {
  const at = new Date(iso);
  return Number.isNaN(at.getTime())
    ? ""
    : new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
};

function moment(label, name, route) {
  const set = ({ target: { value } }) =>
    filter(route, { [name]: value === "" ? "" : new Date(value).toISOString() });
  return html`<label>${label} <input type="datetime-local" .value=${toLocal(route.query[name] ?? "")} @change=${set}></label>`;
}

/** The filters of a view, which change its address. */
export function filters(route, { hasEndpoint = true } = {}) {
  const { view, id, query } = route;
  const { status = "", endpoint = "", type = "", since = "", until = "" } = query;
  const set = (patch) => filter(route, patch);
  const isBetween = until !== "" || /\d{4}-/.test(since);
  const between = { since: new Date(Date.now() - 3_600_000).toISOString(), until: "" };
  const known = types() ?? [];
  const unknown = type && !known.some((one) => one.type === type) ? [[type, type]] : [];
  return html`<div class="filters" role="group" aria-label="Filters">
    ${choice(
      "Status",
      status,
      [["", "all"], ...DELIVERY_STATUSES.map((one) => [one, one])],
      (value) => set({ status: value }),
    )}
    ${hasEndpoint ? choice("Endpoint", endpoint, endpointOptions(endpoint), (value) => set({ endpoint: value })) : nothing}
    ${choice("Type", type, [["", "all"], ...unknown, ...known.map((one) => [one.type, one.type])], (value) => set({ type: value }))}
    ${choice("Time", isBetween ? "between" : since, TIMES, (value) => set(value === "between" ? between : { since: value, until: "" }))}
    ${isBetween ? html`${moment("from", "since", route)}${moment("to", "until", route)}` : nothing}
    ${status || endpoint || type || since || until ? html`<a class="all" href=${href(view, id)}>Show all</a>` : nothing}
  </div>`;
}

/** Endpoints to choose from, and the chosen one even if it is gone. */
export function endpointOptions(chosen) {
  const all = (endpoints() ?? []).map(({ id, name }) => [id, name]);
  const gone = chosen && !all.some(([id]) => id === chosen) ? [[chosen, chosen]] : [];
  return [["", "all"], ...gone, ...all];
}

const isFiltered = ({ query }) => Object.values(query).some(Boolean);

function none(route) {
  if (isFiltered(route)) {
    return empty(
      "No matching deliveries",
      "None of what was looked at has this status, endpoint, type and time.",
      html`<a class="button" href=${href("deliveries")}>Show all deliveries</a>`,
    );
  }
  const none = endpoints()?.length === 0;
  return empty(
    "Nothing has been sent yet",
    none
      ? "Add an endpoint first: one of your URLs. It gets a POST with a signed JSON body for everything that happens."
      : "A delivery is one event for one of your endpoints. Send a test event to one of them: it appears here.",
    html`<a class="button" href=${href("endpoints")}>Endpoints</a>`,
  );
}

/** The page of all deliveries. */
export const deliveriesView = {
  title: "Deliveries",
  tab: "deliveries",
  open: needNames,
  asks: ({ query }) => ({ list: listOf(query) }),
  draw(route) {
    const { query } = route;
    const list = listOf(query);
    return html`
      <header class="head">
        <h1>Deliveries</h1>
        <button type="button" @click=${() => openResend(query)}>Resend failed …</button>
      </header>
      ${serviceNote()}
      ${filters(route)}
      <section class="card" aria-label="Deliveries">${deliveryList(list, { query, none: none(route) })}</section>
    `;
  },
};
