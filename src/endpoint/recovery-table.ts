/**
 * Recovery in D1: how far deliveries have been searched, and which are to be resent
 * (docs/design.md, section 7).
 */
import { CLOCK_SKEW_MS } from "../config.ts";
import type { StuckStatus } from "../convoy/deliveries.ts";
import { all, batch, run, type Statement } from "../storage.ts";
import type { Seen } from "./table.ts";

/** How far the deliveries of one status have been searched. Times in ms; `until` null: no window is open. */
export type Place = {
  status: StuckStatus;
  since: number;
  until: number | null;
  cursor: string | null;
  due_at: number;
};

/** Deliveries of an endpoint that are to be resent. */
export type Recovery = {
  endpoint_id: string;
  status: Exclude<StuckStatus, "Processing">;
  /** When the oldest of them was created, as far as known (ms). */
  since: number;
  /** look: ask whether any are left, and whether the endpoint is active. retry: resend them. */
  action: "look" | "retry";
  /** The lease of the run that has it, or when it is due. */
  due_at: number;
};

/**
 * A project's places, one per status; null if there are no endpoints, and so nothing to search.
 * @throws StorageError
 */
export async function placesOf(db: D1Database, project: string): Promise<Place[] | null> {
  const rows = await all<Place & { status: StuckStatus | null }>(
    db,
    `SELECT walk.* FROM (SELECT 1 FROM endpoint LIMIT 1) LEFT JOIN delivery_walk AS walk ON walk.project = ?`,
    project,
  );
  return rows.length === 0 ? null : rows.filter((row) => row.status !== null);
}

/** Moves a place on, but only from where its page was read: another run may be ahead. */
export function movePlace(project: string, from: Place, to: Place): Statement {
  return [
    `INSERT INTO delivery_walk (project, status, since, until, cursor, due_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT (project, status) DO UPDATE
       SET since = excluded.since, until = excluded.until, cursor = excluded.cursor, due_at = excluded.due_at
       WHERE since = ?7 AND until IS ?8 AND cursor IS ?9`,
    project,
    to.status,
    to.since,
    to.until,
    to.cursor,
    to.due_at,
    from.since,
    from.until,
    from.cursor,
  ];
}

/** An endpoint with deliveries to resend, and whether Convoy says that it is active. */
export type Found = { id: string; since: number; active: boolean };

/** Notes what a page showed, for endpoints on record. What is already noted keeps its due time. */
export function noteFound(
  project: string,
  status: Recovery["status"],
  found: Found[],
  activeDue: number,
  inactiveDue: number,
): Statement {
  return [
    `INSERT INTO recovery (project, endpoint_id, status, since, action, due_at)
     SELECT ?1, endpoint.id, ?2, f.value ->> 'since', iif(f.value ->> 'active', 'retry', 'look'),
       iif(f.value ->> 'active', ?4, ?5)
     FROM json_each(?3) AS f JOIN endpoint ON endpoint.id = f.value ->> 'id'
     WHERE true ON CONFLICT (endpoint_id, status) DO UPDATE
       SET since = min(since, excluded.since), project = excluded.project`,
    project,
    status,
    JSON.stringify(found),
    activeDue,
    inactiveDue,
  ];
}

/** Has what an endpoint missed looked for, or resent, from `due` on. */
export function recoverDiscarded(
  project: string,
  endpointId: string,
  {
    since,
    now,
    action,
    due,
  }: { since: number; now: number; action: Recovery["action"]; due: number },
): Statement {
  return [
    `INSERT INTO recovery (project, endpoint_id, status, since, action, due_at)
     SELECT ?1, id, 'Discarded', min(?3, ?4), ?5, ?6 FROM endpoint WHERE id = ?2
     ON CONFLICT (endpoint_id, status) DO UPDATE SET since = min(since, excluded.since),
       action = excluded.action, due_at = excluded.due_at, project = excluded.project`,
    project,
    endpointId,
    since,
    now,
    action,
    due,
  ];
}

/** Like `recoverDiscarded`, for those of `seen` that Convoy says are active but whose record does not yet. */
export function recoverResumed(
  project: string,
  seen: Pick<Seen, "id" | "status">[],
  askedAt: number,
  now: number,
): Statement {
  const active = seen.filter((one) => one.status === "active").map((one) => one.id);
  return [
    `INSERT INTO recovery (project, endpoint_id, status, since, action, due_at)
     SELECT ?1, id, 'Discarded', min(coalesce(paused_at, ?3), ?3), 'retry', ?3 FROM endpoint
     WHERE id IN (SELECT value FROM json_each(?2)) AND (due_at IS NULL OR due_at <= ?3) AND updated_at < ?4
       AND status IN ('paused', 'inactive', 'missing')
     ON CONFLICT (endpoint_id, status) DO UPDATE SET since = min(since, excluded.since),
       action = excluded.action, due_at = excluded.due_at, project = excluded.project`,
    project,
    JSON.stringify(active),
    now,
    askedAt - CLOCK_SKEW_MS,
  ];
}

/**
 * Claims up to `limit` due recoveries of one status and action until `lease`, longest waiting first; no
 * retries if `looksOnly`.
 * @throws StorageError
 */
