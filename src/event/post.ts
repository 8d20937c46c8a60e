/** One post of an event to Convoy: what the response means, and what the log records. */
import { BACKOFF_MAX_MS, BACKOFF_MIN_MS, type DeliverySettings } from "../config.ts";
import type { Convoy } from "../convoy/client.ts";
import { shownReason } from "../convoy/client.ts";
import { isEndpointMissing } from "../convoy/endpoints.ts";
import { postEvent } from "../convoy/events.ts";
import { markMissing } from "../endpoint/table.ts";
import type { Outcome } from "./lease.ts";
import { type Source, toConvoyEvent } from "./message.ts";
import type { EventRow } from "./table.ts";

/**
 * What Convoy's response means. accepted: 2xx. refused: it never will be. missing: Convoy knows no such
 * endpoint, which says nothing about other events. failed: no one's fault, as far as we know.
 */
export type Answer =
  | { kind: "accepted" }
  | { kind: "refused"; error: string }
  | { kind: "missing"; error: string }
  | { kind: "failed"; error: string; retryAfterMs: number | null };

/** Posts an event once. Never throws. */
export async function post(convoy: Convoy, source: Source): Promise<Answer> {
  const answer = await postEvent(convoy, toConvoyEvent(source));
  if (answer.ok) return { kind: "accepted" };
  const error = shownReason(answer);
  if (answer.status === 413) return { kind: "refused", error };
  // For an event that names no endpoint, this means nothing.
  const named = source.endpoint_id !== null;
  if (named && answer.status === 400 && isEndpointMissing(answer))
    return { kind: "missing", error };
  return { kind: "failed", error, retryAfterMs: answer.retryAfterMs };
}

/**
 * An event that was posted at `askedAt` (ms), and the result. `othersGotThrough`: since it last failed;
 * then a failure is its own.
 */
export type Posted = { row: EventRow; answer: Answer; askedAt: number; othersGotThrough: boolean };

/**
 * What the log records about events that were posted. Endpoints that Convoy does not know become
 * `missing`; an event for one that has no record either is dead. Every failure backs off, but an event
 * dies only through failures while others got through, and only when it is old: never through outages.
 * @param unprovenWaitMs if nothing got through: the wait before the next try, however often it failed. An
 *   outage must not be followed by an hour of waiting.
 * @throws StorageError
 */
export async function outcomesOf(
  db: D1Database,
  posted: Posted[],
  settings: DeliverySettings,
  { now, unprovenWaitMs }: { now: number; unprovenWaitMs: number | null },
): Promise<Outcome[]> {
  const unknown = posted.flatMap(({ row, answer }) =>
    answer.kind === "missing" && row.endpoint_id !== null ? [row.endpoint_id] : [],
  );
  const known = unknown.length > 0 ? await markMissing(db, unknown, now) : new Set<string>();
  const outcomes: Outcome[] = [];
  for (const { row, answer, askedAt, othersGotThrough } of posted) {
    const missing = answer.kind === "missing" ? (1 as const) : (0 as const);
    const same = { ...untouched(row, now), missing, accepted_at: null };
    if (answer.kind === "accepted") {
      const due_at = settings.audit ? now + settings.audit.patienceMs : null;
      outcomes.push({ ...same, state: "accepted", error: null, accepted_at: now, due_at });
      continue;
    }
    const { error } = answer;
    const gone = answer.kind === "missing" && !known.has(row.endpoint_id ?? "");
    if (answer.kind === "refused" || gone) {
      outcomes.push({ ...same, state: "dead", error, due_at: null });
      continue;
    }
    const tries = row.attempts + 1;
    const own = row.own_failures + (othersGotThrough ? 1 : 0);
    const old = now - row.occurred_at >= settings.maxAgeMs;
    const dead = othersGotThrough && own >= settings.maxTries && old;
    const failed = answer.kind === "failed";
    const wait = (failed ? unprovenWaitMs : null) ?? backoff(tries);
    const asked = failed ? (answer.retryAfterMs ?? 0) : 0;
    const hint = answer.kind === "missing" ? MISSING_HINT : "";
    outcomes.push({
      ...same,
      attempts: tries,
      own_failures: own,
      failed_at: askedAt,
      error: `${error}${hint}`,
      ...(dead
        ? { state: "dead", due_at: null }
        : { state: "pending", due_at: now + Math.max(wait, asked) }),
    });
  }
  return outcomes;
}

const MISSING_HINT =
  ", but it is on record here: deleted at Convoy, or a wrong CONVOY_API_KEY or CONVOY_PROJECT_ID?";

/** Wait before try `tries` + 1: doubled each time, with jitter so that a backlog does not come all at once. */
export function backoff(tries: number): number {
  const full = Math.min(BACKOFF_MIN_MS * 2 ** (tries - 1), BACKOFF_MAX_MS);
  // Rounded: the log's columns take no fractions.
  return Math.round(full / 2 + Math.random() * (full / 2));
}

/** The row's columns unchanged, but due at `dueAt`: it was not tried. */
export function untouched(row: EventRow, dueAt: number): Outcome {
  const { state, attempts, own_failures, failed_at, missing, replays, lookups, stranded } = row;
  const counts = { attempts, own_failures, failed_at, missing, replays, lookups, stranded };
  return { state, ...counts, error: row.error, accepted_at: row.accepted_at, due_at: dueAt };
}
