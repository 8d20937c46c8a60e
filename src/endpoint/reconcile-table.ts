/** Endpoint records against what Convoy lists. `owner` null: everybody's. */

import { onD1 } from "../storage.ts";
import type { EndpointFields, EndpointRow, EndpointStatus } from "./table.ts";

/** Creations begun before `before` and never ended: somebody crashed. @throws StorageError */
export async function staleDrafts(db: D1Database, owner: string | null, before: number) {
  const { results } = await onD1(() =>
    db
      .prepare(
        `SELECT * FROM endpoint WHERE status = 'creating' AND created_at < ?1
           AND (?2 IS NULL OR owner = ?2) ORDER BY created_at LIMIT 100`,
      )
      .bind(before, owner)
      .all<EndpointRow>(),
  );
  return results;
}

/** The records of these ids, whoever owns them. @throws StorageError */
export async function recordsOf(db: D1Database, ids: string[]): Promise<Map<string, EndpointRow>> {
  const { results } = await onD1(() =>
    db
      .prepare("SELECT * FROM endpoint WHERE id IN (SELECT value FROM json_each(?))")
      .bind(JSON.stringify(ids))
      .all<EndpointRow>(),
  );
  return new Map(results.map((row) => [row.id, row]));
}

/** An endpoint made elsewhere (in the portal) that has an owner and a subscription. */
export type Adopted = EndpointFields & {
  id: string;
  owner: string;
  status: EndpointStatus;
  subscription_id: string;
  created_at: number;
};

/** Records an endpoint made elsewhere, once. @throws StorageError */
export async function adopt(db: D1Database, made: Adopted, now: number): Promise<void> {
  await onD1(() =>
    db
      .prepare(
        `INSERT INTO endpoint (id, owner, name, url, description, http_timeout_s, status,
           subscription_id, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (id) DO NOTHING`,
      )
      .bind(
        made.id,
        made.owner,
        made.name,
        made.url,
        made.description,
        made.http_timeout_s,
        made.status,
        made.subscription_id,
        made.created_at,
        now,
      )
      .run(),
  );
}

/** Takes over what Convoy says of a record that nobody has changed since it was read. @throws StorageError */
export async function follow(
  db: D1Database,
  row: EndpointRow,
  told: EndpointFields & { status: EndpointStatus },
  now: number,
): Promise<void> {
  await onD1(() =>
    db
      .prepare(
        `UPDATE endpoint SET name = ?4, url = ?5, description = ?6, http_timeout_s = ?7, status = ?8,
           updated_at = ?9 WHERE id = ?1 AND status = ?2 AND updated_at = ?3`,
      )
      .bind(
        row.id,
        row.status,
        row.updated_at,
        told.name,
        told.url,
        told.description,
        told.http_timeout_s,
        told.status,
        now,
      )
      .run(),
  );
}

/** Marks as missing what Convoy did not list; never deletes. Records touched since `before` are left alone. @throws StorageError */
export async function markMissing(
  db: D1Database,
  owner: string | null,
  listed: string[],
  when: { before: number; now: number },
): Promise<number> {
  const result = await onD1(() =>
    db
      .prepare(
        `UPDATE endpoint SET status = 'missing', updated_at = ?4
         WHERE status IN ('active', 'paused', 'inactive') AND updated_at < ?3
           AND (?1 IS NULL OR owner = ?1) AND id NOT IN (SELECT value FROM json_each(?2))`,
      )
      .bind(owner, JSON.stringify(listed), when.before, when.now)
      .run(),
  );
  return result.meta.changes;
}
