// One endpoint: how it does, what can be done about it, and its deliveries.
import { path } from "./api.js";
import { deliveryList, filters } from "./deliveries.js";
import { openDialog } from "./dialog.js";
import { count, exact, took } from "./format.js";
import { COUNTED, deliveryOf, listOf, shownOf } from "./lists.js";
import { html, nothing } from "./lit-html/lit-html.js";
import {
  copyButton,
  empty,
  facts,
  failed,
  loading,
  missing,
  note,
  pill,
  section,
} from "./parts.js";
import { picture } from "./picture.js";
import {
  ENDPOINTS,
  endpointOf,
  endpoints,
  enterEndpoints,
  needNames,
  refreshEndpoints,
  types,
} from "./records.js";
import { openResend } from "./resend.js";
import { href } from "./route.js";
import { serviceNote } from "./service.js";
import { answer, failure, followTest, load, press, state } from "./store.js";
import { endpointPill, isFinal, meaningOf, notesOf, outcome, toneOf } from "./words.js";

const move = (id, to, words) => () => press("POST", path("endpoint", id, to), undefined, words);

async function ping(id) {
  const sent = await press("POST", path("endpoint", id, "ping"), undefined, () => "Ping sent");
  if (sent) followTest(id, sent, "Ping");
}

function actions(endpoint) {
  const { id, name, status } = endpoint;
  const activated = ({ pending, endpoint: record }) =>
    pending || record?.pending ? `${name} will be active soon` : `${name} is active`;
  return html`<div class="actions">
    <button type="button" class="primary" @click=${() => void ping(id)}>Send a ping</button>
    <button type="button" @click=${() => openDialog("test", { endpoint, type: types()?.[0]?.type ?? "ping" })}>Send a test event …</button>
    ${status === "active" ? html`<button type="button" @click=${move(id, "pause", () => `${name} is paused`)}>Pause</button>` : nothing}
    ${status === "paused" || status === "disabled" ? html`<button type="button" @click=${move(id, "activate", activated)}>Activate</button>` : nothing}
    <button type="button" @click=${() => openResend({ endpoint: id })}>Resend failed …</button>
    <button type="button" @click=${() => openDialog("edit", { endpoint, all: endpoint.event_types === null })}>Edit</button>
    <button type="button" @click=${() => openDialog("rotate", { endpoint })}>Rotate secret</button>
    <button type="button" class="danger" @click=${() => openDialog("remove", { endpoint })}>Remove</button>
  </div>`;
}

/** What became of the last ping or test event. */
function testNote(endpointId) {
  const test = state.tests.get(endpointId);
  if (!test) return nothing;
  const delivery = deliveryOf(test.id);
  const last = answer(path("delivery", test.id))?.attempts_made?.at(-1);
  const said = last
    ? ` The receiver answered ${outcome(last)}${last.took_ms === null ? "" : ` after ${took(last.took_ms)}`}.`
    : "";
  return html`<div role="status" class="test">
    ${note(
      delivery ? toneOf(delivery.status) : "waiting",
      html`<strong>${test.name}</strong> ${delivery ? meaningOf(delivery) : "On its way."}${delivery?.status === "delivered" ? said : nothing}`,
      html`<a class="button" href=${href("delivery", test.id, { from: `view=endpoint&id=${encodeURIComponent(endpointId)}` })}>Show it</a>`,
    )}
  </div>`;
}

/** Reads the answer to the last test once there is one. */
function readTest(endpointId) {
  const test = state.tests.get(endpointId);
  const delivery = test && deliveryOf(test.id);
  const at = delivery && path("delivery", test.id);
  if (delivery && isFinal(delivery) && !answer(at) && !failure(at)) void load(at);
}

const limitWords = ({ requests, per_s: seconds }) =>
  `${count(requests, "request")} in ${count(seconds, "second")}`;

function about(endpoint) {
  const {
    url,
    description,
    http_timeout: timeout,
    event_types: taken,
    header_names: names,
    rate_limit: limit,
  } = endpoint;
  return html`<section class="card padded" aria-label="About the endpoint">
    ${facts([
      ["URL", html`<code>${url}</code> ${copyButton("Copy", "the URL", url)}`],
      ["Description", description],
      ["Event types", taken ? taken.join(", ") : "all"],
      ["Timeout", `${timeout} s for an answer`],
      [
        "Header",
        names?.length
          ? html`<code>${names.join(", ")}</code> <span class="soft">value hidden</span>`
          : "",
      ],
      ["Rate limit", limit ? limitWords(limit) : ""],
      ["Added", exact(endpoint.created_at)],
      [
        "Id",
        html`<code>${endpoint.id}</code> ${copyButton("Copy", "the endpoint's id", endpoint.id)}`,
      ],
    ])}
  </section>`;
}

const filterOf = ({ id, query }) => ({ ...query, endpoint: id });

function deliveries(route) {
  const { id, query } = route;
  const all = listOf({ endpoint: id });
  const list = listOf(filterOf(route));
  const known = [...all.news.map(deliveryOf), ...shownOf(all)];
  const counted = known.filter(({ status }) => status !== "held").slice(0, COUNTED);
  const open = (delivery) => {
    location.hash = href("delivery", delivery.id, {
      from: `view=endpoint&id=${encodeURIComponent(id)}`,
    });
  };
  const isFiltered = Object.values(query).some(Boolean);
  const none = isFiltered
    ? empty("No matching deliveries", "None of what was looked at has this status, type and time.")
    : empty(
        "Nothing has been sent here yet",
        "Send a ping: it appears here within seconds, with the receiver's answer.",
      );
  return section(
    "deliveries",
    "Deliveries",
    html`${counted.length > 0 ? picture(counted, COUNTED, open) : nothing}
      <div class="inset">${filters(route, { hasEndpoint: false })}</div>
      ${deliveryList(list, { query: { ...query, view: "endpoint", id }, isOfOne: true, none })}`,
  );
}

/** The view. */
export const endpointView = {
  title: "Endpoint",
  tab: "endpoints",
  open() {
    needNames();
    enterEndpoints();
  },
  asks(route) {
    const test = deliveryOf(state.tests.get(route.id)?.id);
    return {
      list: listOf(filterOf(route)),
      watched: test && !isFinal(test) ? [test] : [],
      onNews({ failingChanged }) {
        refreshEndpoints(failingChanged);
        readTest(route.id);
      },
    };
  },
  draw(route) {
    const { id } = route;
    const endpoint = endpointOf(id);
    const error = failure(ENDPOINTS);
    const back = html`<a class="back" href=${href("endpoints")}>‹ Endpoints</a>`;
    if (!endpoint) {
      if (endpoints()) {
        return html`${back}${missing("There is no such endpoint", "It may have been removed or belong to someone else.", href("endpoints"), "All endpoints")}`;
      }
      return html`${back}${error ? failed(error, "The endpoint cannot be shown.", () => void load(ENDPOINTS)) : loading()}`;
    }
    const [tone, word] = endpointPill(endpoint);
    return html`
      ${back}
      <header class="head"><h1>${endpoint.name}</h1>${pill(tone, word)}</header>
      ${serviceNote()}
      ${failed(error, "This may be out of date.", () => void load(ENDPOINTS))}
      ${notesOf(endpoint).map(([noteTone, text]) => note(noteTone, text))}
      ${actions(endpoint)}
      ${testNote(id)}
      ${about(endpoint)}
      ${deliveries(route)}
    `;
  },
};
