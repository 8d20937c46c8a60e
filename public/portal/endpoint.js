// One endpoint: its actions and its deliveries.
import { path } from "./api.js";
import { deliveryList, open, openedNeeds } from "./delivery.js";
import { exact } from "./format.js";
import { openEdit, openRemove, openRotate } from "./forms.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { copyButton, empty, facts, failed, loading, missing, note, pill, turner } from "./parts.js";
import { picture } from "./picture.js";
import { ping, pingNeeds, pingNote } from "./ping.js";
import { answer, change, failure, look, press, state } from "./store.js";
import { STATUSES, trouble } from "./words.js";

/** Deliveries on a page, which are also those in the picture. */
const PAGE = 100;

const pagesOf = (id) => state.pages.get(id) ?? [];

function deliveriesPath(id) {
  const cursor = pagesOf(id).at(-1);
  const from = cursor === undefined ? "" : `&cursor=${encodeURIComponent(cursor)}`;
  return `${path("endpoint", id, "delivery")}?limit=${PAGE}${from}`;
}

/** The paths that the view of this endpoint needs. */
export const endpointNeeds = (id) => [
  path("endpoint", id),
  deliveriesPath(id),
  ...openedNeeds(),
  ...pingNeeds(id),
];

function actions(endpoint) {
  const { id, name, status } = endpoint;
  const move = (to, words) => () => press("POST", path("endpoint", id, to), undefined, () => words);
  return html`<div class="actions">
    <button type="button" class="primary" @click=${() => ping(id)}>Send a ping</button>
    ${
      status === "active" || status === "pausing"
        ? html`<button type="button" ?disabled=${status !== "active"} @click=${move("pause", `${name} is paused`)}>Pause</button>`
        : nothing
    }
    ${
      ["paused", "inactive", "activating"].includes(status)
        ? html`<button type="button" ?disabled=${status === "activating"} @click=${move("activate", `${name} is active`)}>Activate</button>`
        : nothing
    }
    <button type="button" @click=${() => openEdit(endpoint)}>Edit</button>
    <button type="button" @click=${() => openRotate(endpoint)}>Rotate secret</button>
    <button type="button" class="danger" @click=${() => openRemove(endpoint)}>Remove</button>
  </div>`;
}

function deliveries(endpoint) {
  const at = deliveriesPath(endpoint.id);
  const known = answer(at);
  const pages = pagesOf(endpoint.id);
  const turn = (to) => {
    state.pages.set(endpoint.id, to);
    change({ opened: undefined, pointed: undefined });
    void look();
  };
  return html`<section class="card" aria-labelledby="deliveries">
    <header class="cardhead"><h2 id="deliveries">Deliveries</h2></header>
    ${failed(failure(at), "The deliveries cannot be shown right now.")}
    ${known || failure(at) ? nothing : loading()}
    ${
      known?.data.length === 0
        ? empty(
            "Nothing has been sent here yet",
            "Send a ping: it appears here within seconds, with the receiver's answer.",
          )
        : nothing
    }
    ${known?.data.length ? html`${picture(known.data, PAGE, open)}${deliveryList(known.data)}` : nothing}
    ${turner(pages, known?.cursor, turn)}
  </section>`;
}

/** The view. */
export function endpointView(id) {
  const at = path("endpoint", id);
  const endpoint = answer(at);
  const error = failure(at);
  const back = html`<a class="back" href="#/">‹ Endpoints</a>`;
  if (!endpoint && error?.status === 404) {
    return html`${back}${missing("There is no such endpoint", "It may have been removed or belong to someone else.", "#/", "All endpoints")}`;
  }
  if (!endpoint)
    return html`${back}${error ? failed(error, "The endpoint cannot be shown.") : loading()}`;
  const wrong = trouble(endpoint, answer(deliveriesPath(id))?.data);
  return html`
    ${back}
    <header class="head">
      <h1>${endpoint.name}</h1>
      ${pill(STATUSES[endpoint.status]?.[0] ?? "off", endpoint.status)}
    </header>
    ${failed(error, "This may be out of date.")}
    ${wrong ? note(wrong.tone, wrong.text) : nothing}
    ${actions(endpoint)}
    ${pingNote(id)}
    <section class="card padded" aria-label="About the endpoint">
      ${facts([
        ["URL", html`<code>${endpoint.url}</code> ${copyButton("Copy", "the URL", endpoint.url)}`],
        ["Description", endpoint.description],
        ["Timeout", `${endpoint.http_timeout} s for an answer`],
        ["Added", exact(endpoint.created_at)],
        [
          "Id",
          html`<code>${endpoint.id}</code> ${copyButton("Copy", "the endpoint's id", endpoint.id)}`,
        ],
      ])}
    </section>
    ${deliveries(endpoint)}
  `;
}
