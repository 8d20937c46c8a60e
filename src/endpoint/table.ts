/** Endpoint records in D1: who owns which endpoint at Convoy. No secret is ever stored. */
import { CLOCK_SKEW_MS } from "../config.ts";
import { all, batch, first, run, type Statement } from "../storage.ts";

/** An endpoint's status, with the names of docs/design.md, section 2. */
export type EndpointStatus =
  | "creating"
  | "active"
  | "pausing"
  | "paused"
  | "activating"
  | "inactive"
  | "missing";

/** A row of the table. Times in ms; `id` is Convoy's uid except while `creating`. */
export type EndpointRow = {
  id: string;
  owner: string;
  name: string;
  url: string;
  description: string;
  http_timeout_s: number;
  status: EndpointStatus;
  subscription_id: string | null;
  paused_at: number | null;
  created_at: number;
  updated_at: number;
  /** Null: no change is in progress. Else its lease. */
  due_at: number | null;
  /** Where the search for what a creation made continues. */
  search_cursor: string | null;
};

/** The fields a caller sets. */
export type EndpointFields = Pick<EndpointRow, "name" | "url" | "description" | "http_timeout_s">;

/** An endpoint as Convoy has it, in the record's terms. */
export type Seen = EndpointFields & { id: string; status: "active" | "paused" | "inactive" };

// No change is in progress: what Convoy says applies.
const RESTING = "('active', 'paused', 'inactive', 'missing')";

/**
 * Begins a creation under an id of ours; no caller sees it until `finishCreating`.
 * @returns false if the owner already has `max` endpoints, counted in the statement itself
 * @throws StorageError
 */
export async function beginCreating(
  db: D1Database,
  row: EndpointFields & { id: string; owner: string; now: number; lease: number },
  max: number,
): Promise<boolean> {
  const made = await run(
    db,
    `INSERT INTO endpoint (id, owner, name, url, description, http_timeout_s, status, created_at, updated_at, due_at)
     SELECT ?1, ?2, ?3, ?4, ?5, ?6, 'creating', ?7, ?7, ?8
     WHERE (SELECT count(*) FROM endpoint WHERE owner = ?2) < ?9`,
    row.id,
    row.owner,
    row.name,
    row.url,
    row.description,
    row.http_timeout_s,
    row.now,
    row.lease,
    max,
  );
  return made === 1;
}

/**
 * Finishes a creation: the row takes Convoy's uid and timeout. It is due: the cron checks once whether
 * Convoy has it, since a creation is undone there if D1's response was lost. Null if the cron has
 * removed the draft in the meantime.
 * @throws StorageError
 */
export function finishCreating(
  db: D1Database,
  draftId: string,
  made: { id: string; subscriptionId: string | null; timeoutS: number; now: number },
): Promise<EndpointRow | null> {
  return first<EndpointRow>(
    db,
    `UPDATE endpoint SET id = ?2, subscription_id = ?3, http_timeout_s = ?4, status = 'active', due_at = ?5,
       updated_at = ?5 WHERE id = ?1 AND status = 'creating' RETURNING *`,
    draftId,
    made.id,
    made.subscriptionId,
    made.timeoutS,
    made.now,
  );
}

/** One endpoint of the owner, or null. @throws StorageError */
export function findEndpoint(db: D1Database, owner: string, id: string) {
  return first<EndpointRow>(
    db,
    "SELECT * FROM endpoint WHERE id = ?1 AND owner = ?2 AND status <> 'creating'",
    id,
    owner,
  );
}

/**
 * The owner's endpoints in id order (Convoy's ids sort by time of creation), after `after`.
 * @throws StorageError
 */
export function listEndpoints(
  db: D1Database,
  owner: string,
  page: { limit: number; after?: string | undefined },
): Promise<EndpointRow[]> {
  return all<EndpointRow>(
    db,
    `SELECT * FROM endpoint WHERE owner = ?1 AND id > ?2 AND status <> 'creating'
     ORDER BY id LIMIT ?3`,
    owner,
    page.after ?? "",
    page.limit,
  );
}