export function claimRecoveries(
  db: D1Database,
  project: string,
  claim: { now: number; lease: number; limit: number; looksOnly: boolean },
): Promise<Recovery[]> {
  const due = `FROM recovery WHERE project = ?1 AND due_at <= ?2 AND (action = 'look' OR NOT ?5)`;
  return all<Recovery>(
    db,
    `UPDATE recovery SET due_at = ?3 WHERE (endpoint_id, status) IN (
       SELECT endpoint_id, status ${due}
         AND (status, action) = (SELECT status, action ${due} ORDER BY due_at LIMIT 1)
       ORDER BY due_at LIMIT ?4) RETURNING *`,
    project,
    claim.now,
    claim.lease,
    claim.limit,
    claim.looksOnly ? 1 : 0,
  );
}

/** The outcome of a recovery that is ours: over, or due again. */
export type Settled = {
  recovery: Recovery;
  next: { action: Recovery["action"]; due: number } | null;
};

/** Records the outcome of recoveries that are still ours. */
export function settleRecoveries(settled: Settled[]): Statement[] {
  const rows = settled.map(({ recovery, next }) => ({
    id: recovery.endpoint_id,
    status: recovery.status,
    lease: recovery.due_at,
    action: next?.action ?? null,
    due: next?.due ?? null,
  }));
  const ours = `recovery.endpoint_id = s.value ->> 'id' AND recovery.status = s.value ->> 'status'
    AND recovery.due_at = s.value ->> 'lease'`;
  return [
    [
      `DELETE FROM recovery WHERE EXISTS (
         SELECT 1 FROM json_each(?) AS s WHERE ${ours} AND s.value ->> 'due' IS NULL)`,
      JSON.stringify(rows),
    ],
    [
      `UPDATE recovery SET action = s.value ->> 'action', due_at = s.value ->> 'due' FROM json_each(?) AS s
       WHERE ${ours} AND s.value ->> 'due' IS NOT NULL`,
      JSON.stringify(rows),
    ],
  ];
}

/** A delivery that is stuck in Processing. */
export type Stuck = { deliveryId: string; eventId: string; endpointId: string };

/** The event to repost for a stuck delivery: a row of the log, under the key of `replays`. */
export type Reposted = {
  id: string;
  seq: number;
  owner: string;
  type: "ping" | "created" | "updated" | "deleted" | "failed";
  occurred_at: number;
  todo_id: number | null;
  todo: string | null;
  replays: number;
};

/**
 * Gives a stuck delivery's event its next key, once: a repeated call gets the same one, until it is
 * known to be posted.
 * @returns null if it was already posted, is on its way under another key, or the log has no such event of the
 *   endpoint's owner
 * @throws StorageError
 */
export async function nextKey(db: D1Database, stuck: Stuck, now: number): Promise<Reposted | null> {
  // At rest: whoever holds its lease would set `replays` back.
  const ours = `event.id = ?2 AND event.due_at IS NULL
    AND event.owner = (SELECT owner FROM endpoint WHERE id = ?3)`;
  const [, , rows] = await batch<Reposted>(db, [
    [
      `UPDATE event SET replays = replays + 1 WHERE ${ours}
         AND NOT EXISTS (SELECT 1 FROM reposted WHERE delivery_id = ?1)`,
      stuck.deliveryId,
      stuck.eventId,
      stuck.endpointId,
    ],
    [
      `INSERT INTO reposted (delivery_id, event_id, replays, created_at)
       SELECT ?1, event.id, event.replays, ?4 FROM event WHERE ${ours} ON CONFLICT (delivery_id) DO NOTHING`,
      stuck.deliveryId,
      stuck.eventId,
      stuck.endpointId,
      now,
    ],
    [
      `SELECT event.id, event.seq, event.owner, event.type, event.occurred_at, event.todo_id, event.todo, reposted.replays
       FROM reposted JOIN event ON event.id = reposted.event_id
       WHERE reposted.delivery_id = ?1 AND reposted.posted_at IS NULL`,
      stuck.deliveryId,
    ],
  ]);
  return rows?.[0] ?? null;
}

/** Which of these stuck deliveries were already reposted. @throws StorageError */
export async function repostedOf(db: D1Database, deliveryIds: string[]): Promise<Set<string>> {
  const rows = await all<{ delivery_id: string }>(
    db,
    `SELECT delivery_id FROM reposted WHERE posted_at IS NOT NULL
       AND delivery_id IN (SELECT value FROM json_each(?))`,
    JSON.stringify(deliveryIds),
  );
  return new Set(rows.map((row) => row.delivery_id));
}

/** Remembers that a stuck delivery's event was reposted. @throws StorageError */
export async function markReposted(db: D1Database, deliveryId: string, now: number): Promise<void> {
  await run(db, "UPDATE reposted SET posted_at = ?2 WHERE delivery_id = ?1", deliveryId, now);
}

/** Forgets what was reposted before `before`: no window reaches back that far. */
export function forgetReposted(before: number): Statement {
  return ["DELETE FROM reposted WHERE created_at < ?", before];
}
