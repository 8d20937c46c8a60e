/** Endpoint records in D1: what is wanted, what was applied, what was seen. Never a secret or a header's value. */
import { deadOfEndpoint } from "../outbox/removal.ts";
import { all, batch, first, run } from "../storage.ts";

/** What a caller sets. Null: all types; no header; no limit. */
export type Wanted = {
  name: string;
  url: string;
  description: string;
  http_timeout_s: number;
  /** JSON list of event types. */
  event_types: string | null;
  header_name: string | null;
  rate_requests: number | null;
  rate_per_s: number | null;
};

/** What Convoy has of it, too. */
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

/** A row of the table. Times in ms; `id` is Convoy's uid, except while `creating`. */
export type EndpointRow = Wanted & {
  id: string;
  owner: string;
  wanted: "creating" | "active" | "paused" | "removed";
  revision: number;
  /** JSON of `Applied`; null while `creating`. */
  applied: string | null;
  lift: 0 | 1;
  there: There;
  error: string | null;
  failing_since: number | null;
  failing_error: string | null;
  created_at: number;
  updated_at: number;
  /** When it is next reconciled; null: nothing to do. */
  due_at: number | null;
  /** Until when it belongs to whoever works on it. */
  lease_until: number | null;
  /** Failed tries of reconcile in a row. */
  failures: number;
  search_cursor: string | null;
};

const KNOWN = "wanted IN ('active', 'paused')";
const OWNED = `owner = ?2 AND ${KNOWN}`;

/** One endpoint of the owner, or null. @throws StorageError */
export function findEndpoint(
  db: D1Database,
  owner: string,
  id: string,
): Promise<EndpointRow | null> {
  return first<EndpointRow>(db, `SELECT * FROM endpoint WHERE id = ?1 AND ${OWNED}`, id, owner);
}

/** How many of an endpoint's deliveries are held; the count stops at HELD_MAX. */
export type WithHeld = EndpointRow & { held: number };

// A count reads no more rows than this.
const HELD_MAX = 1_000;
const HELD = `(SELECT count(*) FROM (SELECT 1 FROM delivery WHERE endpoint_id = endpoint.id AND status = 'held' LIMIT ${HELD_MAX})) AS held`;

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

/** One of them, with what is held. @throws StorageError */
export function findWithHeld(db: D1Database, owner: string, id: string): Promise<WithHeld | null> {
  return first<WithHeld>(
    db,
    `SELECT *, ${HELD} FROM endpoint WHERE id = ?1 AND ${OWNED}`,
    id,
    owner,
  );
}

/** Whether the owner may have one more. @throws StorageError */
export async function hasRoom(db: D1Database, owner: string, max: number): Promise<boolean> {
  const sql = `SELECT count(*) AS n FROM endpoint WHERE owner = ?1 AND wanted IN ('active', 'paused')`;
  const found = await first<{ n: number }>(db, sql, owner);
  return (found?.n ?? 0) < max;
}

/** Begins a creation under an id of ours; no caller sees it, and it does not count. @throws StorageError */
export async function beginCreating(
  db: D1Database,
  draft: Wanted & { id: string; owner: string; now: number; lease: number },
): Promise<void> {
  await run(
    db,
    `INSERT INTO endpoint (id, owner, wanted, name, url, description, http_timeout_s, event_types, header_name,
       rate_requests, rate_per_s, created_at, updated_at, due_at)
     VALUES (?1, ?2, 'creating', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12)`,
    ...[draft.id, draft.owner, draft.name, draft.url, draft.description, draft.http_timeout_s],
    ...[draft.event_types, draft.header_name, draft.rate_requests, draft.rate_per_s],
    ...[draft.now, draft.lease],
  );
}

/**
 * Ends a creation: the row takes Convoy's uid, and is compared with it once, since a creation is undone there if D1's
 * answer is lost. Null: the owner has `max` by now, or the cron has removed the draft.
 * @throws StorageError
 */