/** Removes the row, even if it is the draft of a creation. @throws StorageError */
export async function removeEndpoint(db: D1Database, owner: string, id: string): Promise<void> {
  await run(db, "DELETE FROM endpoint WHERE id = ?1 AND owner = ?2", id, owner);
}

/**
 * Marks endpoints that Convoy does not know as missing; those being paused or activated are left alone.
 * @returns those of `ids` that are on record
 * @throws StorageError
 */
export async function markMissing(
  db: D1Database,
  ids: string[],
  now: number,
): Promise<Set<string>> {
  const named = JSON.stringify(ids);
  const [, found = []] = await batch<{ id: string }>(db, [
    [
      `UPDATE endpoint SET status = 'missing', updated_at = ?2
       WHERE id IN (SELECT value FROM json_each(?1)) AND status IN ('active', 'paused', 'inactive')`,
      ...[named, now],
    ],
    ["SELECT id FROM endpoint WHERE id IN (SELECT value FROM json_each(?1))", named],
  ]);
  return new Set(found.map(({ id }) => id));
}

/**
 * Has the cron check those of `ids` that are missing: Convoy lists an event for them. A statement
 * for a batch.
 */
export function lookAtMissing(ids: string[], now: number): Statement {
  return [
    `UPDATE endpoint SET due_at = ?2
     WHERE id IN (SELECT value FROM json_each(?1)) AND status = 'missing' AND due_at IS NULL`,
    ...[JSON.stringify(ids), now],
  ];
}

/**
 * Claims an endpoint that is not being changed, until `lease`: only a request that gets the row back may
 * change it at Convoy. `to` begins a change of its status.
 * @throws StorageError
 */
export function claimEndpoint(
  db: D1Database,
  { owner, id }: Pick<EndpointRow, "owner" | "id">,
  claim: { now: number; lease: number; to?: "pausing" | "activating" },
): Promise<EndpointRow | null> {
  return first<EndpointRow>(
    db,
    `UPDATE endpoint SET due_at = ?4, status = coalesce(?5, status),
       updated_at = iif(?5 IS NULL, updated_at, ?3),
       paused_at = iif(?5 = 'pausing', coalesce(paused_at, ?3), paused_at)
     WHERE id = ?1 AND owner = ?2 AND status <> 'creating' AND (due_at IS NULL OR due_at <= ?3)
     RETURNING *`,
    id,
    owner,
    claim.now,
    claim.lease,
    claim.to ?? null,
  );
}

/**
 * Claims, until `lease`, the longest waiting endpoint whose change was interrupted before `before`; null
 * if there is none.
 * @throws StorageError
 */
export function claimCutOff(db: D1Database, before: number, lease: number) {
  return first<EndpointRow>(
    db,
    `UPDATE endpoint SET due_at = ?2 WHERE id = (
       SELECT id FROM endpoint WHERE due_at <= ?1 ORDER BY due_at LIMIT 1) RETURNING *`,
    before,
    lease,
  );
}

/**
 * What a claimed endpoint becomes; other fields stay. `due_at` becomes null (the change is over)
 * unless given.
 */
export type Outcome = Partial<
  EndpointFields & Pick<EndpointRow, "status" | "paused_at" | "due_at" | "search_cursor">
>;

/**
 * Ends a claim if it is still ours; `more` runs in the same transaction.
 * @returns the record afterwards, or null if it has since been claimed again or removed
 * @throws StorageError
 */
export async function endClaim(
  db: D1Database,
  claimed: EndpointRow,
  becomes: Outcome,
  now: number,
  ...more: Statement[]
): Promise<EndpointRow | null> {
  const after = { ...claimed, due_at: null, ...becomes };
  const changed = (["name", "url", "description", "http_timeout_s", "status"] as const).some(
    (field) => after[field] !== claimed[field],
  );
  const end: Statement = [
    `UPDATE endpoint SET name = ?3, url = ?4, description = ?5, http_timeout_s = ?6, status = ?7, paused_at = ?8,
       due_at = ?9, search_cursor = ?10, updated_at = ?11 WHERE id = ?1 AND due_at = ?2 RETURNING *`,
    claimed.id,
    claimed.due_at,
    after.name,
    after.url,
    after.description,
    after.http_timeout_s,
    after.status,
    after.paused_at,
    after.due_at,
    after.search_cursor,
    changed ? now : claimed.updated_at,
  ];
  const [rows] = await batch<EndpointRow>(db, [end, ...more]);
  return rows?.[0] ?? null;
}

