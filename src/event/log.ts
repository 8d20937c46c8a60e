/** The log as its owner sees it: list, look up, replay; and what health and upkeep ask of it. */

import { LEASE_MS } from "../config.ts";
import { onD1 } from "../storage.ts";
import type { Backlog, EventState, LoggedType } from "./schema.ts";

/** A row of the log as it is shown. */
export type LogRow = {
  seq: number;
  id: string;
  type: LoggedType;
  endpoint_id: string | null;
  occurred_at: number;
  todo_id: number | null;
  todo: string | null;
  state: EventState;
  attempts: number;
  replays: number;
  error: string | null;
  accepted_at: number | null;
  finished_at: number | null;
  due_at: number | null;
};

const COLUMNS = `seq, id, type, endpoint_id, occurred_at, todo_id, todo, state, attempts, replays,
  error, accepted_at, finished_at, due_at`;

/** What to list; `before` is the seq after which (going back in time) the page starts. */
export type LogFilter = {
  state?: EventState | undefined;
  type?: LoggedType | undefined;
  endpoint?: string | undefined;
  limit: number;
  before?: number | undefined;
};

/** An owner's events, newest first. Served by index event_owner. @throws StorageError */
export async function listEvents(db: D1Database, owner: string, filter: LogFilter) {
  const { results } = await onD1(() =>
    db
      .prepare(
        `SELECT ${COLUMNS} FROM event WHERE owner = ?1 AND seq < ?2
           AND (?3 IS NULL OR state = ?3) AND (?4 IS NULL OR type = ?4)
           AND (?5 IS NULL OR endpoint_id = ?5) ORDER BY seq DESC LIMIT ?6`,
      )
      .bind(
        owner,
        filter.before ?? Number.MAX_SAFE_INTEGER,
        filter.state ?? null,
        filter.type ?? null,
        filter.endpoint ?? null,
        filter.limit,
      )
      .all<LogRow>(),
  );
  return results;
}

/** One event of the owner, or null. @throws StorageError */
export function findEvent(db: D1Database, owner: string, id: string): Promise<LogRow | null> {
  return onD1(() =>
    db
      .prepare(`SELECT ${COLUMNS} FROM event WHERE id = ?1 AND owner = ?2`)
      .bind(id, owner)
      .first<LogRow>(),
  );
}

// A dead event goes out under its key; a finished one under a new key, or Convoy would drop it.
const REOPEN = `state = 'pending', attempts = 0, error = NULL, accepted_at = NULL, finished_at = NULL,
  replays = replays + (state <> 'dead')`;

/**
 * Opens an event again and takes it until the lease that comes back; null where it is not the owner's
 * or still pending.
 * @throws StorageError
 */
export async function reopenEvent(
  db: D1Database,
  owner: string,
  id: string,
  now: number,
): Promise<(LogRow & { lease: number }) | null> {
  const lease = now + LEASE_MS;
  const row = await onD1(() =>
    db
      .prepare(
        `UPDATE event SET ${REOPEN}, due_at = ?3 WHERE id = ?1 AND owner = ?2
         AND state <> 'pending' AND stored IS NOT 0 RETURNING ${COLUMNS}`,
      )
      .bind(id, owner, lease)
      .first<LogRow>(),
  );
  return row && { ...row, lease };
}

/** Opens up to `limit` dead events of the owner again, oldest first, due at once. @returns how many @throws StorageError */
export async function reopenDead(db: D1Database, owner: string, now: number, limit: number) {
  const { results } = await onD1(() =>
    db
      .prepare(
        `UPDATE event SET ${REOPEN}, due_at = ?2 WHERE seq IN (SELECT seq FROM event
         WHERE owner = ?1 AND state = 'dead' AND stored IS NOT 0 ORDER BY seq LIMIT ?3) RETURNING seq`,
      )
      .bind(owner, now, limit)
      .all<{ seq: number }>(),
  );
  return results.length;
}

/** The owner's backlog. @throws StorageError */
export async function backlog(db: D1Database, owner: string, now: number): Promise<Backlog> {
  const [counts, errors] = await onD1(() =>
    db.batch<Record<string, number | string | null>>([
      db
        .prepare(
          `SELECT sum(state = 'pending') AS pending, sum(state = 'dead') AS dead,
             min(iif(state = 'pending', occurred_at, NULL)) AS oldest
           FROM event WHERE owner = ?`,
        )
        .bind(owner),
      db
        .prepare(
          `SELECT error, count(*) AS events FROM event
           WHERE owner = ? AND state = 'pending' AND error IS NOT NULL
           GROUP BY error ORDER BY events DESC LIMIT 5`,
        )
        .bind(owner),
    ]),
  );
  const row = counts?.results[0];
  const oldest = row?.oldest;
  return {
    pending: Number(row?.pending ?? 0),
    oldest_pending_ms: typeof oldest === "number" ? now - oldest : null,
    dead: Number(row?.dead ?? 0),
    errors: (errors?.results ?? []).map((e) => ({
      error: String(e.error),
      events: Number(e.events),
    })),
  };
}
