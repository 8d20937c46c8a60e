/** Keeps the log small: finished rows are removed when their retention is over (docs/design.md, section 3). */

import { PURGE_WINDOW } from "../config.ts";
import type { Budget } from "../run.ts";
import { batch } from "../storage.ts";

// The purge rule: a change's row may go only if no older row of its todo remains; otherwise an old row
// becomes the latest and brings the past back. In order of seq, so that many rows of one todo go at
// once: within the window `staying` counts the older rows that stay; before it, any older row counts.
const PURGE = `
DELETE FROM event WHERE seq IN (
  SELECT seq FROM (
    SELECT seq, owner, todo_id, type NOT IN ('ping', 'failed') AS is_change,
      finished_at IS NULL OR finished_at >= ?1 AS stays,
      sum(finished_at IS NULL OR finished_at >= ?1) OVER (
        PARTITION BY owner, todo_id, type NOT IN ('ping', 'failed') ORDER BY seq) AS staying
    FROM (SELECT * FROM event WHERE seq > ?2 ORDER BY seq LIMIT ?3)
  ) AS e
  WHERE NOT stays AND (NOT is_change OR (staying = 0 AND ?2 < (SELECT min(seq) FROM event
    WHERE owner = e.owner AND todo_id = e.todo_id AND type NOT IN ('ping', 'failed'))))
) RETURNING seq`;

// On to the end of the window, or back to the beginning once that end is too recent.
const MOVE = `
UPDATE cron_state SET purge_after = coalesce((SELECT iif(occurred_at < ?1, seq, 0) FROM event
  WHERE seq > ?2 ORDER BY seq LIMIT 1 OFFSET ?3 - 1), 0) WHERE purge_after = ?2 RETURNING purge_after`;

/**
 * Removes rows that were finished before `before` (ms), as many as the budget allows.
 * @returns how many were removed
 * @throws StorageError
 */
export async function purge(
  db: D1Database,
  before: number,
  from: number,
  budget: Budget,
): Promise<number> {
  let purged = 0;
  let after = from;
  while (budget.take(1)) {
    const [moved = [], gone = []] = await batch<{ purge_after: number }>(db, [
      [MOVE, before, after, PURGE_WINDOW],
      [PURGE, before, after, PURGE_WINDOW],
    ]);
    purged += gone.length;
    const [place] = moved;
    if (!place || place.purge_after === 0) break;
    after = place.purge_after;
  }
  return purged;
}
