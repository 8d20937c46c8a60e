/** What is recorded of deliveries that were posted, or could not be: only of rows that are still ours. */
import type { Statement } from "../storage.ts";
import type { DeliveryRow } from "./rows.ts";

/** A delivery that is ours: pending, and due when our lease ends. */
export type Leased = Pick<DeliveryRow, "event_seq" | "endpoint_id" | "key_version"> & {
  lease: number;
};

/** What came of a post: the columns that change. */
export type Outcome = Leased &
  Pick<
    DeliveryRow,
    | "status"
    | "failures"
    | "own_failures"
    | "failed_at"
    | "error"
    | "accepted_at"
    | "finished_at"
    | "due_at"
  >;

/** A row in the log after it was recorded. */
export type Settled = Pick<DeliveryRow, "event_seq" | "endpoint_id" | "status" | "due_at">;

// The walk may have seen it at the gateway meanwhile, its endpoint may have been removed, it may have got its next key,
// or another worker may have it: then it is no longer ours, and its status stays.
const OURS = `
FROM json_each(?1) AS o WHERE delivery.event_seq = o.value ->> 'event_seq'
  AND delivery.endpoint_id = o.value ->> 'endpoint_id' AND delivery.key_version = o.value ->> 'key_version'
  AND delivery.due_at = o.value ->> 'lease' AND delivery.status = 'pending'
RETURNING event_seq, endpoint_id, status, due_at`;

/** Exported for EXPLAIN in a test. */
export const RECORD = `
UPDATE delivery SET status = o.value ->> 'status', failures = o.value ->> 'failures',
  own_failures = o.value ->> 'own_failures', failed_at = o.value ->> 'failed_at', error = o.value ->> 'error',
  accepted_at = o.value ->> 'accepted_at', finished_at = o.value ->> 'finished_at', due_at = o.value ->> 'due_at'
${OURS}`;

/** The statement that records what came of posts. It returns the rows that were still ours, as `Settled`. */
export function recordStatement(outcomes: Outcome[]): Statement {
  return [RECORD, JSON.stringify(outcomes)];
}

/** The statement that makes rows that were not tried due again, unchanged. */
export function handBackStatement(rows: Leased[], dueAt: number): Statement {
  const leases = rows.map(({ event_seq, endpoint_id, key_version, lease }) => {
    return { event_seq, endpoint_id, key_version, lease };
  });
  return [`UPDATE delivery SET due_at = ?2 ${OURS}`, JSON.stringify(leases), dueAt];
}
