/** Keeping the log small and KV true: purge and scrub. */
import { onD1 } from "../storage.ts";

/**
 * Removes finished rows from before `before`. The purge rule: a change's row may go only when no older
 * row of the same todo remains; else an old row becomes the "latest" and brings the past back.
 * One statement of at most `limit` rows, oldest first, so that it holds within the batch too.
 * @returns how many went
 * @throws StorageError
 */
export async function purge(db: D1Database, before: number, limit: number): Promise<number> {
  const result = await onD1(() =>
    db
      .prepare(
        `DELETE FROM event WHERE seq IN (
           SELECT seq FROM event AS e WHERE finished_at < ?1 AND finished_at IS NOT NULL
             AND (stored IS NULL OR NOT EXISTS (SELECT 1 FROM event AS older
               WHERE older.owner = e.owner AND older.todo_id = e.todo_id
                 AND older.stored IS NOT NULL AND older.seq < e.seq))
           ORDER BY finished_at LIMIT ?2)`,
      )
      .bind(before, limit)
      .run(),
  );
  return result.meta.changes;
}

/** A todo's last word, as far as the log calls it stored. */
export type StoredWord = { seq: number; owner: string; todo_id: number; deleted: 0 | 1 };

/**
 * The last word of todos changed since `sinceId`, a UUIDv7 (ids sort by time: served by the unique
 * index), where it is called stored and was made before `until`: later ones may still be on their way.
 * @throws StorageError
 */
export async function storedSince(
  db: D1Database,
  sinceId: string,
  until: number,
  limit: number,
): Promise<StoredWord[]> {
  const { results } = await onD1(() =>
    db
      .prepare(
        `SELECT seq, owner, todo_id, type = 'deleted' AS deleted FROM event AS e
         WHERE id >= ?1 AND occurred_at < ?2 AND stored = 1
           AND NOT EXISTS (SELECT 1 FROM event AS later WHERE later.owner = e.owner
             AND later.todo_id = e.todo_id AND later.stored IS NOT NULL AND later.seq > e.seq)
         ORDER BY id DESC LIMIT ?3`,
      )
      .bind(sinceId, until, limit)
      .all<StoredWord>(),
  );
  return results;
}

/** Says that KV does not hold these changes after all: the sweeper projects them again. @throws StorageError */
export async function unstore(db: D1Database, seqs: number[], now: number): Promise<void> {
  if (seqs.length === 0) return;
  await onD1(() =>
    db
      .prepare(
        `UPDATE event SET stored = 0, due_at = ?2, finished_at = NULL
         WHERE seq IN (SELECT value FROM json_each(?1)) AND stored = 1`,
      )
      .bind(JSON.stringify(seqs), now)
      .run(),
  );
}
