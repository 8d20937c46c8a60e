// One delivery in a list: its line and, unfolded, its attempts with the receiver's answers.
import { path } from "./api.js";
import { between, count, exact, relative, tone } from "./format.js";
import { repeat } from "./lit-html/directives/repeat.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { copyButton, facts, failed, loading, pill, when } from "./parts.js";
import { answer, change, failure, look, press, state } from "./store.js";

/** The path of one delivery with its attempts. */
export const detailPath = ({ endpoint_id, id }) => path("endpoint", endpoint_id, "delivery", id);

/** The paths that the unfolded delivery needs. */
export const openedNeeds = () => (state.opened ? [detailPath(state.opened)] : []);

/** A delivery's key is its event's id, followed by `:n` after replays. */
const eventIdOf = ({ idempotency_key }) => idempotency_key.split(":")[0];

/** Unfolds a delivery, or folds it again. */
export function toggle(delivery) {
  change({ opened: state.opened?.id === delivery.id ? undefined : delivery });
  void look();
}

/** Unfolds a delivery and scrolls it into view. */
export function open(delivery) {
  change({ opened: delivery });
  void look();
  document.getElementById(`delivery-${delivery.id}`)?.scrollIntoView({ block: "nearest" });
}

const sendAgain = (delivery) =>
  press(
    "POST",
    path("event", eventIdOf(delivery), "replay"),
    undefined,
    () => "Queued: it is sent again with the same event id",
  );

/** A receiver's answer, or why there was none. */
export function outcome({ http_status, error }) {
  return http_status || error || "no answer";
}

function attempt(one, index) {
  const good = /^2/.test(one.http_status);
  return html`<li class="attempt">
    <p>
      <span class="number">${index + 1}</span>
      <span class="outcome" data-tone=${good ? "good" : "bad"}>${outcome(one)}</span>
      <span class="soft">${exact(one.requested_at)}, ${between(one.requested_at, one.responded_at)}</span>
    </p>
    ${one.error && one.http_status ? html`<p class="reason">${one.error}</p>` : nothing}
    ${one.response ? html`<pre class="code" tabindex="0" aria-label="Body of the answer">${one.response}</pre>` : nothing}
  </li>`;
}

function detail(delivery) {
  const at = detailPath(delivery);
  const known = answer(at);
  const attempts = known?.attempts_made ?? [];
  return html`<div class="unfolded">
    <div class="actions">
      <button type="button" @click=${() => sendAgain(delivery)}>Send again</button>
      <a class="button" href="#/event/${encodeURIComponent(eventIdOf(delivery))}">Show the event</a>
      ${copyButton("Copy id", "the delivery's id", delivery.id)}
    </div>
    ${facts([
      ["Delivery", html`<code>${delivery.id}</code>`],
      ["Idempotency key", html`<code>${delivery.idempotency_key}</code>`],
      ["Created", exact(delivery.created_at)],
      ["Next try", delivery.next_attempt_at && exact(delivery.next_attempt_at)],
    ])}
    <h3>Attempts</h3>
    ${failed(failure(at), "The attempts cannot be shown.")}
    ${known || failure(at) ? nothing : loading()}
    ${known && attempts.length === 0 ? html`<p class="soft">None yet.</p>` : nothing}
    <ol class="attempts">${attempts.map(attempt).reverse()}</ol>
  </div>`;
}

function line(delivery, named) {
  const opened = state.opened?.id === delivery.id;
  const next = delivery.next_attempt_at;
  return html`<li id="delivery-${delivery.id}" class="entry">
    <button type="button" class="row delivery" aria-expanded=${opened} @click=${() => toggle(delivery)}>
      ${pill(tone(delivery.status), delivery.status)}
      <span class="main">
        <span>${named ? named(delivery) : html`<span class="type" data-type=${delivery.event_type}>${delivery.event_type}</span> <code class="soft">${delivery.idempotency_key}</code>`}</span>
      </span>
      <span class="soft tries">
        ${delivery.attempts > 0 ? `${count(delivery.attempts, "attempt")} of ${delivery.max_attempts}` : "not tried yet"}${next && delivery.attempts > 0 ? html`, next ${relative(next)}` : nothing}
      </span>
      <span class="soft time">${when(delivery.created_at)}</span>
    </button>
    ${opened ? detail(delivery) : nothing}
  </li>`;
}

/** A list of deliveries; `named` labels each line instead of its event type and key. */
export const deliveryList = (deliveries, named) =>
  html`<ol class="list">${repeat(
    deliveries,
    (one) => one.id,
    (one) => line(one, named),
  )}</ol>`;
