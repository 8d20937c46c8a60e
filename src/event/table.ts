/** The event log in D1: its rows, and what an owner reads of it. */

import { BACKLOG_COUNT_MAX, EVENT_WINDOW_ROWS } from "../config.ts";
import { all, batch, first } from "../storage.ts";
import type { EventState, LoggedType } from "./schema.ts";

/** SQLite's false and true. */
export type SqlBoolean = 0 | 1;

/** A row of the table `event`. Times in ms. */
export type EventRow = {
  /** Order of commit; the version of the todo. */
  seq: number;
  /** UUIDv7; the idempotency key at Convoy. */
  id: string;
  owner: string;
  type: LoggedType;
  /** Null: all of the owner's endpoints. */
  endpoint_id: string | null;
  occurred_at: number;
  todo_id: number | null;
  /** JSON after the change; null for `deleted` and for what is not a change. */
  todo: string | null;
  /** Null: not a change. 0: KV may lack it. 1: KV has this change or a later one. */
  stored: SqlBoolean | null;
  state: EventState;
  /** Failed tries to post it under its current key. */
  attempts: number;
  /** Those of them before which other events had got through: an event dies only of these. */
  own_failures: number;
  /** When the last of its failed tries began. */
  failed_at: number | null;
  /** 1: at the last try Convoy knew no such endpoint. */
  missing: SqlBoolean;
  /** How often it got a new key: `id`, `id:1`, `id:2` … */
  replays: number;
  /** How often the audit has looked it up since Convoy accepted its current key. */
  lookups: number;
  /** How many of its keys Convoy took and never finished. */
  stranded: number;
  error: string | null;
  /** When Convoy is known to have taken the current key. */
  accepted_at: number | null;
  finished_at: number | null;
  /** Null: finished. Else the lease of the worker that has it, or the time of the next try. */
  due_at: number | null;
};

/** What to list; the page starts with the first seq below `before`, newest first. */
export type EventFilter = {
  state?: EventState | undefined;
  type?: LoggedType | undefined;
  endpoint?: string | undefined;
  limit: number;
  before?: number | undefined;
};

/** One page, newest first; `next`: where the next one starts, null on the last. */
export type EventRows = { rows: EventRow[]; next: number | null };

/**
 * An owner's events. `pending` and `dead` have an index; any other filter looks at a bounded number of
 * rows, so a page may have fewer rows than requested, even none, and still a next page.
 * @throws StorageError
 */
export async function listEvents(
  db: D1Database,
  owner: string,
  { state, type, endpoint, limit, before = Number.MAX_SAFE_INTEGER }: EventFilter,
): Promise<EventRows> {
  const open = state === "pending" || state === "dead";
  // Served by event_open or event_owner.
  const source = open
    ? "FROM event WHERE owner = ? AND state IN ('pending', 'dead') AND state = ? AND seq < ?"
    : "FROM event WHERE owner = ? AND seq < ?";
  const from = open ? [owner, state, before] : [owner, before];
  const filters = [
    ...(state && !open ? [["state = ?", state] as const] : []),
    ...(type ? [["type = ?", type] as const] : []),
    ...(endpoint ? [["endpoint_id = ?", endpoint] as const] : []),
  ];
  const newest = `${source} ORDER BY seq DESC LIMIT`;
  if (filters.length === 0) {
    const rows = await all<EventRow>(db, `SELECT * ${newest} ?`, ...from, limit + 1);
    return pageOf(rows, limit, null);
  }
  const where = filters.map(([sql]) => sql).join(" AND ");
  const values = filters.map(([, value]) => value);
  const [rows = [], edge = []] = await batch<EventRow>(db, [
    [
      `SELECT * FROM (SELECT * ${newest} ?) WHERE ${where} ORDER BY seq DESC LIMIT ?`,
      ...[...from, EVENT_WINDOW_ROWS, ...values, limit + 1],
    ],
    // The last row that was looked at, if there may be more after it.
    [`SELECT seq ${newest} 1 OFFSET ?`, ...from, EVENT_WINDOW_ROWS - 1],
  ]);
  return pageOf(rows, limit, edge[0]?.seq ?? null);
}

function pageOf(rows: EventRow[], limit: number, edge: number | null): EventRows {
  if (rows.length <= limit) return { rows, next: edge };
  const page = rows.slice(0, limit);
  return { rows: page, next: page.at(-1)?.seq ?? null };
}

/** One event of the owner, or null. @throws StorageError */
export function findEvent(db: D1Database, owner: string, id: string): Promise<EventRow | null> {
  return first<EventRow>(db, "SELECT * FROM event WHERE id = ? AND owner = ?", id, owner);
}

/** How much is waiting for Convoy, as the API reports it. `errors`: why, most frequent first. */
export type Backlog = {
  pending: number;
  oldest_pending_ms: number | null;
  dead: number;
  errors: { error: string; events: number }[];
};

/** The owner's backlog; counts stop at BACKLOG_COUNT_MAX. Served by event_open. @throws StorageError */
export async function backlog(db: D1Database, owner: string, now: number): Promise<Backlog> {
  const of = "FROM event WHERE owner = ? AND state IN ('pending', 'dead') AND state = ?";
  const count = `SELECT count(*) AS n FROM (SELECT 1 ${of} LIMIT ?)`;
  const [pending, dead, oldest, errors] = await batch<Record<string, number | string>>(db, [
    [count, owner, "pending", BACKLOG_COUNT_MAX],
    [count, owner, "dead", BACKLOG_COUNT_MAX],
    [`SELECT occurred_at ${of} ORDER BY seq LIMIT 1`, owner, "pending"],
    [
      `SELECT error, count(*) AS events FROM (SELECT error ${of} ORDER BY seq LIMIT ?)
       WHERE error IS NOT NULL GROUP BY error ORDER BY events DESC LIMIT 5`,
      ...[owner, "pending", EVENT_WINDOW_ROWS],
    ],
  ]);
  return toBacklog({ pending, dead, oldest, errors }, now);
}

type Counted = Record<string, number | string | null>[] | undefined;

/** A backlog from the rows of its queries: `n` of pending and dead, `occurred_at` of the oldest. */
export function toBacklog(
  { pending, dead, oldest, errors }: Record<"pending" | "dead" | "oldest" | "errors", Counted>,
  now: number,
): Backlog {
  const since = oldest?.[0]?.occurred_at ?? null;
  return {
    pending: Number(pending?.[0]?.n ?? 0),
    oldest_pending_ms: since === null ? null : now - Number(since),
    dead: Number(dead?.[0]?.n ?? 0),
    errors: (errors ?? []).map((each) => ({
      error: String(each.error),
      events: Number(each.events),
    })),
  };
}

/**
 * When Convoy last took one of the newest events before `until` (ms); 0 if it took none. Events of which
 * only Convoy's list said so, when they were confirmed, do not count: it took them before.
 * @throws StorageError
 */
export async function latestAcceptance(db: D1Database, until: number): Promise<number> {
  const found = await first<{ at: number | null }>(
    db,
    `SELECT max(accepted_at) AS at FROM (SELECT accepted_at, finished_at FROM event ORDER BY seq DESC LIMIT ?)
     WHERE accepted_at <= ? AND (finished_at IS NULL OR accepted_at < finished_at)`,
    ...[EVENT_WINDOW_ROWS, until],
  );
  return found?.at ?? 0;
}
