/** The commit point: one statement writes the event and is the commit of the change (docs/design.md, 3). */
import { COMMIT_ROUNDS, LEASE_MS } from "../config.ts";
import { first, type Statement, StorageError, whileLost } from "../storage.ts";
import type { EventRow } from "./table.ts";

/** A change to commit. `known`: the todo as KV has it, possibly stale, or null. `patch`: RFC 7396. */
export type Change = {
  id: string;
  owner: string;
  type: "created" | "updated" | "deleted";
  todoId: number;
  patch: object;
  endpointId: string | null;
  known: string | null;
  now: number;
};

/** The outcome of a change. `row`: the event that was written, which is ours until its `due_at`. */
export type CommitResult =
  | { kind: "committed"; row: EventRow }
  | { kind: "exists" }
  | { kind: "endpoint-not-found" }
  /** With a row if the caller named an endpoint of its own: a `failed` event. */
  | { kind: "todo-not-found"; row: EventRow | null }
  | { kind: "busy" }
  /** The connection to D1 was lost and stayed lost: it may or may not have been committed. */
  | { kind: "unknown" };

// The latest row wins over KV's answer, which may be stale. Served by index event_todo.
const CURRENT = `
WITH latest AS (
  SELECT type, todo FROM event
  WHERE owner = ?2 AND todo_id = ?3 AND type NOT IN ('ping', 'failed') ORDER BY seq DESC LIMIT 1
), current AS (
  SELECT CASE WHEN EXISTS (SELECT 1 FROM latest)
    THEN (SELECT iif(type = 'deleted', NULL, todo) FROM latest) ELSE ?4 END AS todo
)`;
const ENDPOINT_IS_OWNERS =
  "EXISTS (SELECT 1 FROM endpoint WHERE id = ?5 AND owner = ?2 AND status <> 'creating')";

/** Checks, merges and logs the change in D1's single-writer order. Exported for EXPLAIN in a test. */
export const COMMIT = `${CURRENT}
INSERT INTO event (id, owner, todo_id, endpoint_id, occurred_at, due_at, type, todo, stored)
SELECT ?1, ?2, ?3, ?5, ?6, ?7, ?8,
  iif(?8 = 'deleted', NULL, json_patch(coalesce(current.todo, '{}'), ?9)), 0
FROM current
WHERE (current.todo IS NOT NULL) = ?10 AND (?5 IS NULL OR ${ENDPOINT_IS_OWNERS})
ON CONFLICT (id) DO NOTHING RETURNING *`;

// The todo is missing and the caller named an endpoint of its own: that is an event too.
const FAILED = `${CURRENT}
INSERT INTO event (id, owner, todo_id, endpoint_id, occurred_at, due_at, type, stored)
SELECT ?1, ?2, ?3, ?5, ?6, ?7, 'failed', NULL FROM current
WHERE current.todo IS NULL AND ${ENDPOINT_IS_OWNERS}
ON CONFLICT (id) DO NOTHING RETURNING *`;

const EXPLAIN = `${CURRENT}
SELECT ?1 AS id, current.todo IS NOT NULL AS present, ?5 IS NULL OR ${ENDPOINT_IS_OWNERS} AS endpoint
FROM current`;

const PING = `
INSERT INTO event (id, owner, todo_id, todo, endpoint_id, occurred_at, due_at, type, stored)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, 'ping', NULL WHERE ${ENDPOINT_IS_OWNERS}
ON CONFLICT (id) DO NOTHING RETURNING *`;

/**
 * Commits the change, or says why not. After a lost connection it retries with the same id, which can
 * commit only once.
 * @throws StorageError if nothing was changed: the tables are missing, or D1 refused
 */
export async function commit(db: D1Database, change: Change): Promise<CommitResult> {
  const { id, owner, todoId, known, endpointId, now, type, patch } = change;
  const place = [id, owner, todoId, known, endpointId];
  const due = [now, now + LEASE_MS];
  const mustExist = type === "created" ? 0 : 1;
  try {
    for (let round = 0; round < COMMIT_ROUNDS; round++) {
      const statement: Statement = [
        COMMIT,
        ...place,
        ...due,
        type,
        JSON.stringify(patch),
        mustExist,
      ];
      const row = await insertOnce(db, id, statement);
      if (row) return { kind: "committed", row };
      if (mustExist && endpointId !== null) {
        const failed = await insertOnce(db, id, [FAILED, ...place, ...due]);
        if (failed) return { kind: "todo-not-found", row: failed };
      }
      const why = await first<{ present: number; endpoint: number }>(db, EXPLAIN, ...place);
      if (!why?.endpoint) return { kind: "endpoint-not-found" };
      if (!mustExist && why.present) return { kind: "exists" };
      if (mustExist && !why.present) return { kind: "todo-not-found", row: null };
    }
    return { kind: "busy" };
  } catch (error) {
    if (error instanceof StorageError && error.reason === "lost") return { kind: "unknown" };
    throw error;
  }
}

/**
 * Writes a ping to the owner's endpoint, idempotent by id.
 * @returns its row, ours until its `due_at`; null if the owner has no such endpoint
 * @throws StorageError
 */
export function commitPing(
  db: D1Database,
  { id, owner, endpointId, now }: { id: string; owner: string; endpointId: string; now: number },
): Promise<EventRow | null> {
  return insertOnce(db, id, [PING, id, owner, null, null, endpointId, now, now + LEASE_MS]);
}

/**
 * Sends an insert that is idempotent by id, and retries if the connection is lost. A retry looks the id
 * up first: if it is found, an earlier try was committed.
 */
function insertOnce(db: D1Database, id: string, insert: Statement): Promise<EventRow | null> {
  return whileLost(async (attempt) => {
    const found = attempt > 1 ? await findCommitted(db, id) : null;
    const row = found ?? (await first<EventRow>(db, ...insert));
    return row ?? (attempt > 1 ? await findCommitted(db, id) : null);
  });
}

function findCommitted(db: D1Database, id: string): Promise<EventRow | null> {
  return first<EventRow>(db, "SELECT * FROM event WHERE id = ?", id);
}
