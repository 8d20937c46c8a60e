/** Endpoint records in D1: what is wanted, what was applied, what was seen. Never a secret or a header's value. */
import { deadOfEndpoint } from "../outbox/removal.ts";
import { all, batch, first, run, type Statement } from "../storage.ts";

/** What a caller sets. Null: all types; no header; no limit. `event_types` is a JSON list. */
export type Wanted = {
  name: string;
  url: string;
  description: string;
  http_timeout_s: number;
  event_types: string | null;
  header_name: string | null;
  rate_requests: number | null;
  rate_per_s: number | null;
};

/** The columns of it that Convoy has, too. Of a header it has the value, and the name is what was seen there. */
export const APPLIED = [
  "name",
  "url",
  "description",
  "http_timeout_s",
  "rate_requests",
  "rate_per_s",
] as const;
/** What Convoy has of it, too. */
export type Applied = Pick<Wanted, (typeof APPLIED)[number]>;

/** An endpoint's status at Convoy: paused and inactive ones discard; missing: a complete list lacks it. */
export type There = "active" | "paused" | "inactive" | "missing";

/** A row of the table (migrations/0005_endpoint.sql). Times in ms; `applied` is JSON of `Applied`, null while `creating`. */
export type EndpointRow = Wanted & {
  id: string;
  owner: string;
  wanted: "creating" | "active" | "paused" | "removed";
  applied: string | null;
  lift: 0 | 1;
  there: There;
  error: string | null;
  failing_since: number | null;
  failing_error: string | null;
  created_at: number;
  updated_at: number;
  due_at: number | null;
  lease_until: number | null;
  failures: number;
};

const KNOWN = "wanted IN ('active', 'paused')";
const OWNED = `owner = ?2 AND ${KNOWN}`;

// A count reads no more rows than this.
const HELD_MAX = 1_000;
const HELD = `(SELECT count(*) FROM (SELECT 1 FROM delivery WHERE endpoint_id = endpoint.id AND status = 'held' LIMIT ${HELD_MAX})) AS held`;

/** A record, with how many of its deliveries are held; the count stops at HELD_MAX. */
export type WithHeld = EndpointRow & { held: number };

/** One endpoint of the owner, or null. @throws StorageError */
export function findEndpoint(db: D1Database, owner: string, id: string): Promise<WithHeld | null> {
  const sql = `SELECT *, ${HELD} FROM endpoint WHERE id = ?1 AND ${OWNED}`;
  return first<WithHeld>(db, sql, id, owner);
}

/** Which endpoints to list: all, or only those whose deliveries fail; after an id. */
export type EndpointFilter = {
  isFailing?: boolean;
  limit: number;
  after?: string | undefined;
};

/**
 * The owner's endpoints, or for null all owners', in id order: Convoy's ids sort by time of creation.
 * @throws StorageError
 */
export function listEndpoints(
  db: D1Database,
  owner: string | null,
  { isFailing = false, limit, after = "" }: EndpointFilter,
): Promise<WithHeld[]> {
  const which = owner === null ? `?2 IS NULL AND ${KNOWN}` : OWNED;
  const failing = isFailing ? "AND failing_since IS NOT NULL" : "";
  return all<WithHeld>(
    db,
    `SELECT *, ${HELD} FROM endpoint WHERE id > ?1 AND ${which} ${failing} ORDER BY id LIMIT ?3`,
    ...[after, owner, limit],
  );
}

/** Whether the owner may have one more. @throws StorageError */
export async function hasRoom(db: D1Database, owner: string, max: number): Promise<boolean> {
  const sql = `SELECT count(*) AS n FROM endpoint WHERE owner = ?1 AND ${KNOWN}`;
  return ((await first<{ n: number }>(db, sql, owner))?.n ?? 0) < max;
}

/** A creation under an id of ours: no caller sees it, and it does not count. */
export type Draft = Wanted & Pick<EndpointRow, "id" | "owner" | "created_at">;

// Of a record that is made here; ?1 to ?12.
const INSERT = `INSERT INTO endpoint (id, owner, name, url, description, http_timeout_s, event_types, header_name,
  rate_requests, rate_per_s, created_at, updated_at, wanted, applied, there, due_at)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12`;

function insertValues(one: Draft, now: number) {
  const { id, owner, name, url, description, http_timeout_s, event_types, header_name } = one;
  return [
    ...[id, owner, name, url, description, http_timeout_s, event_types, header_name],
    ...[one.rate_requests, one.rate_per_s, one.created_at, now],
  ];
}

