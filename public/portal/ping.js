// Sends a ping and follows it until it arrives.
import { path } from "./api.js";
import { detailPath, outcome } from "./delivery.js";
import { between, count, relative } from "./format.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { note } from "./parts.js";
import { answer, failure, press, state } from "./store.js";

const eventPath = (eventId) => path("event", eventId);

/** Sends a ping and watches it from then on. */
export async function ping(id) {
  const sent = await press("POST", path("endpoint", id, "ping"), undefined, () => "Ping sent");
  if (sent) state.pings.set(id, sent.event_id);
}

const deliveryOf = (id, event) => event?.deliveries?.find((one) => one.endpoint_id === id);

/** The paths needed to watch an endpoint's ping; none once it has ended. */
export function pingNeeds(id) {
  const eventId = state.pings.get(id);
  if (eventId === undefined) return [];
  const event = answer(eventPath(eventId));
  const delivery = deliveryOf(id, event);
  const attempts = delivery?.attempts > 0 ? [detailPath(delivery)] : [];
  const known = attempts.map(answer).find((one) => one?.attempts_made.length === delivery.attempts);
  const ended = ["Success", "Failure"].includes(delivery?.status) || event?.state === "dead";
  return ended && (known || attempts.length === 0) ? [] : [eventPath(eventId), ...attempts];
}

function words(id, eventId) {
  const event = answer(eventPath(eventId));
  if (!event) return ["waiting", failure(eventPath(eventId))?.message ?? "On its way …"];
  if (event.state === "dead") return ["bad", `Given up: ${event.error}`];
  if (event.state === "pending") {
    return [
      "waiting",
      event.error ? `Not sent yet: ${event.error}. It is retried automatically.` : "On its way …",
    ];
  }
  if (event.deliveries === null)
    return ["waiting", `Sent; it is not known whether it arrived: ${event.deliveries_error}`];
  const delivery = deliveryOf(id, event);
  if (!delivery) return ["waiting", "Sent; waiting for its delivery …"];
  const last = answer(detailPath(delivery))?.attempts_made.at(-1);
  const said = last
    ? `${outcome(last)} after ${between(last.requested_at, last.responded_at)}`
    : "";
  switch (delivery.status) {
    case "Success":
      return ["good", `Arrived.${said ? ` The receiver answered ${said}.` : ""}`];
    case "Failure":
      return [
        "bad",
        `Failed after ${count(delivery.attempts, "attempt")}.${said ? ` The last one: ${said}.` : ""}`,
      ];
    case "Discarded":
      return ["waiting", "Held back until the endpoint is active again."];
    default:
      if (delivery.attempts === 0) return ["waiting", "On its way to the receiver …"];
      return [
        "waiting",
        `Not accepted${said ? `: ${said}` : ""}. Next try ${relative(delivery.next_attempt_at)}.`,
      ];
  }
}

/** The state of an endpoint's last ping; nothing if none was sent. */
export function pingNote(id) {
  const eventId = state.pings.get(id);
  if (eventId === undefined) return nothing;
  const [tone, text] = words(id, eventId);
  return html`<div role="status" class="ping">
    ${note(tone, html`<strong>Ping</strong> ${text}`, html`<a class="button" href="#/event/${encodeURIComponent(eventId)}">Show the event</a>`)}
  </div>`;
}