/** What Convoy says about an endpoint: everything, or only its status. */
export type SeenStatus = Pick<Seen, "id" | "status"> & Partial<EndpointFields>;

/**
 * Adopts what Convoy says about endpoints that are not being changed, and have not been changed since it
 * was asked (`askedAt`). This ends `missing`, and a pause that was ended elsewhere: `recoverResumed`
 * (recovery-table.ts), which needs the statuses before that, comes first.
 */
export function follow(seen: SeenStatus[], askedAt: number, now: number): Statement {
  return [
    `UPDATE endpoint SET name = s.name, url = s.url, description = s.description, http_timeout_s = s.http_timeout_s,
       status = s.status, paused_at = iif(s.status = 'active', NULL, coalesce(paused_at, ?3)), updated_at = ?3
     FROM (SELECT e.id, coalesce(v.value ->> 'name', e.name) AS name, coalesce(v.value ->> 'url', e.url) AS url,
         coalesce(v.value ->> 'description', e.description) AS description,
         coalesce(v.value ->> 'http_timeout_s', e.http_timeout_s) AS http_timeout_s, v.value ->> 'status' AS status
       FROM json_each(?1) AS v JOIN endpoint AS e ON e.id = v.value ->> 'id') AS s
     WHERE endpoint.id = s.id AND (endpoint.due_at IS NULL OR endpoint.due_at <= ?3) AND endpoint.updated_at < ?2
       AND endpoint.status IN ${RESTING}
       AND (endpoint.name, endpoint.url, endpoint.description, endpoint.http_timeout_s, endpoint.status)
         <> (s.name, s.url, s.description, s.http_timeout_s, s.status) RETURNING endpoint.id`,
    JSON.stringify(seen),
    askedAt - CLOCK_SKEW_MS,
    now,
  ];
}

/**
 * The owner's records with ids above `after` and up to `upTo` (null: no end), its drafts, and any
 * owner's records with one of these ids.
 * @throws StorageError
 */
export function recordsAround(
  db: D1Database,
  owner: string,
  range: { after: string; upTo: string | null; ids: string[] },
): Promise<EndpointRow[]> {
  return all<EndpointRow>(
    db,
    `SELECT * FROM endpoint WHERE (owner = ?1 AND status = 'creating')
       OR (owner = ?1 AND id > ?2 AND (?3 IS NULL OR id <= ?3))
       OR id IN (SELECT value FROM json_each(?4))`,
    owner,
    range.after,
    range.upTo,
    JSON.stringify(range.ids),
  );
}

/** An endpoint that was created elsewhere (in Convoy's dashboard), with its subscription. */
export type Adopted = Seen & { owner: string; subscription_id: string | null; created_at: number };

/** Records endpoints created elsewhere, each once. */
export function adopt(made: Adopted[], now: number): Statement {
  return [
    `INSERT INTO endpoint (id, owner, name, url, description, http_timeout_s, status, subscription_id, created_at, updated_at)
     SELECT value ->> 'id', value ->> 'owner', value ->> 'name', value ->> 'url', value ->> 'description',
       value ->> 'http_timeout_s', value ->> 'status', value ->> 'subscription_id', value ->> 'created_at', ?2
     FROM json_each(?1) WHERE true ON CONFLICT (id) DO NOTHING RETURNING id`,
    JSON.stringify(made),
    now,
  ];
}

/** Records which subscription each endpoint has. */
export function recordSubscriptions(subscriptions: Record<string, string>): Statement {
  return [
    `UPDATE endpoint SET subscription_id = s.value FROM json_each(?1) AS s
     WHERE endpoint.id = s.key AND endpoint.subscription_id IS NOT s.value`,
    JSON.stringify(subscriptions),
  ];
}
