// What waits to be sent, since when and why; and what was given up.
import { count, span } from "./format.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { note } from "./parts.js";
import { answer } from "./store.js";

/** Where the owner's backlog is. */
export const SUMMARY = "/event/summary";
/** An event that is younger is on its way, and no reason to worry anybody. */
const WORTH_SAYING_MS = 5_000;

/** The note about it; nothing where all is on its way. */
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
            html`<strong>${count(pending, "event waits", "events wait")} to be sent</strong>, ${pending === 1 ? "for" : "the oldest for"}
              ${span(oldest)}. ${reasons.length > 0 ? html`${reasons.join("; ")}. ` : nothing}${pending === 1 ? "It is" : "They are"} tried again by ${pending === 1 ? "itself" : "themselves"}.`,
            html`<a class="button" href="#/events/pending">Show ${pending === 1 ? "it" : "them"}</a>`,
          )
        : nothing
    }
    ${
      dead > 0
        ? note(
            "bad",
            html`<strong>${count(dead, "event was", "events were")} given up.</strong> Nothing is lost: replay
              ${dead === 1 ? "it" : "them"} once the cause is mended.`,
            html`<a class="button" href="#/events/dead">Show ${dead === 1 ? "it" : "them"}</a>`,
          )
        : nothing
    }
  `;
}
