/** How far the service is, for health: what waits, what failed, and where the cron stands. */
import { batch, first, type Statement } from "../storage.ts";
import type { Summary } from "./answers.ts";
import { COUNT_MAX, summaryOf } from "./lists.ts";
import type { CronRow } from "./rows.ts";

/** The service's progress. Times in ms. Null for an owner: what the service does for others is not its concern. */
export type Progress = {
  backlog: Summary;
  /** Changes that KV may lack. */
  unprojected: { changes: number; oldestAt: number | null };
  /** Deliveries that failed or died in the last day. */
  lostLastDay: number;
  /** How far the walk of the gateway's list has come; null: it has never begun. */
  walkedTo: number | null;
  breaker: "closed" | "open" | null;
  breakerUntil: number | null;
  /** The report of the cron's last run. */
  lastReport: string | null;
};

const DAY_MS = 86_400_000;

// For all owners (?1 NULL) or one. Each reads a bounded part of a partial index, whatever the size of the log.
const UNPROJECTED = `SELECT count(*) AS n, min(occurred_at) AS at FROM (
  SELECT occurred_at FROM event WHERE projected = 0 AND (?1 IS NULL OR owner = ?1) LIMIT ?2)`;
const LOST = `SELECT count(*) AS n FROM (SELECT 1 FROM delivery WHERE status IN ('failed', 'dead') AND (?1 IS NULL OR owner = ?1)
  AND finished_at >= ?3 ORDER BY owner, status, event_seq DESC LIMIT ?2)`;
const STATE = "SELECT walk_since, breaker, breaker_until, last_report FROM cron_state";

type Row = { n: number; at: number | null };
type StateRow = Pick<CronRow, "walk_since" | "breaker" | "breaker_until" | "last_report">;

/** The progress for an owner, or for all of them if `owner` is null; counts stop at COUNT_MAX. */
export async function progressOf(
  db: D1Database,
  owner: string | null,
  now: number,
): Promise<Progress> {
  const statements: Statement[] = [
    [UNPROJECTED, owner, COUNT_MAX],
    [LOST, owner, COUNT_MAX, now - DAY_MS],
  ];
  const [backlog, [[unprojected] = [], [lost] = []], state] = await Promise.all([
    summaryOf(db, owner, now),
    batch<Row>(db, statements),
    owner === null ? first<StateRow>(db, STATE) : null,
  ]);
  return {
    backlog,
    unprojected: { changes: unprojected?.n ?? 0, oldestAt: unprojected?.at ?? null },
    lostLastDay: lost?.n ?? 0,
    walkedTo: state?.walk_since ?? null,
    breaker: state?.breaker ?? null,
    breakerUntil: state && state.breaker_until > now ? state.breaker_until : null,
    lastReport: state?.last_report ?? null,
  };
}
