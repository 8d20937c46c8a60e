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

/** An endpoint's status at Convoy: paused and inactive ones discard; missing: Convoy's list lacks it. */
export type There = "active" | "paused" | "inactive" | "missing";

/**
 * A row of the table (migrations/0005_endpoint.sql). Times in ms. `applied` is JSON of `Applied`: null while `creating`,
 * and without what a caller has set since.
 */
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

/** One endpoint of the owner, or null. */
export function findEndpoint(db: D1Database, owner: string, id: string): Promise<WithHeld | null> {
  const sql = `SELECT *, ${HELD} FROM endpoint WHERE id = ?1 AND ${OWNED}`;
  return first<WithHeld>(db, sql, id, owner);
}

/**
 * The owner's endpoints, or for null all owners', in id order: Convoy's ids sort by time of creation.
 * @param filter all, or only those whose deliveries fail; after an id
 */
export function listEndpoints(
  db: D1Database,
  owner: string | null,
  filter: { isFailing?: boolean; limit: number; after?: string | undefined },
): Promise<WithHeld[]> {
  const { isFailing = false, limit, after = "" } = filter;
  const which = owner === null ? `?2 IS NULL AND ${KNOWN}` : OWNED;
  const failing = isFailing ? "AND failing_since IS NOT NULL" : "";
  return all<WithHeld>(
    db,
    `SELECT *, ${HELD} FROM endpoint WHERE id > ?1 AND ${which} ${failing} ORDER BY id LIMIT ?3`,
    ...[after, owner, limit],
  );
}

const COUNT = `(SELECT count(*) FROM endpoint WHERE ${OWNED})`;

/** Whether the owner may have one more. */
export async function hasRoom(db: D1Database, owner: string, max: number): Promise<boolean> {
  return (await first(db, `SELECT 1 WHERE ${COUNT} < ?1`, max, owner)) !== null;
}

function insert(rows: Partial<EndpointRow>[], onConflict = ""): Statement {
  const columns = Object.keys(rows[0] ?? {});
  const values = columns.map((column) => `value ->> '${column}'`);
  return [
    `INSERT INTO endpoint (${columns}) SELECT ${values} FROM json_each(?1) WHERE true ${onConflict}`,
    JSON.stringify(rows),
  ];
}

/** A creation under an id of ours: no caller sees it, and it does not count. */
export type Draft = Wanted & Pick<EndpointRow, "id" | "owner" | "created_at">;

/** Begins a creation; at `due_at` it is taken to be cut off. */
export async function beginCreating(db: D1Database, draft: Draft, due_at: number): Promise<void> {
  const updated_at = draft.created_at;
  await run(db, ...insert([{ ...draft, updated_at, wanted: "creating", due_at }]));
}

/**
 * Ends a creation: the record has Convoy's uid, and what Convoy made of it.
 * @returns null if the owner has `max` by now, or the draft was taken to be cut off
 */
export function finishCreating(
  db: D1Database,
  draft: Draft,
  made: { id: string; applied: Applied },
  max: number,
): Promise<EndpointRow | null> {
  const sets = APPLIED.map((column) => `${column} = ?4 ->> '${column}'`);
  return first<EndpointRow>(
    db,
    `UPDATE endpoint SET id = ?3, wanted = 'active', applied = ?4, ${sets}, due_at = NULL, updated_at = ?5
     WHERE id = ?1 AND wanted = 'creating' AND ${COUNT} < ?6 RETURNING *`,
    ...[draft.id, draft.owner, made.id, JSON.stringify(made.applied), Date.now(), max],
  );
}

const FORGET_DRAFT = "DELETE FROM endpoint WHERE id = ?1 AND wanted = 'creating'";

/** Forgets a draft: nothing was made. */
export async function forgetDraft(db: D1Database, id: string): Promise<void> {
  await run(db, FORGET_DRAFT, id);
}

/** Undoes a creation of which Convoy has made `id`, recorded or not: that is to be removed. */
export async function undoCreating(db: D1Database, draft: Draft, id: string): Promise<void> {
  const now = Date.now();
  const { owner, name, url, description, http_timeout_s, created_at } = draft;
  const removed = { id, owner, name, url, description, http_timeout_s, created_at };
  await batch(db, [
    [FORGET_DRAFT, draft.id],
    insert(
      [{ ...removed, wanted: "removed", updated_at: now, due_at: now }],
      // The record of another creation is not this one's to undo.
      `ON CONFLICT (id) DO UPDATE SET wanted = 'removed', updated_at = excluded.updated_at, due_at = excluded.due_at
       WHERE owner = excluded.owner AND created_at = excluded.created_at`,
    ),
  ]);
}

/**
 * Records endpoints that were made elsewhere (in Convoy's dashboard), each once.
 * @returns how many were new
 */
export async function adopt(db: D1Database, made: Partial<EndpointRow>[]): Promise<number> {
  return made.length === 0 ? 0 : run(db, ...insert(made, "ON CONFLICT (id) DO NOTHING"));
}

