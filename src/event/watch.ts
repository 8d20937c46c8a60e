/** What an operator watches: what waits, of one owner or of all, and how far the cron is (docs/operate.md). */
import { BACKLOG_COUNT_MAX, EVENT_WINDOW_ROWS, OPEN_COUNT_MAX } from "../config.ts";
import { batch, type Statement } from "../storage.ts";
import type { Backlog } from "./answers.ts";
import { backlog, toBacklog } from "./table.ts";

/** How far things are. Times in ms. `closedUntil`: Convoy asked for time until then; null: it did not. */
export type Progress = {
  backlog: Backlog;
  /** Changes that KV may lack. */
  unstored: { changes: number; oldestMs: number | null };
  /** How long ago Convoy listed what the walk has come to; null: it has never begun, or an owner asks. */
  walkLagMs: number | null;
  /** Null for an owner, too: what the service does for others is none of its business. */
  closedUntil: number | null;
};

// Of all owners. Each reads a bounded part of a partial index, whatever the size of the log: event_pending
// from the end where the most failures are, which is where the oldest events are, and event_open.
const PENDING = "FROM event WHERE state = 'pending' ORDER BY attempts + 1000 * missing DESC";
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

// Of the first so many that KV may lack, the owner's (?1), or everybody's where there is none. By event_unstored.
const UNSTORED = `
SELECT count(*) AS n, min(occurred_at) AS occurred_at
FROM (SELECT owner, occurred_at FROM event WHERE stored = 0 ORDER BY due_at LIMIT ?2)
WHERE ?1 IS NULL OR owner = ?1`;

const STATE: Statement = ["SELECT walk_since, closed_until FROM cron_state"];

/** The statements of `progress` for all owners. Exported for a test of what they read. */
export const STATEMENTS: Statement[] = [...ALL, [UNSTORED, null, BACKLOG_COUNT_MAX], STATE];

type Row = Record<string, number | string | null>;

/**
 * How far things are for an owner, or for all of them where `owner` is null. Counts end at
 * BACKLOG_COUNT_MAX, dead events of all owners are looked for among OPEN_COUNT_MAX: beyond, there are
 * at least as many.
 * @throws StorageError
 */
export async function progress(
  db: D1Database,
  owner: string | null,
  now: number,
): Promise<Progress> {
  const [all, [unstored, state]] = await Promise.all([
    owner === null ? backlogOfAll(db, now) : backlog(db, owner, now),
    batch<Row>(db, [[UNSTORED, owner, BACKLOG_COUNT_MAX], ...(owner === null ? [STATE] : [])]),
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
