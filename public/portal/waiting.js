// What is waiting to be sent, since when and why; and what was given up.
import { count, span } from "./format.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { note } from "./parts.js";
import { answer } from "./store.js";

/** The path of the owner's backlog. */
export const SUMMARY = "/event/summary";
/** A younger event is on its way, and no cause for concern. */
const WORTH_SAYING_MS = 5_000;

/** The note about it; nothing if everything is on its way. */
export function backlog() {
  const { pending = 0, oldest_pending_ms: oldest, errors = [], dead = 0 } = answer(SUMMARY) ?? {};
  const waits = pending > 0 && (oldest ?? 0) >= WORTH_SAYING_MS;
  const reasons = errors.map(({ error, events }) =>
    pending === 1 ? error : `${error} (${count(events, "event")})`,
  );
  return html`
    ${
      waits
        ? note(
            "waiting",
            html`<strong>${count(pending, "event is waiting", "events are waiting")} to be sent</strong>, ${pending === 1 ? "for" : "the oldest for"}
              ${span(oldest)}. ${reasons.length > 0 ? html`${reasons.join("; ")}. ` : nothing}${pending === 1 ? "It is" : "They are"} retried automatically.`,
            html`<a class="button" href="#/events/pending">Show ${pending === 1 ? "it" : "them"}</a>`,
          )
        : nothing
    }
    ${
      dead > 0
        ? note(
            "bad",
            html`<strong>${count(dead, "event was", "events were")} given up.</strong> Nothing is lost: replay
              ${dead === 1 ? "it" : "them"} once the cause is fixed.`,
            html`<a class="button" href="#/events/dead">Show ${dead === 1 ? "it" : "them"}</a>`,
          )
        : nothing
    }
  `;
}
