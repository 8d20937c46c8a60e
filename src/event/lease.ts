/** Who works on which row until when, and the result. A row is ours while `due_at` is our lease. */
import { all } from "../storage.ts";
import type { EventRow } from "./table.ts";

/** What rows are claimed for: to be posted, to be put into KV, or to be looked up at Convoy. */
export type Work = "post" | "project" | "look-up";

/**
 * As in index event_due: the fewest failures first; after them, rows whose endpoint Convoy does not
 * know, however many there are; last, the rows that KV may lack and that need no post.
 */
export const RANK = "iif(event.state = 'pending', event.attempts + 1000 * event.missing, 1000000)";
const IN_DUE = "(event.state = 'pending' OR event.stored = 0)";

// The existing ranks, smallest first: one step of the index for each.
const RANKS = `WITH RECURSIVE ranks (rank) AS (
    SELECT min(${RANK}) FROM event WHERE ${IN_DUE}
    UNION ALL
    SELECT (SELECT min(${RANK}) FROM event WHERE ${IN_DUE} AND ${RANK} > ranks.rank)
    FROM ranks WHERE ranks.rank IS NOT NULL
  )`;

/** SELECT of all rows that KV may lack, in each rank the due ones first. Served by event_due. */
export const UNSTORED = `${RANKS} SELECT event.seq FROM ranks CROSS JOIN event
  ON ${IN_DUE} AND ${RANK} = ranks.rank AND event.stored = 0`;

/**
 * SELECT of the due rows for each kind of work; `?1` is the time. Exported for the agenda and for
 * EXPLAIN in a test.
 */
export const DUE: Record<Work, string> = {
  // Served by event_due, rank by rank: CROSS JOIN keeps their order.
  post: `${RANKS} SELECT event.seq FROM ranks
    CROSS JOIN (SELECT 0 AS value UNION ALL SELECT 1 UNION ALL SELECT NULL) AS stored
    CROSS JOIN event ON event.state = 'pending' AND ${RANK} = ranks.rank
      AND event.stored IS stored.value AND event.due_at <= ?1 WHERE ranks.rank < 1000000`,
  project: `${UNSTORED} AND event.due_at <= ?1`,
  "look-up": `SELECT seq FROM event WHERE state = 'accepted' AND stored IS NOT 0
    AND due_at IS NOT NULL AND due_at <= ?1 ORDER BY due_at`,
};

/** Claims up to `limit` rows that are due at `until` (ms), until `lease` (ms). @throws StorageError */
export async function claim(
  db: D1Database,
  work: Work,
  { until, lease, limit }: { until: number; lease: number; limit: number },
): Promise<EventRow[]> {
  const rows = await all<EventRow>(
    db,
    `UPDATE event SET due_at = ?2 WHERE seq IN (SELECT seq FROM (${DUE[work]} LIMIT ?3)) RETURNING *`,
    ...[until, lease, limit],
  );
  // RETURNING guarantees no order.
  return rows.sort((a, b) => byFailures(a, b) || a.seq - b.seq);
}

/** Sorts rows as they are ranked: fewest failures first, those with a missing endpoint last. */
export function byFailures(a: EventRow, b: EventRow): number {
  return a.missing - b.missing || a.attempts - b.attempts;
}

/** The outcome of a post or a look-up: the columns that change. */
export type Outcome = Pick<
  EventRow,
  | "state"
  | "attempts"
  | "own_failures"
  | "failed_at"
  | "missing"
  | "replays"
  | "lookups"
  | "stranded"
  | "error"
  | "accepted_at"
  | "due_at"
>;

/** The result for a row that was ours until `lease`. */
export type Result = {
  seq: number;
  lease: number;
  /** Null: nothing happened at Convoy. */
  outcome: Outcome | null;
  /** The version of the todo that was put into KV; null: none. */
  put: number | null;
  /** When it is due again if KV still lacks the todo; the lease itself keeps it ours. */
  unstoredDueAt: number;
  /** When it is due again if it is stored, but still pending without an outcome. */
  pendingDueAt: number;
};

/** The result for a row that was ours and had nothing put into KV; what it still needs is due at `now`. */
export function resultOf(
  { row, lease }: { row: Pick<EventRow, "seq">; lease: number },
  outcome: Outcome | null,
  now: number,
): Result {
  return { seq: row.seq, lease, outcome, put: null, unstoredDueAt: now, pendingDueAt: now };
}

