/** What Convoy's answer means for an event (docs/design.md, section 5). */
import type { Convoy, Failure } from "../convoy/client.ts";
import { isEndpointMissing } from "../convoy/endpoints.ts";
import { postEvent } from "../convoy/events.ts";
import { shownReason } from "../convoy/reasons.ts";
import { isKnownEndpoint } from "../endpoint/table.ts";
import { type Source, toConvoyEvent } from "./message.ts";

/** accepted: Convoy said 2xx. dead: it never will be. failed: not the event's fault, as far as one can tell. */
export type Outcome =
  | { kind: "accepted" }
  | { kind: "dead"; error: string }
  | { kind: "failed"; error: string; retryAfterMs: number | null };

/** Posts an event once and says what the answer means. Never throws. */
export async function attempt(convoy: Convoy, db: D1Database, source: Source): Promise<Outcome> {
  const answer = await postEvent(convoy, toConvoyEvent(source));
  if (answer.ok) return { kind: "accepted" };
  const error = shownReason(answer);
  if (answer.status === 413) return { kind: "dead", error };
  if (isEndpointMissing(answer) && answer.status === 400) {
    return endpointMissing(db, source, answer, error);
  }
  return { kind: "failed", error, retryAfterMs: answer.retryAfterMs };
}

// Final only where D1 has no record of it any more: with one, the key or the project is wrong.
async function endpointMissing(
  db: D1Database,
  source: Source,
  answer: Failure,
  error: string,
): Promise<Outcome> {
  try {
    if (source.endpoint_id && !(await isKnownEndpoint(db, source.endpoint_id))) {
      return { kind: "dead", error };
    }
  } catch {
    // The database does not answer: not known to be final.
  }
  return {
    kind: "failed",
    error: `${error}, but it is on record here: wrong CONVOY_API_KEY or CONVOY_PROJECT_ID?`,
    retryAfterMs: answer.retryAfterMs,
  };
}
