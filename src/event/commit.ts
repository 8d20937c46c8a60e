/** The commit point: one statement writes the event and is the commit of the change (docs/design.md, 3). */
import { COMMIT_ROUNDS, D1_RETRY_MS, D1_TRIES, LEASE_MS } from "../config.ts";
import { onD1, StorageError } from "../storage.ts";
import { sleep } from "../time.ts";
import type { LoggedType } from "./schema.ts";

/** A change somebody wants. `known`: the todo as KV has it, maybe stale, or null. `patch`: RFC 7396. */
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

/** A committed change: its row, which we hold until `lease`. `todo` is null once deleted. */
export type Committed = { kind: "committed"; seq: number; todo: string | null; lease: number };

/** What became of it. `event`: a `failed` event was written, for the endpoint that the caller named. */
export type CommitResult =
  | Committed
  | { kind: "exists" }
  | { kind: "endpoint-not-found" }
  | { kind: "todo-not-found"; event: { seq: number; lease: number } | null }
  | { kind: "busy" }
  /** The connection to D1 was lost and stayed lost: it may have been committed or not. */
  | { kind: "unknown" };

// The latest row wins over KV's answer, which may be stale. Served by index event_todo.
const CURRENT = `
WITH latest AS (
  SELECT type, todo FROM event
  WHERE owner = ?2 AND todo_id = ?3 AND stored IS NOT NULL ORDER BY seq DESC LIMIT 1
), current AS (
  SELECT CASE WHEN EXISTS (SELECT 1 FROM latest)
    THEN (SELECT iif(type = 'deleted', NULL, todo) FROM latest) ELSE ?4 END AS todo
)`;
const ENDPOINT_IS_OWNERS =
  "EXISTS (SELECT 1 FROM endpoint WHERE id = ?5 AND owner = ?2 AND status <> 'creating')";

/** Legal or not, merged and logged, in D1's single-writer order. Exported for EXPLAIN in a test. */
export const COMMIT = `${CURRENT}
INSERT INTO event (id, owner, todo_id, endpoint_id, occurred_at, due_at, type, todo, stored)
SELECT ?1, ?2, ?3, ?5, ?6, ?7, ?8,
  iif(?8 = 'deleted', NULL, json_patch(coalesce(current.todo, '{}'), ?9)), 0
FROM current
WHERE (current.todo IS NOT NULL) = ?10 AND (?5 IS NULL OR ${ENDPOINT_IS_OWNERS})
ON CONFLICT (id) DO NOTHING RETURNING seq, todo`;

// The todo is missing and the caller named an endpoint of theirs: that is an event too.
const FAILED = `${CURRENT}
INSERT INTO event (id, owner, todo_id, endpoint_id, occurred_at, due_at, type, stored)
SELECT ?1, ?2, ?3, ?5, ?6, ?7, 'failed', NULL FROM current
WHERE current.todo IS NULL AND ${ENDPOINT_IS_OWNERS}
ON CONFLICT (id) DO NOTHING RETURNING seq`;

const EXPLAIN = `${CURRENT}
SELECT ?1 AS id, current.todo IS NOT NULL AS present, ?5 IS NULL OR ${ENDPOINT_IS_OWNERS} AS endpoint
FROM current`;

/**
 * Commits the change, or says why not. A lost connection is tried again with the same id, which can
 * commit only once.
 * @throws StorageError where the tables are missing
 */
export async function commit(db: D1Database, change: Change): Promise<CommitResult> {
  const lease = change.now + LEASE_MS;
  const place = [change.id, change.owner, change.todoId, change.known, change.endpointId];
  const due = [change.now, lease];
  const mustExist = change.type === "created" ? 0 : 1;
  try {
    for (let round = 0; round < COMMIT_ROUNDS; round++) {
      const row = await insertOnce(db, change.id, () =>
        db
          .prepare(COMMIT)
          .bind(...place, ...due, change.type, JSON.stringify(change.patch), mustExist)
          .first<{ seq: number; todo: string | null }>(),
      );
      if (row) return { kind: "committed", ...row, lease };
      if (mustExist && change.endpointId !== null) {
        const event = await insertOnce(db, change.id, () =>
          db
            .prepare(FAILED)
            .bind(...place, ...due)
            .first<{ seq: number }>(),
        );
        if (event) return { kind: "todo-not-found", event: { seq: event.seq, lease } };
      }
      const why = await explain(db, place);
      if (!why.endpoint) return { kind: "endpoint-not-found" };
      if (!mustExist && why.present) return { kind: "exists" };
      if (mustExist && !why.present) return { kind: "todo-not-found", event: null };
    }
    return { kind: "busy" };
  } catch (error) {
    if (error instanceof StorageError && error.reason === "lost") return { kind: "unknown" };
    throw error;
  }
}

/** Writes an event that is no change (a ping) as a row of ours until `lease`; idempotent by id. @throws StorageError */
export async function logEvent(
  db: D1Database,
  event: { id: string; owner: string; type: LoggedType; endpointId: string; now: number },
): Promise<{ seq: number; lease: number } | null> {
  const lease = event.now + LEASE_MS;
  const row = await insertOnce(db, event.id, () =>
    db
      .prepare(
        `INSERT INTO event (id, owner, todo_id, todo, endpoint_id, occurred_at, due_at, type, stored)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL WHERE ${ENDPOINT_IS_OWNERS}
         ON CONFLICT (id) DO NOTHING RETURNING seq`,
      )
      .bind(event.id, event.owner, null, null, event.endpointId, event.now, lease, event.type)
      .first<{ seq: number }>(),
  );
  return row && { seq: row.seq, lease };
}

async function explain(db: D1Database, place: unknown[]) {
  const row = await onD1(() =>
    db
      .prepare(EXPLAIN)
      .bind(...place)
      .first<{ present: number; endpoint: number }>(),
  );
  return { present: row?.present === 1, endpoint: row?.endpoint === 1 };
}

/**
 * Sends an insert that is idempotent by id, again where the connection is lost. After any retry the id
 * is looked up first: found means that an earlier try was committed.
 */
async function insertOnce<T extends { seq: number }>(
  db: D1Database,
  id: string,
  insert: () => Promise<T | null>,
): Promise<T | null> {
  for (let attempt = 1; ; attempt++) {
    try {
      const found = attempt > 1 ? await findCommitted<T>(db, id) : null;
      const row = found ?? (await onD1(insert));
      return row ?? (attempt > 1 ? await findCommitted<T>(db, id) : null);
    } catch (error) {
      const lost = error instanceof StorageError && error.reason === "lost";
      if (!lost || attempt === D1_TRIES) throw error;
      await sleep(D1_RETRY_MS * 2 ** (attempt - 1));
    }
  }
}

function findCommitted<T>(db: D1Database, id: string): Promise<T | null> {
  return onD1(() => db.prepare("SELECT seq, todo FROM event WHERE id = ?").bind(id).first<T>());
}
