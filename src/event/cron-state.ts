/** The cron's progress, its work, and the backlog: one row of D1, one statement per run. */
import { BACKLOG_COUNT_MAX, EVENT_WINDOW_ROWS, OPEN_COUNT_MAX } from "../config.ts";
import { batch, first, run, type Statement } from "../storage.ts";
import { DUE, RANK, UNSTORED } from "./lease.ts";
import { type Backlog, backlog, toBacklog } from "./table.ts";

/** A place in the walk of Convoy's list. `until` null: no window is open. Times in ms. */
export type WalkPlace = { since: number | null; until: number | null; cursor: string | null };

/** What a run of the cron starts from. */
export type Agenda = {
  walk: WalkPlace;
  /** Nothing is posted before this time (ms): Convoy asked us to wait. */
  closedUntil: number;
  /** Event id up to which the scrub is done. */
  scrubAfter: string;
  /** Seq after which the purge continues. */
  purgeAfter: number;
  /** When the log's first event occurred (ms). */
  logBeginsAt: number | null;
  /** Which tasks have work. `walkable`: there are events of which Convoy's list may know more than the log. */
  toPost: boolean;
  toProject: boolean;
  toLookUp: boolean;
  walkable: boolean;
  toScrub: boolean;
  /** Endpoints whose change was interrupted; deliveries to be resent, or to be searched. */
  toMove: boolean;
  toRecover: boolean;
  toPurge: boolean;
};

/** The times by which something is due. Event ids sort by time. */
export type AgendaTimes = { now: number; scrubUntil: string; purgeBefore: number };

// Each EXISTS stops at the first row of an index.
const AGENDA = `SELECT s.*,
  (SELECT occurred_at FROM event ORDER BY seq LIMIT 1) AS log_begins_at,
  EXISTS (${DUE.post}) AS to_post,
  EXISTS (${DUE.project}) AS to_project,
  EXISTS (${DUE["look-up"]}) AS to_look_up,
  EXISTS (SELECT 1 FROM event WHERE state = 'pending' OR stored = 0) OR EXISTS (SELECT 1 FROM event
    WHERE state = 'accepted' AND stored IS NOT 0 AND due_at IS NOT NULL) AS walkable,
  EXISTS (SELECT 1 FROM event WHERE id > s.scrub_after AND id < ?2) AS to_scrub,
  EXISTS (SELECT 1 FROM endpoint WHERE due_at <= ?1) AS to_move,
  EXISTS (SELECT 1 FROM recovery WHERE due_at <= ?1) OR EXISTS (SELECT 1 FROM endpoint)
    AND (SELECT count(*) FROM delivery_walk WHERE due_at > ?1) < 4 AS to_recover,
  s.purge_after > 0 OR coalesce((SELECT occurred_at FROM event WHERE seq > s.purge_after
    ORDER BY seq LIMIT 1) < ?3, 0) AS to_purge
FROM cron_state AS s`;

/** Reads the state and what is due. @throws StorageError */
export async function readAgenda(
  db: D1Database,
  { now, scrubUntil, purgeBefore }: AgendaTimes,
): Promise<Agenda> {
  const row = await first<Record<string, number | string | null>>(
    db,
    ...[AGENDA, now, scrubUntil, purgeBefore],
  );
  const { walk_since, walk_until, walk_cursor, closed_until, scrub_after, purge_after } = row ?? {};
  return {
    walk: {
      since: numberOrNull(walk_since),
      until: numberOrNull(walk_until),
      cursor: typeof walk_cursor === "string" ? walk_cursor : null,
    },
    closedUntil: Number(closed_until ?? 0),
    scrubAfter: String(scrub_after ?? ""),
    purgeAfter: Number(purge_after ?? 0),
    logBeginsAt: numberOrNull(row?.log_begins_at),
    toPost: row?.to_post === 1,
    toProject: row?.to_project === 1,
    toLookUp: row?.to_look_up === 1,
    walkable: row?.walkable === 1,
    toScrub: row?.to_scrub === 1,
    toMove: row?.to_move === 1,
    toRecover: row?.to_recover === 1,
    toPurge: row?.to_purge === 1,
  };
}

