/** What becomes of deliveries that are leased, and how it is recorded: only of rows that are still ours. */
import type { Statement } from "../storage.ts";
import type { Posted } from "./gateway.ts";
import { PATIENCE_MS } from "./learn.ts";
import type { DeliveryRow } from "./rows.ts";

/** A delivery that is ours until its `due_at`, and the columns that change. */
export type Outcome = { ours: DeliveryRow; to: Partial<DeliveryRow> };

/** An answer to a post that was sent. */
export type Answered = Exclude<Posted, { kind: "not sent" }>;

/** A delivery that was posted at `askedAt` (ms) while it was ours, and the answer. */
export type Attempted = {
  ours: DeliveryRow;
  occurredAt: number;
  askedAt: number;
  answer: Answered;
};

/** A delivery is dead after this many failures of its own, and when its event is this old: never through outages. */
export const MAX_OWN_FAILURES = 10;
export const MAX_AGE_MS = 72 * 3_600_000;
// The first wait after a failure; doubled each time, up to the longest.
const BACKOFF_MIN_MS = 60_000;
const BACKOFF_MAX_MS = 3_600_000;

/**
 * What came of a post.
 * @param seen `isOwn`: whether a failure is its own, since something of another owner got through since it last failed.
 *   `unprovenWaitMs`: the wait before the next try if nothing is known to have got through: an outage must not be
 *   followed by an hour of waiting. Null: something got through, and a failure backs off.
 */
export function outcomeOf(
  { ours, occurredAt, askedAt, answer }: Attempted,
  seen: { now: number; isOwn: boolean; unprovenWaitMs: number | null },
): Outcome {
  const { now, unprovenWaitMs } = seen;
  if (answer.kind === "accepted") {
    const counts = { failures: 0, own_failures: 0, failed_at: null, error: null };
    const due_at = now + PATIENCE_MS;
    return { ours, to: { ...counts, status: "sending", accepted_at: now, due_at } };
  }
  // A failure in an outage makes no later wait longer.
  const failures = ours.failures + (unprovenWaitMs === null ? 1 : 0);
  const isOwn = seen.isOwn && answer.kind === "failed" && !answer.throttled;
  const own_failures = ours.own_failures + (isOwn ? 1 : 0);
  const failed = { failures, own_failures, failed_at: askedAt, error: answer.error };
  const isOld = now - occurredAt >= MAX_AGE_MS;
  if (answer.kind === "too large" || (isOwn && own_failures >= MAX_OWN_FAILURES && isOld)) {
    return { ours, to: { ...failed, status: "dead", finished_at: now, due_at: null } };
  }
  return { ours, to: { ...failed, due_at: now + (unprovenWaitMs ?? backoffMs(failures)) } };
}

/** Of deliveries that were not tried: due again, unchanged. */
export function handedBack(deliveries: DeliveryRow[], now: number): Outcome[] {
  return deliveries.map((ours) => ({ ours, to: { due_at: now } }));
}

/** The endpoints of which the gateway said that it has none: no proof, but to be looked at. */
export function doubtedAmong(attempted: Attempted[]): string[] {
  const doubted = attempted.filter(({ answer }) => answer.kind === "unknown endpoint");
  return [...new Set(doubted.map(({ ours }) => ours.endpoint_id))];
}

/** The wait after `failures` failures: doubled each time, with jitter so that a backlog does not come all at once. */
export function backoffMs(failures: number): number {
  const full = Math.min(BACKOFF_MIN_MS * 2 ** (failures - 1), BACKOFF_MAX_MS);
  // Rounded: the log's columns take no fractions.
  return Math.round(full / 2 + Math.random() * (full / 2));
}

const RECORDED = [
  ...["status", "key_version", "failures", "own_failures", "failed_at", "looks", "stuck"],
  ...["attempts", "error", "accepted_at", "finished_at", "due_at"],
] as (keyof DeliveryRow)[];

// The walk may have seen it at the gateway meanwhile, its endpoint may have been removed, it may have got its next key,
// or another worker may have it: then it is no longer ours, and its status stays.
const RECORD = `
UPDATE delivery SET ${RECORDED.map((column) => `${column} = o.value ->> '${column}'`).join(", ")}
FROM json_each(?1) AS o WHERE delivery.event_seq = o.value ->> 'event_seq'
  AND delivery.endpoint_id = o.value ->> 'endpoint_id' AND delivery.key_version = o.value ->> 'version'
  AND delivery.due_at = o.value ->> 'lease' AND delivery.status = o.value ->> 'was'
RETURNING event_seq, endpoint_id, status, due_at`;

/** The statement that records what became of deliveries. It returns the rows that were still ours. */
export function recordStatement(outcomes: Outcome[]): Statement {
  const rows = outcomes.map(({ ours, to }) => {
    const { event_seq, endpoint_id, key_version: version, due_at: lease, status: was } = ours;
    const recorded = RECORDED.map((column) => [column, { ...ours, ...to }[column]]);
    return { ...Object.fromEntries(recorded), event_seq, endpoint_id, version, lease, was };
  });
  return [RECORD, JSON.stringify(rows)];
}