/** The row in the log after `record`. */
export type Recorded = Pick<EventRow, "seq" | "stored" | "state" | "due_at">;

// One statement both checks after the put and settles the row:
// - stored: what was put is the todo's last change. Another worker's row must not be marked, since its
//   late put can still land on top: hence the lease.
// - confirmed or dead: the walk has meanwhile seen it at Convoy. A later result of a post does not
//   undo that.
// - a row that KV lacks stays due; one that Convoy is done with is finished once KV has it.
const RECORD = `
UPDATE event SET stored = r.stored, due_at = r.due_at, finished_at = iif(r.due_at IS NULL, ?2, NULL),
  state = iif(r.new IS NULL, event.state, r.new ->> 'state'),
  attempts = iif(r.new IS NULL, event.attempts, r.new ->> 'attempts'),
  own_failures = iif(r.new IS NULL, event.own_failures, r.new ->> 'own_failures'),
  failed_at = iif(r.new IS NULL, event.failed_at, r.new ->> 'failed_at'),
  missing = iif(r.new IS NULL, event.missing, r.new ->> 'missing'),
  replays = iif(r.new IS NULL, event.replays, r.new ->> 'replays'),
  lookups = iif(r.new IS NULL, event.lookups, r.new ->> 'lookups'),
  stranded = iif(r.new IS NULL, event.stranded, r.new ->> 'stranded'),
  error = iif(r.new IS NULL, event.error, r.new ->> 'error'),
  accepted_at = iif(r.new IS NULL, event.accepted_at, r.new ->> 'accepted_at')
FROM (
  SELECT seq, stored, new, CASE
    WHEN stored = 0 THEN unstored_due_at
    WHEN new IS NOT NULL THEN new ->> 'due_at'
    WHEN state = 'pending' THEN pending_due_at
    WHEN state = 'accepted' THEN accepted_at + ?3
    END AS due_at
  FROM (
    SELECT e.seq, e.state, e.accepted_at,
      j.value ->> 'unstoredDueAt' AS unstored_due_at, j.value ->> 'pendingDueAt' AS pending_due_at,
      iif(e.state IN ('confirmed', 'dead') OR j.value -> 'outcome' = 'null', NULL, j.value -> 'outcome') AS new,
      iif(e.stored = 0 AND j.value ->> 'put' >= (SELECT max(seq) FROM event AS later
        WHERE later.owner = e.owner AND later.todo_id = e.todo_id
          AND later.type NOT IN ('ping', 'failed')), 1, e.stored) AS stored
    FROM json_each(?1) AS j
    JOIN event AS e ON e.seq = j.value ->> 'seq' AND e.due_at = j.value ->> 'lease'
  )
) AS r
WHERE event.seq = r.seq RETURNING seq, stored, state, due_at`;

/**
 * Records the results of rows that are still ours, in one statement.
 * @param patienceMs how long after its acceptance a row is looked up; null: never
 * @returns the rows that were ours
 * @throws StorageError
 */
export async function record(
  db: D1Database,
  results: Result[],
  { now, patienceMs }: { now: number; patienceMs: number | null },
): Promise<Recorded[]> {
  if (results.length === 0) return [];
  return all<Recorded>(db, RECORD, JSON.stringify(results), now, patienceMs);
}

/** A todo's last change in the log. */
export type LatestChange = Pick<EventRow, "seq" | "owner" | "todo"> & { todo_id: number };

/** The last change of each of these todos. @throws StorageError */
export function latestOf(
  db: D1Database,
  todos: { owner: string; todo_id: number }[],
): Promise<LatestChange[]> {
  // Served by index event_todo, once for each todo.
  return all<LatestChange>(
    db,
    `SELECT event.seq, event.owner, event.todo_id, event.todo FROM json_each(?1) AS wanted
     JOIN event ON event.seq = (SELECT max(seq) FROM event WHERE owner = wanted.value ->> 'owner'
       AND todo_id = wanted.value ->> 'todo_id' AND type NOT IN ('ping', 'failed'))`,
    JSON.stringify(todos),
  );
}
