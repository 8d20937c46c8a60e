/** Endpoint records in D1: who owns which endpoint of Convoy. No secret is ever stored. */
import { batch, onD1 } from "../storage.ts";

/** How an endpoint is: the words of design section 2. */
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
};

/** The fields a caller sets. */
export type EndpointFields = Pick<EndpointRow, "name" | "url" | "description" | "http_timeout_s">;

/** Begins a creation under an id of ours; it is nobody's endpoint until `finishCreating`. @throws StorageError */
export async function beginCreating(
  db: D1Database,
  row: EndpointFields & { id: string; owner: string; now: number },
): Promise<void> {
  await onD1(() =>
    db
      .prepare(
        `INSERT INTO endpoint (id, owner, name, url, description, http_timeout_s, status, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'creating', ?7, ?7)`,
      )
      .bind(row.id, row.owner, row.name, row.url, row.description, row.http_timeout_s, row.now)
      .run(),
  );
}

/**
 * Ends a creation: the row takes Convoy's uid and timeout. Null where reconcile has removed it meanwhile.
 * @throws StorageError
 */
export function finishCreating(
  db: D1Database,
  draftId: string,
  made: { id: string; subscriptionId: string | null; timeoutS: number; now: number },
): Promise<EndpointRow | null> {
  return onD1(() =>
    db
      .prepare(
        `UPDATE endpoint SET id = ?2, subscription_id = ?3, http_timeout_s = ?4, status = 'active',
           updated_at = ?5
         WHERE id = ?1 AND status = 'creating' RETURNING *`,
      )
      .bind(draftId, made.id, made.subscriptionId, made.timeoutS, made.now)
      .first<EndpointRow>(),
  );
}

/** One endpoint of the owner, or null. @throws StorageError */
export function findEndpoint(db: D1Database, owner: string, id: string) {
  return onD1(() =>
    db
      .prepare("SELECT * FROM endpoint WHERE id = ?1 AND owner = ?2 AND status <> 'creating'")
      .bind(id, owner)
      .first<EndpointRow>(),
  );
}

/** The owner's endpoints in id order (Convoy's ids sort by time of creation), after `after`. @throws StorageError */
export async function listEndpoints(
  db: D1Database,
  owner: string,
  page: { limit: number; after?: string | undefined },
): Promise<EndpointRow[]> {
  const { results } = await onD1(() =>
    db
      .prepare(
        `SELECT * FROM endpoint WHERE owner = ?1 AND id > ?2 AND status <> 'creating'
         ORDER BY id LIMIT ?3`,
      )
      .bind(owner, page.after ?? "", page.limit)
      .all<EndpointRow>(),
  );
  return results;
}

/** Changes the caller's fields; the row after it, or null. @throws StorageError */
export function updateEndpoint(
  db: D1Database,
  owner: string,
  id: string,
  fields: EndpointFields & { now: number },
) {
  return onD1(() =>
    db
      .prepare(
        `UPDATE endpoint SET name = ?3, url = ?4, description = ?5, http_timeout_s = ?6, updated_at = ?7
         WHERE id = ?1 AND owner = ?2 RETURNING *`,
      )
      .bind(
        id,
        owner,
        fields.name,
        fields.url,
        fields.description,
        fields.http_timeout_s,
        fields.now,
      )
      .first<EndpointRow>(),
  );
}

/**
 * Claims a change of status: only who gets the row back may call Convoy's toggle.
 * @throws StorageError
 */
export function moveStatus(
  db: D1Database,
  owner: string,
  id: string,
  move: { from: EndpointStatus[]; to: EndpointStatus; pausedAt?: number | null; now: number },
) {
  return onD1(() =>
    db
      .prepare(
        `UPDATE endpoint SET status = ?3, updated_at = ?4,
           paused_at = iif(?6, ?5, paused_at)
         WHERE id = ?1 AND owner = ?7 AND status IN (SELECT value FROM json_each(?2)) RETURNING *`,
      )
      .bind(
        id,
        JSON.stringify(move.from),
        move.to,
        move.now,
        move.pausedAt ?? null,
        move.pausedAt === undefined ? 0 : 1,
        owner,
      )
      .first<EndpointRow>(),
  );
}

/** Removes the row, a draft of a creation too. @throws StorageError */
export async function removeEndpoint(db: D1Database, owner: string, id: string): Promise<void> {
  await onD1(() =>
    db.prepare("DELETE FROM endpoint WHERE id = ?1 AND owner = ?2").bind(id, owner).run(),
  );
}

/**
 * Marks endpoints that Convoy does not know as missing; those under way are left to whoever moves them.
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
 * Takes up to `limit` endpoints on the way to paused or active that nobody has touched since `before`:
 * touched now, they are ours for as long.
 * @throws StorageError
 */
export async function claimStaleMoves(
  db: D1Database,
  when: { before: number; now: number; limit: number },
): Promise<EndpointRow[]> {
  const { results } = await onD1(() =>
    db
      .prepare(
        `UPDATE endpoint SET updated_at = ?2 WHERE id IN (
           SELECT id FROM endpoint WHERE status IN ('pausing', 'activating') AND updated_at < ?1
           ORDER BY updated_at LIMIT ?3) RETURNING *`,
      )
      .bind(when.before, when.now, when.limit)
      .all<EndpointRow>(),
  );
  return results;
}