function numberOrNull(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

/** Records that Convoy asked us to wait: nothing is posted before `until` (ms). @throws StorageError */
export async function closeUntil(db: D1Database, until: number): Promise<void> {
  await run(db, "UPDATE cron_state SET closed_until = ?", until);
}

/**
 * Moves the walk, if it is still at `from`. The `cursor` of a window is saved after each page.
 * @returns whether it moved: if not, another run is ahead
 * @throws StorageError
 */
export async function moveWalk(db: D1Database, from: WalkPlace, to: WalkPlace): Promise<boolean> {
  return (await run(db, ...walkStatement(from, to))) === 1;
}

/** The statement of `moveWalk`, to run in one transaction with what a page confirms. */
export function walkStatement(from: WalkPlace, to: WalkPlace): [sql: string, ...values: unknown[]] {
  return [
    `UPDATE cron_state SET walk_since = ?, walk_until = ?, walk_cursor = ?
     WHERE walk_since IS ? AND walk_until IS ? AND walk_cursor IS ? RETURNING id`,
    ...[to.since, to.until, to.cursor, from.since, from.until, from.cursor],
  ];
}

/** Saves the scrub's progress, if no other run is ahead. @throws StorageError */
export async function moveScrub(db: D1Database, from: string, to: string): Promise<void> {
  await run(db, "UPDATE cron_state SET scrub_after = ?2 WHERE scrub_after = ?1", from, to);
}

/** The service's progress. Times in ms. `closedUntil`: Convoy asked us to wait until then; null: it did not. */
export type Progress = {
  backlog: Backlog;
  /** Changes that KV may lack. */
  unstored: { changes: number; oldestMs: number | null };
  /** How long ago Convoy listed what the walk has reached; null: it has never begun, or an owner asks. */
  walkLagMs: number | null;
  /** Null for an owner, too: what the service does for others is not its concern. */
  closedUntil: number | null;
};

// For all owners. Each reads a bounded part of a partial index, whatever the size of the log: event_due
// from the end with the most failures, which has the oldest events, and event_open.
const PENDING = `FROM event WHERE state = 'pending' AND ${RANK} < 1000000 ORDER BY ${RANK} DESC`;
const ALL: Statement[] = [
  [
    `SELECT count(*) AS n, min(occurred_at) AS occurred_at FROM (SELECT occurred_at ${PENDING} LIMIT ?)`,
    BACKLOG_COUNT_MAX,
  ],
  [
    `SELECT count(*) AS n FROM (SELECT state FROM event WHERE state IN ('pending', 'dead')
     ORDER BY owner, state, seq LIMIT ?) WHERE state = 'dead'`,
    OPEN_COUNT_MAX,
  ],
  [
    `SELECT error, count(*) AS events FROM (SELECT error ${PENDING} LIMIT ?)
     WHERE error IS NOT NULL GROUP BY error ORDER BY events DESC LIMIT 5`,
    EVENT_WINDOW_ROWS,
  ],
];

// Of the first ?2 that KV may lack, the owner's (?1), or everyone's if ?1 is null.
const LACKING = `
SELECT count(*) AS n, min(occurred_at) AS occurred_at FROM event
WHERE seq IN (SELECT seq FROM (${UNSTORED} LIMIT ?2)) AND (?1 IS NULL OR owner = ?1)`;

const STATE: Statement = ["SELECT walk_since, closed_until FROM cron_state"];

/** The statements of `progress` for all owners. Exported for a test of what they read. */
export const STATEMENTS: Statement[] = [...ALL, [LACKING, null, BACKLOG_COUNT_MAX], STATE];

type Row = Record<string, number | string | null>;

/**
 * The progress for an owner, or for all of them if `owner` is null. Counts stop at BACKLOG_COUNT_MAX,
 * and all owners' dead events are counted among OPEN_COUNT_MAX entries: beyond that, there are at least
 * as many.
 * @throws StorageError
 */
export async function progress(
  db: D1Database,
  owner: string | null,
  now: number,
): Promise<Progress> {
  const [all, [unstored, state]] = await Promise.all([
    owner === null ? backlogOfAll(db, now) : backlog(db, owner, now),
    batch<Row>(db, [[LACKING, owner, BACKLOG_COUNT_MAX], ...(owner === null ? [STATE] : [])]),
  ]);
  const [behind] = unstored ?? [];
  const [at] = state ?? [];
  const closedUntil = Number(at?.closed_until ?? 0);
  return {
    backlog: all,
    unstored: { changes: Number(behind?.n ?? 0), oldestMs: ago(behind?.occurred_at, now) },
    walkLagMs: ago(at?.walk_since, now),
    closedUntil: closedUntil > now ? closedUntil : null,
  };
}

async function backlogOfAll(db: D1Database, now: number): Promise<Backlog> {
  const [pending, dead, errors] = await batch<Row>(db, ALL);
  return toBacklog({ pending, dead, oldest: pending, errors }, now);
}

function ago(time: unknown, now: number): number | null {
  return typeof time === "number" ? Math.max(0, now - time) : null;
}