/** What a caller may change. `lift`: it is to be activated at Convoy. */
export type Change = Partial<Wanted> & { wanted?: "active" | "paused"; lift?: 0 | 1 };

/**
 * Changes what is wanted, at once; for Convoy's part it is to be due. What Convoy has of it, too, is not applied until
 * reconcile finds it there, even if it was so before: it may have been changed there.
 * @param when SQL that has to hold
 * @returns the record before, if the owner has it, and after, if it was changed
 */
export async function want(
  db: D1Database,
  { owner, id }: Pick<EndpointRow, "owner" | "id">,
  to: Change & Partial<Pick<EndpointRow, "due_at" | "lease_until">>,
  when = "1",
): Promise<{ before: EndpointRow | undefined; row: WithHeld | undefined }> {
  const sets = Object.keys(to).map((column, at) => `${column} = ?${at + 4}, `);
  const open = APPLIED.filter((column) => column in to).map((column) => `, '$.${column}'`);
  const [[before] = [], [row] = []] = await batch<WithHeld>(db, [
    [`SELECT * FROM endpoint WHERE id = ?1 AND ${OWNED}`, id, owner],
    [
      `UPDATE endpoint SET ${sets.join("")}applied = json_remove(applied${open.join("")}), updated_at = ?3
       WHERE id = ?1 AND ${OWNED} AND ${when} RETURNING *, ${HELD}`,
      ...[id, owner, Date.now(), ...Object.values(to)],
    ],
  ]);
  return { before, row };
}

/**
 * Removes an endpoint for its owner, with what it has not got yet: Convoy's part is due. The record is kept for a while.
 * @returns whether the owner had it
 */
export async function removeEndpoint(
  db: D1Database,
  { owner, id }: Pick<EndpointRow, "owner" | "id">,
): Promise<boolean> {
  const now = Date.now();
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

/** Forgets what was removed before `before` (ms), a bounded number. */
export function forgetRemoved(db: D1Database, before: number): Promise<number> {
  return run(db, `DELETE FROM endpoint WHERE id IN (${removedBefore("?1")} LIMIT 500)`, before);
}

/** Records with these ids, of any owner, removed ones, too. */
export function recordsOf(db: D1Database, ids: string[]): Promise<EndpointRow[]> {
  const sql = "SELECT * FROM endpoint WHERE id IN (SELECT value FROM json_each(?1))";
  return all<EndpointRow>(db, sql, JSON.stringify(ids));
}

/** The record before this id (null: the last but one), as Convoy lists them: the newest first. */
export async function idBefore(db: D1Database, id: string | null): Promise<string | null> {
  const sql = `SELECT id FROM endpoint WHERE ${KNOWN} AND id < coalesce(?1, (SELECT max(id) FROM endpoint WHERE ${KNOWN})) ORDER BY id DESC LIMIT 1`;
  return (await first<{ id: string }>(db, sql, id))?.id ?? null;
}

// Served by endpoint_due.
const DUE_OF = "FROM endpoint WHERE owner = ?1 AND due_at IS NOT NULL AND wanted";

/** The owner's unfinished creations. */
export function draftsOf(db: D1Database, owner: string): Promise<EndpointRow[]> {
  return all<EndpointRow>(db, `SELECT * ${DUE_OF} = 'creating'`, owner);
}

/** Whether anything of an owner is to be reconciled, or being so; unfinished creations aside. */
export async function hasDue(db: D1Database, owner: string): Promise<boolean> {
  return (await first(db, `SELECT 1 ${DUE_OF} <> 'creating' LIMIT 1`, owner)) !== null;
}

/** Makes these due, to be run with others; what is to be tried again later stays so. */
export function makeDue(ids: string[], now: number): Statement {
  const which = "id IN (SELECT value FROM json_each(?1)) AND due_at IS NULL";
  return [`UPDATE endpoint SET due_at = ?2 WHERE ${which} RETURNING id`, JSON.stringify(ids), now];
}

/**
 * Makes due what a stretch of Convoy's list lacks, after one id up to another, to be run with others.
 * @param owner whose; null: all owners'
 */
export function makeLackingDue(
  owner: string | null,
  { after, upTo, there }: { after: string | null; upTo: string | null; there: string[] },
  now: number,
): Statement {
  // An id begins with neither.
  const values = [after ?? "", upTo ?? "~", JSON.stringify(there), now, owner];
  return [
    `UPDATE endpoint SET due_at = ?4 WHERE id > ?1 AND id <= ?2 AND ${KNOWN} AND ${owner === null ? "?5 IS NULL" : "owner = ?5"}
       AND there <> 'missing' AND due_at IS NULL AND id NOT IN (SELECT value FROM json_each(?3)) RETURNING id`,
    ...values,
  ];
}

/** Makes due at once what an owner has to wait for, unless somebody works on it. */
export async function hasten(db: D1Database, owner: string): Promise<void> {
  const which = `owner = ?1 AND due_at > ?2 AND wanted <> 'creating' AND coalesce(lease_until, 0) <= ?2`;
  await run(db, `UPDATE endpoint SET due_at = ?2 WHERE ${which}`, owner, Date.now());
}
