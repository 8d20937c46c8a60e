/** Replay: ours, since Convoy's own event replay answers 200 and delivers nothing (recorded). */
import { LEASE_MS, REPLAY_MAX } from "../config.ts";
import { all, first } from "../storage.ts";
import type { EventRow } from "./table.ts";

// Convoy's ledger holds the key of what it accepted, or listed as a failure: only a new one makes it
// take the event again. Otherwise the key is unused.
const REOPEN = `state = 'pending', attempts = 0, missing = 0, lookups = 0, stranded = 0, error = NULL,
  finished_at = NULL, replays = replays + (accepted_at IS NOT NULL), accepted_at = NULL`;

/**
 * Opens a finished event again and takes it until its `due_at`.
 * @returns null where it is not the owner's, or still on its way
 * @throws StorageError
 */
export function replay(
  db: D1Database,
  owner: string,
  id: string,
  now: number,
): Promise<EventRow | null> {
  return first<EventRow>(
    db,
    `UPDATE event SET ${REOPEN}, due_at = ?3
     WHERE id = ?1 AND owner = ?2 AND due_at IS NULL RETURNING *`,
    ...[id, owner, now + LEASE_MS],
  );
}

/** Opens up to REPLAY_MAX dead events of the owner again, oldest first, due at once. @returns how many @throws StorageError */
export async function replayDead(db: D1Database, owner: string, now: number): Promise<number> {
  const rows = await all(
    db,
    // Served by event_open.
    `UPDATE event SET ${REOPEN}, due_at = ?2 WHERE seq IN (SELECT seq FROM event
     WHERE owner = ?1 AND state IN ('pending', 'dead') AND state = 'dead' AND due_at IS NULL
     ORDER BY seq LIMIT ?3) RETURNING seq`,
    ...[owner, now, REPLAY_MAX],
  );
  return rows.length;
}
