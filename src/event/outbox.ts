/** The log as an outbox: who works on which row until when, and what became of it. */

import { onD1 } from "../storage.ts";
import type { EventState, LoggedType } from "./schema.ts";

/** A row of the log that somebody works on; ours as long as `due_at` in the table is `lease`. */
export type OutboxRow = {
  seq: number;
  id: string;
  owner: string;
  type: LoggedType;
  endpoint_id: string | null;
  occurred_at: number;
  todo_id: number | null;
  todo: string | null;
  stored: 0 | 1 | null;
  state: EventState;
  attempts: number;
  replays: number;
  error: string | null;
  accepted_at: number | null;
  lease: number;
};

const ROW = `seq, id, owner, type, endpoint_id, occurred_at, todo_id, todo, stored, state, attempts,
  replays, error, accepted_at, due_at AS lease`;

/** The work a claim is for: everything undone, only what KV lacks, or what Convoy may have forgotten. */
export type Work = "publish" | "project" | "audit";

// Terms written as in the partial indexes event_due and event_audit, so that they serve these.
const WORK: Record<Work, string> = {
  publish: "(state = 'pending' OR stored = 0)",
  project: "(state = 'pending' OR stored = 0) AND stored = 0",
  audit: "state = 'accepted' AND stored IS NOT 0",
};

/** The claim statement. Exported for EXPLAIN in a test. */
export function claimStatement(work: Work): string {
  return `UPDATE event SET due_at = ?2 WHERE seq IN (
    SELECT seq FROM event WHERE due_at <= ?1 AND due_at IS NOT NULL AND ${WORK[work]}
    ORDER BY due_at, seq LIMIT ?3) RETURNING ${ROW}`;
}

/** Takes up to `limit` due rows until `lease`, oldest first. @throws StorageError */
export async function claim(
  db: D1Database,
  work: Work,
  when: { now: number; lease: number; limit: number },
): Promise<OutboxRow[]> {
  const { results } = await onD1(() =>
    db.prepare(claimStatement(work)).bind(when.now, when.lease, when.limit).all<OutboxRow>(),
  );
  return results.sort((a, b) => a.seq - b.seq); // RETURNING has no order of its own
}

/** What became of a row that was worked on. */
export type Settlement = {
  seq: number;
  lease: number;
  state: EventState;
  attempts: number;
  replays: number;
  error: string | null;
  accepted_at: number | null;
  /** When it is due again: a pending event's next try, an accepted one's audit. Null: nothing left to do. */
  due_at: number | null;
};

/**
 * Records what became of rows, where we still hold them; a row whose todo KV lacks stays due, at
 * `unstoredDueAt` or before.
 * @returns the settled seqs: others were taken over when our lease ran out
 * @throws StorageError
 */
export async function settle(
  db: D1Database,
  settlements: Settlement[],
  when: { now: number; unstoredDueAt: number },
): Promise<number[]> {
  if (settlements.length === 0) return [];
  const { results } = await onD1(() =>
    db
      .prepare(
        `UPDATE event SET state = s.state, attempts = s.attempts, replays = s.replays,
           error = s.error, accepted_at = s.accepted_at,
           due_at = iif(stored = 0, min(coalesce(s.due_at, ?3), ?3), s.due_at),
           finished_at = iif(s.due_at IS NULL AND stored IS NOT 0, ?2, NULL)
         FROM (SELECT value ->> 'seq' AS seq, value ->> 'lease' AS lease, value ->> 'state' AS state,
             value ->> 'attempts' AS attempts, value ->> 'replays' AS replays,
             value ->> 'error' AS error, value ->> 'accepted_at' AS accepted_at,
             value ->> 'due_at' AS due_at FROM json_each(?1)) AS s
         WHERE event.seq = s.seq AND event.due_at = s.lease RETURNING event.seq`,
      )
      .bind(JSON.stringify(settlements), when.now, when.unstoredDueAt)
      .all<{ seq: number }>(),
  );
  return results.map((row) => row.seq);
}

/** A todo's last word in the log. */
export type Latest = {
  seq: number;
  owner: string;
  todo_id: number;
  todo: string | null;
};

/** The latest change of each of these todos. @throws StorageError */
export async function latestOf(
  db: D1Database,
  todos: { owner: string; todo_id: number }[],
): Promise<Latest[]> {
  // Served by index event_todo, once for each todo.
  const { results } = await onD1(() =>
    db
      .prepare(
        `SELECT event.seq, event.owner, event.todo_id, event.todo FROM json_each(?1) AS wanted
         JOIN event ON event.seq = (SELECT max(seq) FROM event WHERE owner = wanted.value ->> 'owner'
           AND todo_id = wanted.value ->> 'todo_id' AND stored IS NOT NULL)`,
      )
      .bind(JSON.stringify(todos))
      .all<Latest>(),
  );
  return results;
}

/** A row of ours whose todo was just put into KV as version `put`. */
export type Projected = { seq: number; lease: number; put: number };

/**
 * The check after the put: marks rows as stored that we hold and whose todo has no later change than
 * the one put. Marking somebody else's row would be unsound: their late put can still land on top.
 * A row that Convoy is done with is finished by it: whoever dies after this, no claim would find it again.
 * @returns the seqs marked
 * @throws StorageError
 */
export async function markStored(
  db: D1Database,
  rows: Projected[],
  now: number,
): Promise<number[]> {
  const { results } = await onD1(() =>
    db
      .prepare(
        `UPDATE event SET stored = 1,
           due_at = iif(state IN ('confirmed', 'dead'), NULL, due_at),
           finished_at = iif(state IN ('confirmed', 'dead'), ?2, finished_at)
         FROM (SELECT value ->> 'seq' AS seq, value ->> 'lease' AS lease, value ->> 'put' AS put
           FROM json_each(?1)) AS p
         WHERE event.seq = p.seq AND event.due_at = p.lease AND event.stored = 0
           AND NOT EXISTS (SELECT 1 FROM event AS later WHERE later.owner = event.owner
             AND later.todo_id = event.todo_id AND later.stored IS NOT NULL AND later.seq > p.put)
         RETURNING event.seq`,
      )
      .bind(JSON.stringify(rows), now)
      .all<{ seq: number }>(),
  );
  return results.map((row) => row.seq);
}

/** Gives all pending events time until `until`: Convoy asked for it (Retry-After). @throws StorageError */
export async function postponePending(db: D1Database, now: number, until: number): Promise<void> {
  await onD1(() =>
    db
      .prepare(
        `UPDATE event SET due_at = ?2 WHERE due_at <= ?1 AND due_at IS NOT NULL
         AND (state = 'pending' OR stored = 0) AND stored IS NOT 0`,
      )
      .bind(now, until)
      .run(),
  );
}