/** Begins a creation; at `dueAt` it is taken to be cut off. @throws StorageError */
export async function beginCreating(db: D1Database, draft: Draft, dueAt: number): Promise<void> {
  const values = insertValues(draft, draft.created_at);
  await run(db, `${INSERT}, 'creating', NULL, 'active', ?13)`, ...values, dueAt);
}

/**
 * Ends a creation: the record has Convoy's uid.
 * @returns null if the owner has `max` by now, or the draft was taken to be cut off
 * @throws StorageError
 */
export function finishCreating(
  db: D1Database,
  draft: Draft,
  made: { id: string; applied: Applied; now: number },
  max: number,
): Promise<EndpointRow | null> {
  return first<EndpointRow>(
    db,
    `UPDATE endpoint SET id = ?3, wanted = 'active', applied = ?4, http_timeout_s = ?5, due_at = NULL, updated_at = ?6
     WHERE id = ?1 AND wanted = 'creating'
       AND (SELECT count(*) FROM endpoint WHERE ${OWNED}) < ?7 RETURNING *`,
    ...[draft.id, draft.owner, made.id, JSON.stringify(made.applied), made.applied.http_timeout_s],
    ...[made.now, max],
  );
}

/** Forgets a draft: nothing was made. @throws StorageError */
export async function forgetDraft(db: D1Database, id: string): Promise<void> {
  await run(db, "DELETE FROM endpoint WHERE id = ?1 AND wanted = 'creating'", id);
}

/** Undoes a creation of which Convoy has made `uid`, recorded or not: that is to be removed. @throws StorageError */
export async function undoCreating(db: D1Database, draft: Draft, uid: string): Promise<void> {
  const now = Date.now();
  await batch(db, [
    ["DELETE FROM endpoint WHERE id = ?1 AND wanted = 'creating'", draft.id],
    [
      `${INSERT}, 'removed', NULL, 'active', ?12)
       ON CONFLICT (id) DO UPDATE SET wanted = 'removed', due_at = ?12, updated_at = ?12`,
      ...insertValues({ ...draft, id: uid }, now),
    ],
  ]);
}

/** Records an endpoint that was made elsewhere (in Convoy's dashboard), once. @returns whether it did @throws StorageError */
export async function adopt(
  db: D1Database,
  made: Draft,
  { applied, there, isDue }: { applied: Applied; there: There; isDue: boolean },
): Promise<boolean> {
  const sql = `${INSERT}, 'active', ?13, ?14, iif(?15, ?12, NULL)) ON CONFLICT (id) DO NOTHING`;
  const values = [...insertValues(made, Date.now()), JSON.stringify(applied), there, Number(isDue)];
  return (await run(db, sql, ...values)) === 1;
}

/** What a caller may change. `lift`: it is to be activated at Convoy. */
export type Change = Partial<Wanted> & { wanted?: "active" | "paused"; lift?: 0 | 1 };

/**
 * Changes what is wanted, at once. `isDue`: Convoy has to follow.
 * @returns the record before and after; null if the owner has no such endpoint
 * @throws StorageError
 */
export async function want(
  db: D1Database,
  { owner, id }: Pick<EndpointRow, "owner" | "id">,
  to: Change,
  { isDue }: { isDue: boolean },
): Promise<{ before: EndpointRow; row: WithHeld } | null> {
  const columns = Object.keys(to) as (keyof Change)[];
  const sets = columns.map((column, at) => `${column} = ?${at + 4}, `).join("");
  const values = columns.map((column) => to[column] ?? null);
  const [[before] = [], [row] = []] = await batch<WithHeld>(db, [
    [`SELECT * FROM endpoint WHERE id = ?1 AND ${OWNED}`, id, owner],
    [
      `UPDATE endpoint SET ${sets}${isDue ? "due_at = ?3, " : ""}updated_at = ?3 WHERE id = ?1 AND ${OWNED} RETURNING *, ${HELD}`,
      ...[id, owner, Date.now(), ...values],
    ],
  ]);
  return before && row ? { before, row } : null;
}

// Columns that change only together.
const RATE = ["rate_requests", "rate_per_s"];

