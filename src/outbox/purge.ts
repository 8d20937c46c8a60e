/** Keeps the log small: what is finished is removed when its retention is over; what was held too long is given up. */
import type { Budget } from "../run.ts";
import { batch, run } from "../storage.ts";
import { idAt } from "./time-range.ts";
import { WAITING } from "./turns.ts";

// Rows that one statement looks at; few, since D1 has one writer.
const WINDOW = 500;

// ?1 the time before which something must be finished, ?2 the place, ?3 the window. An event stays while KV may lack it,
// while one of its deliveries is not final, or became so after that time.
const STAYS = `(event.projected IS 0 OR event.occurred_at >= ?1 OR EXISTS (SELECT 1 FROM delivery
  WHERE event_seq = event.seq AND (finished_at IS NULL OR finished_at >= ?1)))`;

// The purge rule: a change's row may go only if no older row of its resource remains; otherwise an old row becomes the
// latest and brings the past back. In order of seq, so that many rows of one resource go at once: within the window
// `staying` counts the older rows that stay; before it, any older row counts. Evaluated twice, for the deliveries and for the
// events: an event whose deliveries have just gone goes, too.
const GOING = `
SELECT seq FROM (
  SELECT seq, owner, resource, resource_id, change, stays,
    sum(stays) OVER (PARTITION BY owner, resource, resource_id, change IS NOT NULL ORDER BY seq) AS staying
  FROM (SELECT event.seq, event.owner, event.resource, event.resource_id, event.change, ${STAYS} AS stays
    FROM event WHERE event.seq > ?2 ORDER BY event.seq LIMIT ?3)
) AS e
WHERE NOT stays AND (change IS NULL OR (staying = 0 AND ?2 < (SELECT min(seq) FROM event AS first
  WHERE first.owner = e.owner AND first.resource = e.resource AND first.resource_id = e.resource_id
    AND first.change IS NOT NULL)))`;

const PURGE_DELIVERIES = `DELETE FROM delivery WHERE event_seq IN (${GOING})`;
const PURGE_EVENTS = `DELETE FROM event WHERE seq IN (${GOING}) RETURNING seq`;

// On to the end of the window, or back to the beginning once that end is too recent.
const MOVE = `
UPDATE cron_state SET purge_after = coalesce((SELECT iif(occurred_at < ?1, seq, 0) FROM event
  WHERE seq > ?2 ORDER BY seq LIMIT 1 OFFSET ?3 - 1), 0) WHERE purge_after = ?2 RETURNING purge_after`;

/**
 * Removes events that were finished before `before` (ms), with their deliveries, as many as the budget allows.
 * @returns how many events were removed
 */
export async function purge(
  db: D1Database,
  before: number,
  from: number,
  budget: Budget,
): Promise<number> {
  let purged = 0;
  let after = from;
  while (budget.left() >= 1) {
    const place = [before, after, WINDOW];
    const [moved = [], , gone = []] = await batch<{ purge_after: number }>(db, [
      [MOVE, ...place],
      [PURGE_DELIVERIES, ...place],
      [PURGE_EVENTS, ...place],
    ]);
    purged += gone.length;
    const [to] = moved;
    if (!to || to.purge_after === 0) break;
    after = to.purge_after;
  }
  return purged;
}

// The first event that is not old: ids sort by time, so one step of the unique index; a few events before it may not be
// old either, since requests at once may commit in another order than their ids have. Then one step of delivery_held for
// each endpoint with something held: its oldest ones.
function expiredSql(id: string): string {
  return `
WITH RECURSIVE ${WAITING}
SELECT held.event_seq, held.endpoint_id FROM waiting CROSS JOIN delivery AS held
  ON held.endpoint_id = waiting.endpoint_id AND held.status = 'held' AND held.event_seq
    < coalesce((SELECT seq FROM event WHERE id >= ${id} ORDER BY id LIMIT 1), ${Number.MAX_SAFE_INTEGER})
WHERE waiting.endpoint_id IS NOT NULL AND (SELECT id FROM event WHERE seq = held.event_seq) < ${id}`;
}

/** SQL: whether anything is held of events before the one with this id. */
export function hasExpiredSql(id: string): string {
  return `EXISTS (${expiredSql(id)})`;
}

/** Gives up what is held of events from before `before` (ms). @returns how many */
export function expireHeld(db: D1Database, before: number, now: number): Promise<number> {
  return run(
    db,
    `UPDATE delivery SET status = 'dead', due_at = NULL, finished_at = ?3, error = 'It was held for too long.'
     WHERE status = 'held' AND (event_seq, endpoint_id) IN (${expiredSql("?1")} LIMIT ?2)`,
    ...[idAt(before), WINDOW, now],
  );
}
