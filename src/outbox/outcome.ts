/** What the log records of a post, given the gateway's answer. */
import type { Posted } from "./gateway.ts";
import { PATIENCE_MS } from "./learn.ts";
import type { DeliveryRow } from "./rows.ts";
import type { Leased, Outcome } from "./settle-delivery.ts";

/** A delivery is dead after this many failures of its own, and when its event is this old: never through outages. */
export const MAX_OWN_FAILURES = 10;
export const MAX_AGE_MS = 72 * 3_600_000;
// The first wait after a failure; doubled each time, up to the longest.
const BACKOFF_MIN_MS = 60_000;
const BACKOFF_MAX_MS = 3_600_000;

/** An answer to a post that was sent. */
export type Answered = Exclude<Posted, { kind: "not sent" }>;

/** A delivery that was posted at `askedAt` (ms) while it was ours, and the answer. */
export type Attempted = Leased &
  Pick<DeliveryRow, "failures" | "own_failures"> & {
    occurred_at: number;
    askedAt: number;
    answer: Answered;
    /** Whether a failure is its own: something of another owner got through since it last failed. */
    isOwn: boolean;
  };

/**
 * What the log records.
 * @param unprovenWaitMs the wait before the next try if nothing is known to have got through: an outage must not be
 *   followed by an hour of waiting. Null: something got through, and a failure backs off.
 */
export function outcomeOf(
  attempted: Attempted,
  { now, unprovenWaitMs }: { now: number; unprovenWaitMs: number | null },
): Outcome {
  const { answer, askedAt } = attempted;
  const { event_seq, endpoint_id, key_version, lease } = attempted;
  const same = { event_seq, endpoint_id, key_version, lease, accepted_at: null, finished_at: null };
  if (answer.kind === "accepted") {
    const counts = { failures: 0, own_failures: 0, failed_at: null, error: null };
    return { ...same, ...counts, status: "sending", accepted_at: now, due_at: now + PATIENCE_MS };
  }
  const { error } = answer;
  // A failure in an outage makes no later wait longer.
  const failures = attempted.failures + (unprovenWaitMs === null ? 1 : 0);
  const isOwn = attempted.isOwn && answer.kind === "failed" && !answer.throttled;
  const own_failures = attempted.own_failures + (isOwn ? 1 : 0);
  const failed = { ...same, failures, own_failures, failed_at: askedAt, error };
  const isOld = now - attempted.occurred_at >= MAX_AGE_MS;
  if (answer.kind === "too large" || (isOwn && own_failures >= MAX_OWN_FAILURES && isOld)) {
    return { ...failed, status: "dead", finished_at: now, due_at: null };
  }
  return { ...failed, status: "pending", due_at: now + (unprovenWaitMs ?? backoffMs(failures)) };
}

/** The endpoints of which the gateway said that it has none: no proof, but to be looked at. */
export function doubtedAmong(attempted: Attempted[]): string[] {
  const doubted = attempted.filter(({ answer }) => answer.kind === "unknown endpoint");
  return [...new Set(doubted.map(({ endpoint_id }) => endpoint_id))];
}

/** The wait after `failures` failures: doubled each time, with jitter so that a backlog does not come all at once. */
export function backoffMs(failures: number): number {
  const full = Math.min(BACKOFF_MIN_MS * 2 ** (failures - 1), BACKOFF_MAX_MS);
  // Rounded: the log's columns take no fractions.
  return Math.round(full / 2 + Math.random() * (full / 2));
}