export function finishCreating(
  db: D1Database,
  draft: { id: string; owner: string },
  made: { id: string; applied: Applied; now: number },
  max: number,
): Promise<EndpointRow | null> {
  return first<EndpointRow>(
    db,
    `UPDATE endpoint SET id = ?3, wanted = 'active', there = 'active', applied = ?4, http_timeout_s = ?5, due_at = ?6, updated_at = ?6
     WHERE id = ?1 AND wanted = 'creating'
       AND (SELECT count(*) FROM endpoint WHERE ${OWNED}) < ?7 RETURNING *`,
    ...[draft.id, draft.owner, made.id, JSON.stringify(made.applied), made.applied.http_timeout_s],
    ...[made.now, max],
  );
}

/** Forgets a draft, or a tombstone. @throws StorageError */
export async function forget(db: D1Database, id: string): Promise<void> {
  await run(db, "DELETE FROM endpoint WHERE id = ?1 AND wanted IN ('creating', 'removed')", id);
}

/** Changes what is wanted, at once; it is due. @returns the record, or null if the owner has none @throws StorageError */
export function want(
  db: D1Database,
  { owner, id }: Pick<EndpointRow, "owner" | "id">,
  to: Partial<Wanted> & { wanted?: "active" | "paused"; lift?: 0 | 1; error?: string | null },
  now: number,
): Promise<EndpointRow | null> {
  const columns = Object.keys(to) as (keyof typeof to)[];
  const sets = columns.map((column, at) => `${column} = ?${at + 4}, `).join("");
  return first<EndpointRow>(
    db,
    `UPDATE endpoint SET ${sets}revision = revision + 1, updated_at = ?3, due_at = ?3
     WHERE id = ?1 AND ${OWNED} RETURNING *`,
    ...[id, owner, now, ...columns.map((column) => to[column] ?? null)],
  );
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
      `UPDATE endpoint SET wanted = 'removed', revision = revision + 1, updated_at = ?3, due_at = ?3
       WHERE id = ?1 AND ${OWNED} RETURNING id`,
      ...[id, owner, now],
    ],
    ...deadOfEndpoint(owner, id, now),
  ]);
  return gone.length > 0;
}

/** Claims an endpoint that nobody works on, until `lease`. @throws StorageError */
export function claim(
  db: D1Database,
  id: string,
  { now, lease }: { now: number; lease: number },
): Promise<EndpointRow | null> {
  return first<EndpointRow>(
    db,
    "UPDATE endpoint SET lease_until = ?3 WHERE id = ?1 AND coalesce(lease_until, 0) <= ?2 RETURNING *",
    ...[id, now, lease],
  );
}

// The next owner after a place with something due: one step of endpoint_due for each owner with anything in it.
const nextOwner = (place: string) => `(
  WITH RECURSIVE step (owner) AS (
    SELECT min(owner) FROM endpoint WHERE due_at IS NOT NULL AND owner > ${place}
    UNION ALL
    SELECT (SELECT min(owner) FROM endpoint WHERE due_at IS NOT NULL AND owner > step.owner) FROM step
    WHERE step.owner IS NOT NULL
  )
  SELECT owner FROM step WHERE EXISTS (SELECT 1 FROM endpoint AS e WHERE e.owner = step.owner AND e.due_at <= ?1
    AND coalesce(e.lease_until, 0) <= ?1) LIMIT 1)`;

// Of that owner what waits longest; what was cut off comes after what a caller wants.
const CLAIM_DUE = `
UPDATE endpoint SET lease_until = ?2 WHERE id = (
  SELECT id FROM endpoint WHERE owner = coalesce(${nextOwner("?3")}, ${nextOwner("''")}) AND due_at <= ?1
    AND coalesce(lease_until, 0) <= ?1
  ORDER BY wanted = 'creating', due_at LIMIT 1
) RETURNING *`;

/** Claims, until `lease`, what is due of the next owner after `place`. @throws StorageError */
export function claimDue(
  db: D1Database,
  { now, lease, place }: { now: number; lease: number; place: string },
): Promise<EndpointRow | null> {
  return first<EndpointRow>(db, CLAIM_DUE, now, lease, place);
}