/** SQL that sets columns that are still as they were: what others have changed since stays. Adds its values to `values`. */
export function setUnchanged(was: object, becomes: object, values: unknown[]): string {
  const bind = (row: object, column: string) => {
    values.push((row as Record<string, unknown>)[column] ?? null);
    return `?${values.length}`;
  };
  const sets = Object.keys(becomes).map((column) => {
    const together = RATE.includes(column) ? RATE : [column];
    const isUnchanged = together.map((one) => `${one} IS ${bind(was, one)}`).join(" AND ");
    return `${column} = iif(${isUnchanged}, ${bind(becomes, column)}, ${column})`;
  });
  return sets.join(", ");
}

/** Takes back a change that Convoy refused. @throws StorageError */
export async function unwant(db: D1Database, before: EndpointRow, to: Change): Promise<void> {
  const columns = Object.keys(to) as (keyof Change)[];
  if (columns.length === 0) return;
  const values: unknown[] = [before.id, Date.now()];
  const back = Object.fromEntries(columns.map((column) => [column, before[column]]));
  const sets = setUnchanged(to, back, values);
  await run(db, `UPDATE endpoint SET ${sets}, error = NULL, due_at = ?2 WHERE id = ?1`, ...values);
}

/**
 * Removes an endpoint for its owner, with what it has not got yet: Convoy's part is due. The record is kept for a while.
 * @returns whether the owner had it
 * @throws StorageError
 */
export async function removeEndpoint(
  db: D1Database,
  { owner, id }: Pick<EndpointRow, "owner" | "id">,
  now: number,
): Promise<boolean> {
  const [gone = []] = await batch(db, [
    [
      `UPDATE endpoint SET wanted = 'removed', updated_at = ?3, due_at = ?3 WHERE id = ?1 AND ${OWNED} RETURNING id`,
      ...[id, owner, now],
    ],
    ...deadOfEndpoint(owner, id, now),
  ]);
  return gone.length > 0;
}

/** SQL of endpoints that were removed, here and at Convoy, before a time. Served by endpoint_removed. */
export const removedBefore = (ms: string) =>
  `SELECT id FROM endpoint WHERE wanted = 'removed' AND due_at IS NULL AND updated_at < ${ms}`;

/** Forgets what was removed before `before` (ms), a bounded number. @throws StorageError */
export function forgetRemoved(db: D1Database, before: number): Promise<number> {
  return run(db, `DELETE FROM endpoint WHERE id IN (${removedBefore("?1")} LIMIT 500)`, before);
}

/** Records with these ids, of any owner, removed ones, too. @throws StorageError */
export function recordsOf(db: D1Database, ids: string[]): Promise<EndpointRow[]> {
  const sql = "SELECT * FROM endpoint WHERE id IN (SELECT value FROM json_each(?1))";
  return all<EndpointRow>(db, sql, JSON.stringify(ids));
}

/** The owner's unfinished creations. Served by endpoint_due. @throws StorageError */
export function draftsOf(db: D1Database, owner: string): Promise<EndpointRow[]> {
  const sql =
    "SELECT * FROM endpoint WHERE owner = ?1 AND due_at IS NOT NULL AND wanted = 'creating'";
  return all<EndpointRow>(db, sql, owner);
}

/** Makes these due, to be run with others; `isUrgent`: also those that are to be tried again later. */
export function makeDue(ids: string[], now: number, isUrgent = false): Statement {
  const which =
    "id IN (SELECT value FROM json_each(?1)) AND (due_at IS NULL OR (?3 AND due_at > ?2 AND coalesce(lease_until, 0) <= ?2))";
  return [
    `UPDATE endpoint SET due_at = ?2 WHERE ${which}`,
    JSON.stringify(ids),
    now,
    Number(isUrgent),
  ];
}

/** Which of an owner's records a stretch of Convoy's list should have: after one id, up to another. @throws StorageError */
export function recordsBetween(
  db: D1Database,
  owner: string | null,
  { after, upTo }: { after: string | null; upTo: string | null },
): Promise<EndpointRow[]> {
  return all<EndpointRow>(
    db,
    `SELECT * FROM endpoint WHERE ${KNOWN} AND id > coalesce(?1, '') AND (?2 IS NULL OR id <= ?2) ${owner === null ? "AND ?3 IS NULL" : "AND owner = ?3"}`,
    ...[after, upTo, owner],
  );
}

/** Whether anything of an owner is to be reconciled, or being so; unfinished creations aside. @throws StorageError */
export async function hasDue(db: D1Database, owner: string): Promise<boolean> {
  const sql =
    "SELECT 1 FROM endpoint WHERE owner = ?1 AND due_at IS NOT NULL AND wanted <> 'creating' LIMIT 1";
  return (await first(db, sql, owner)) !== null;
}
