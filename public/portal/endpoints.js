// All endpoints: what each is, whether its deliveries arrive, and what waits for it.
import { openDialog } from "./dialog.js";
import { count, number, span } from "./format.js";
import { repeat } from "./lit-html/directives/repeat.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { choice, empty, failed, loading, note, pill } from "./parts.js";
import {
  ENDPOINTS,
  endpoints,
  enterEndpoints,
  needNames,
  refreshEndpoints,
  tallyEndpoints,
} from "./records.js";
import { href, refined } from "./route.js";
import { serviceNote } from "./service.js";
import { failure, load } from "./store.js";
import { endpointPill, isFailing } from "./words.js";

const needsCare = (one) =>
  one.status === "disabled" || one.status === "missing"
    ? 0
    : isFailing(one)
      ? 1
      : one.status === "paused"
        ? 3
        : 2;

const byName = (a, b) => a.name.localeCompare(b.name, "en") || (a.id < b.id ? -1 : 1);

const ORDERS = {
  "": ["what needs care", (a, b) => needsCare(a) - needsCare(b) || byName(a, b)],
  name: ["name", byName],
  newest: ["newest first", (a, b) => (a.created_at < b.created_at ? 1 : -1)],
  held: ["most held", (a, b) => (b.held ?? 0) - (a.held ?? 0) || byName(a, b)],
};

const plain = (text) => text.replace(/\.$/, "");

const matches = ({ id, name, url, description }, text) =>
  `${name}\n${url}\n${description}\n${id}`.toLowerCase().includes(text.trim().toLowerCase());

/** In a few words what a list of endpoints has to say about one. */
export function brief(endpoint) {
  const { failing_since: since, failing_error: why, held = 0, pending, error } = endpoint;
  const parts = [
    isFailing(endpoint) &&
      `failing for ${span(Math.max(0, Date.now() - Date.parse(since)))}${why ? `: ${plain(why)}` : ""}`,
    pending && `a change is not in force yet${error ? `: ${plain(error)}` : ""}`,
    held > 0 && `${count(held, "delivery waits", "deliveries wait")}`,
  ];
  return parts.filter(Boolean).join("; ");
}

function line(endpoint) {
  const [tone, word] = endpointPill(endpoint);
  const words = brief(endpoint);
  return html`<li class="entry">
    <a class="row endpoint" id="row-${endpoint.id}" href=${href("endpoint", endpoint.id)}>
      <span class="main">
        <strong>${endpoint.name}</strong>
        <span class="url">${endpoint.url}</span>
        ${words ? html`<span class="answer wrap" data-tone=${isFailing(endpoint) ? "bad" : "waiting"}>${words}</span>` : nothing}
      </span>
      ${pill(tone, word)}
    </a>
  </li>`;
}

function search(route) {
  const { query } = route;
  const set = (patch) => {
    const to = refined(route, patch);
    if (to === undefined) return;
    // Without an entry in the history for each letter.
    history.replaceState(null, "", to);
    dispatchEvent(new HashChangeEvent("hashchange"));
  };
  return html`<div class="filters" role="search">
    <label>Search <input type="search" autocomplete="off" spellcheck="false" .value=${query.q ?? ""} @input=${(event) => set({ q: event.target.value })}></label>
    ${choice(
      "Sort by",
      query.sort ?? "",
      Object.entries(ORDERS).map(([value, [label]]) => [value, label]),
      (sort) => set({ sort }),
    )}
  </div>`;
}

function tally() {
  const { all, failing } = tallyEndpoints();
  return failing === 0
    ? nothing
    : note(
        "bad",
        html`<strong>${number(failing)} of ${number(all)} failing.</strong> Their receivers do not accept what is sent.`,
        html`<a class="button" href=${href("deliveries", undefined, { status: "failed" })}>Failed deliveries</a>`,
      );
}

/** The page of all endpoints. */
export const endpointsView = {
  title: "Endpoints",
  tab: "endpoints",
  open() {
    needNames();
    enterEndpoints();
  },
  asks: () => ({ onNews: ({ failingChanged }) => refreshEndpoints(failingChanged) }),
  draw(route) {
    const all = endpoints();
    const { q = "", sort = "" } = route.query;
    const [, order] = ORDERS[sort] ?? ORDERS[""];
    const shown = (all ?? []).filter((one) => matches(one, q)).sort(order);
    const add = html`<button type="button" class="primary" @click=${() => openDialog("create", { all: true })}>Add endpoint</button>`;
    return html`
      <header class="head"><h1>Endpoints</h1>${all?.length ? add : nothing}</header>
      ${serviceNote()}
      ${tally()}
      ${failed(failure(ENDPOINTS), "The endpoints cannot be shown.", () => void load(ENDPOINTS))}
      ${all || failure(ENDPOINTS) ? nothing : loading()}
      ${all?.length > 1 ? search(route) : nothing}
      ${
        all?.length === 0
          ? empty(
              "No endpoints yet",
              "An endpoint is one of your URLs. It gets a POST with a signed JSON body for everything that happens.",
              add,
            )
          : nothing
      }
      ${all?.length > 0 && shown.length === 0 ? empty("No matching endpoint", "None has this in its name, URL, description or id.") : nothing}
      <ul class="list card" ?hidden=${shown.length === 0}>${repeat(shown, ({ id }) => id, line)}</ul>
    `;
  },
};