/** Keeps the owner at which the turn ended. @throws StorageError */
export async function keepPlace(db: D1Database, place: string): Promise<void> {
  await run(db, "UPDATE cron_state SET reconcile_turn = ?1", place);
}

/** What a claimed endpoint becomes; other columns stay. */
export type Outcome = Partial<
  Omit<EndpointRow, "id" | "owner" | "revision" | "created_at" | "updated_at" | "lease_until">
>;

/**
 * Ends a claim that is still ours. If a caller wants something else by now, only what was seen is recorded, and it is due
 * again.
 * @returns the record afterwards; null if it was no longer ours
 * @throws StorageError
 */
export async function endClaim(
  db: D1Database,
  claimed: EndpointRow,
  becomes: Outcome,
  now: number,
): Promise<EndpointRow | null> {
  const to: EndpointRow = { ...claimed, due_at: null, ...becomes };
  const isChanged = [...APPLIED, "wanted", "there", "event_types", "header_name"].some(
    (column) => to[column as keyof EndpointRow] !== claimed[column as keyof EndpointRow],
  );
  const seen = [to.applied, to.there, to.error, to.failures, to.search_cursor];
  const ours = "id = ?1 AND lease_until = ?2";
  const [ended = [], seenOnly = []] = await batch<EndpointRow>(db, [
    [
      `UPDATE endpoint SET lease_until = NULL, applied = ?4, there = ?5, error = ?6, failures = ?7, search_cursor = ?8, due_at = ?9, wanted = ?10,
         name = ?11, url = ?12, description = ?13, http_timeout_s = ?14, event_types = ?15, header_name = ?16,
         rate_requests = ?17, rate_per_s = ?18, lift = ?19, updated_at = ?20
       WHERE ${ours} AND revision = ?3 RETURNING *`,
      ...[claimed.id, claimed.lease_until, claimed.revision, ...seen, to.due_at, to.wanted],
      ...[to.name, to.url, to.description, to.http_timeout_s, to.event_types, to.header_name],
      ...[to.rate_requests, to.rate_per_s, to.lift, isChanged ? now : claimed.updated_at],
    ],
    [
      `UPDATE endpoint SET lease_until = NULL, applied = ?4, there = ?5, error = ?6, failures = ?7, search_cursor = ?8, due_at = ?9
       WHERE ${ours} AND revision <> ?3 RETURNING *`,
      ...[claimed.id, claimed.lease_until, claimed.revision, ...seen, now],
    ],
  ]);
  return ended[0] ?? seenOnly[0] ?? null;
}

/** The owner's drafts, and any owner's records (tombstones, too) with one of these ids. @throws StorageError */
export function recordsOf(db: D1Database, owner: string, ids: string[]): Promise<EndpointRow[]> {
  return all<EndpointRow>(
    db,
    `SELECT * FROM endpoint WHERE (owner = ?1 AND wanted = 'creating') OR id IN (SELECT value FROM json_each(?2))`,
    ...[owner, JSON.stringify(ids)],
  );
}

/** All of an owner's records that a caller has. @throws StorageError */
export function allOf(db: D1Database, owner: string): Promise<EndpointRow[]> {
  const sql = "SELECT * FROM endpoint WHERE owner = ?1 AND wanted IN ('active', 'paused')";
  return all<EndpointRow>(db, sql, owner);
}

/** Records an endpoint that was made elsewhere (in Convoy's dashboard), once. @throws StorageError */
export async function adopt(
  db: D1Database,
  made: Wanted & Pick<EndpointRow, "id" | "owner" | "there" | "created_at">,
  applied: Applied,
  now: number,
): Promise<boolean> {
  const changed = await run(
    db,
    `INSERT INTO endpoint (id, owner, wanted, name, url, description, http_timeout_s, header_name, rate_requests, rate_per_s,
       applied, there, created_at, updated_at)
     VALUES (?1, ?2, 'active', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT (id) DO NOTHING`,
    ...[made.id, made.owner, made.name, made.url, made.description, made.http_timeout_s],
    ...[made.header_name, made.rate_requests, made.rate_per_s, JSON.stringify(applied)],
    ...[made.there, made.created_at, now],
  );
  return changed === 1;
}
