// All endpoints: what each is, how it is doing, and how its last deliveries went.
import { path } from "./api.js";
import { openCreate } from "./forms.js";
import { repeat } from "./lit-html/directives/repeat.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { empty, failed, loading, pill } from "./parts.js";
import { bars } from "./picture.js";
import { answer, failure } from "./store.js";
import { backlog, SUMMARY } from "./waiting.js";
import { STATUSES, tally, trouble } from "./words.js";

/** The path of all endpoints: an owner has at most this many. */
export const ENDPOINTS = "/endpoint?limit=1000";
/** Deliveries in the picture of a line. */
const PICTURED = 30;
/** How often an endpoint's deliveries are read while the list is shown. */
const PICTURE_MS = 15_000;

const picturePath = (id) => `${path("endpoint", id, "delivery")}?limit=${PICTURED}`;

/** The paths that the list needs. */
export const endpointsNeeds = () => [
  ENDPOINTS,
  SUMMARY,
  ...(answer(ENDPOINTS)?.data ?? []).map(({ id }) => ({
    path: picturePath(id),
    every: PICTURE_MS,
  })),
];

function line(endpoint) {
  const deliveries = answer(picturePath(endpoint.id))?.data ?? [];
  const wrong = trouble(endpoint, deliveries);
  const { all, good } = tally(deliveries);
  return html`<li class="entry">
    <a class="row endpoint" href="#/endpoint/${encodeURIComponent(endpoint.id)}">
      <span class="main">
        <strong>${endpoint.name}</strong>
        <span class="url">${endpoint.url}</span>
        ${wrong ? html`<span class="wrong" data-tone=${wrong.tone}>${wrong.text}</span>` : nothing}
      </span>
      <span class="health">
        ${all > 0 ? html`${bars(deliveries, PICTURED)}<span class="soft">${Math.floor((good / all) * 100)} %</span>` : html`<span class="soft">nothing sent yet</span>`}
      </span>
      ${pill(STATUSES[endpoint.status]?.[0] ?? "off", endpoint.status)}
    </a>
  </li>`;
}

/** The view. */
export function endpointsView() {
  const known = answer(ENDPOINTS);
  const add = html`<button type="button" class="primary" @click=${openCreate}>Add endpoint</button>`;
  return html`
    <header class="head"><h1>Endpoints</h1>${known?.data.length ? add : nothing}</header>
    ${backlog()}
    ${failed(failure(ENDPOINTS), "The endpoints cannot be shown.")}
    ${known || failure(ENDPOINTS) ? nothing : loading()}
    ${
      known?.data.length === 0
        ? empty(
            "No endpoints yet",
            "An endpoint is one of your URLs. It gets a POST with a signed JSON body for everything that happens.",
            add,
          )
        : nothing
    }
    <ul class="list card" ?hidden=${!known?.data.length}>
      ${repeat(known?.data ?? [], ({ id }) => id, line)}
    </ul>
  `;
}
