// One event: what happened, its state and why, and its deliveries.
import { path } from "./api.js";
import { deliveryList, openedNeeds } from "./delivery.js";
import { ENDPOINTS } from "./endpoints.js";
import { about, statePill } from "./events.js";
import { exact, relative } from "./format.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { copyButton, empty, facts, failed, loading, missing, note } from "./parts.js";
import { answer, failure, press } from "./store.js";
import { stateOf } from "./words.js";

/** How often the endpoints' names are read. */
const NAMES_MS = 30_000;

/** The paths that the view of this event needs. */
export const eventNeeds = (id) => [
  path("event", id),
  { path: ENDPOINTS, every: NAMES_MS },
  ...openedNeeds(),
];

const nameOf = (id) => answer(ENDPOINTS)?.data.find((one) => one.id === id)?.name ?? id;

const replay = (id) =>
  press(
    "POST",
    path("event", id, "replay"),
    undefined,
    () => "Queued: it is sent again with the same event id",
  );

function deliveries(event) {
  const { deliveries: list, deliveries_error: why } = event;
  return html`<section class="card" aria-labelledby="deliveries">
    <header class="cardhead"><h2 id="deliveries">Deliveries</h2></header>
    ${list === null ? note("bad", html`<strong>They cannot be shown right now.</strong> ${why}`) : nothing}
    ${list?.length === 0 ? empty("None yet", event.state === "pending" ? "The event has not been sent." : "No endpoint got it, or its delivery is still being created.") : nothing}
    ${list?.length ? deliveryList(list, (one) => nameOf(one.endpoint_id)) : nothing}
  </section>`;
}

/** The view. */
export function eventView(id) {
  const at = path("event", id);
  const event = answer(at);
  const error = failure(at);
  const back = html`<a class="back" href="#/events">‹ Events</a>`;
  if (!event && error?.status === 404) {
    return html`${back}${missing("There is no such event", "Finished events leave the log after a while; reads are never in it.", "#/events", "All events")}`;
  }
  if (!event)
    return html`${back}${error ? failed(error, "The event cannot be shown.") : loading()}`;
  const [tone, meaning] = stateOf(event);
  const waits =
    event.next_try_at && event.state === "pending"
      ? ` Next try ${relative(event.next_try_at)}.`
      : "";
  return html`
    ${back}
    <header class="head">
      <h1><span class="type" data-type=${event.type}>${event.type}</span> <span class="about">${about(event)}</span></h1>
      ${statePill(event)}
    </header>
    ${failed(error, "This may be out of date.")}
    ${note(tone, html`${event.error ? html`<strong>${event.error}.</strong> ` : nothing}${meaning}${waits}`)}
    <div class="actions">
      <button type="button" class=${event.state === "dead" ? "primary" : ""} ?disabled=${event.finished_at === null} @click=${() => replay(id)}>Replay</button>
      ${copyButton("Copy id", "the event's id", event.id)}
    </div>
    <section class="card padded" aria-label="About the event">
      ${facts([
        ["Event", html`<code>${event.id}</code>`],
        ["Sequence", event.sequence],
        [
          "Sent to",
          event.endpoint_id === null
            ? "all endpoints"
            : html`<a href="#/endpoint/${encodeURIComponent(event.endpoint_id)}">${nameOf(event.endpoint_id)}</a>`,
        ],
        ["Happened", exact(event.occurred_at)],
        ["Accepted", event.accepted_at && exact(event.accepted_at)],
        ["Finished", event.finished_at && exact(event.finished_at)],
        ["Failed tries", event.attempts || undefined],
        ["Replays", event.replays || undefined],
      ])}
      ${event.todo ? html`<pre class="code" tabindex="0" aria-label="The todo">${JSON.stringify(event.todo, null, 2)}</pre>` : nothing}
    </section>
    ${deliveries(event)}
  `;
}
