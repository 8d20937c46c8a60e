// The service that sends webhooks, when it does not: what that means for the reader.
import { count, number, span } from "./format.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { note } from "./parts.js";
import { href } from "./route.js";
import { state } from "./store.js";

/** What waits for less is on its way, and no cause for concern. */
const WORTH_SAYING_MS = 10_000;

/** Whether webhooks are not being sent at present. */
export const isDown = () => state.service.gateway === "down";

/** How many wait; polls count only so far. */
const many = ({ deliveries, has_more: hasMore }) =>
  hasMore
    ? `More than ${number(deliveries)} deliveries wait`
    : count(deliveries, "delivery waits", "deliveries wait");

/** The note about it; nothing if webhooks are being sent. */
export function serviceNote() {
  const { waiting } = state.service;
  const age = waiting ? Date.now() - Date.parse(waiting.since) : 0;
  const waits = age >= WORTH_SAYING_MS;
  if (!isDown() && !waits) return nothing;
  const what = isDown()
    ? html`<strong>Webhooks are not being sent at the moment.</strong> The service that sends them does not answer.`
    : nothing;
  const how = waits
    ? html` ${many(waiting)} to be sent, the oldest for ${span(age)}${waiting.error ? ` (${waiting.error})` : ""}.`
    : nothing;
  return note(
    "waiting",
    html`${what}${how} Nothing is lost: it is sent by itself as soon as that works again.`,
    waiting
      ? html`<a class="button" href=${href("deliveries", undefined, { status: "pending" })}>Show what waits</a>`
      : nothing,
  );
}
