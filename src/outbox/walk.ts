/**
 * The walk: the gateway's list of deliveries, read once, in order, through times in which something is under way
 * (docs/design.md).
 */
import type { Budget } from "../run.ts";
import { all, run as runStatement, type Statement } from "../storage.ts";
import type { Run } from "./cron-run.ts";
import type { Listed } from "./gateway.ts";
import { CLOCK_SKEW_MS, learn, type Proof } from "./learn.ts";

/**
 * A place in the walk. Everything before `since` is done; `until` null: no window is open. `endpoints`: those that
 * the window is about, null for all. `failures`: how often in a row its page could not be read. Times in ms.
 */
export type WalkPlace = {
  since: number | null;
  until: number | null;
  cursor: string | null;
  endpoints: string[] | null;
  failures: number;
};

/** What one run of the walk did. `place`: where it is now. `problem`: why it stopped before its window's end. */
export type WalkReport = {
  pages: number;
  delivered: number;
  failed: number;
  held: number;
  place: WalkPlace;
  problem?: string;
};

// Deliveries on a page: 3.2 KB each (recorded). A page that cannot be read is asked for again, halved each time:
// 50, 25, 12.
const PAGE = 100;
// The window is read anew from its beginning after this many failures, and given up after the second.
const ANEW_AFTER = 4;
const PASSED_AFTER = 8;
const FAILURES_A_RUN = 3;
// A window names its endpoints if there are at most so many, among at most so many deliveries.
const NAMED_MAX = 20;
const NAMED_ROWS_MAX = 200;
// With nothing under way, the walk moves on without reading once its place is this old.
const IDLE_MS = 600_000;

/**
 * Continues where the last run stopped: a window of time is fixed when none is open, and the place in it is saved
 * after each page, so that nothing is read twice, whatever the traffic.
 * @param agenda `underWay`: whether anything is pending or sending
 */
export async function walk(
  run: Run,
  agenda: { walk: WalkPlace; proof: Proof; underWay: boolean; firstUnderWayAt: number },
  budget: Budget,
): Promise<WalkReport> {
  const report: WalkReport = { pages: 0, delivered: 0, failed: 0, held: 0, place: agenda.walk };
  if (!agenda.underWay) return { ...report, place: await skip(run, agenda.walk, budget) };
  if (report.place.until === null) {
    const opened = await openWindow(run, agenda, budget);
    if (opened === null) return report;
    report.place = opened;
  }
  const visited = new Set<string | null>();
  let failures = 0;
  // The page; looking for stuck ones, recording, telling.
  while (report.place.until !== null && budget.left() >= 4) {
    const at = Date.now();
    const listed = await readPage(run, report.place);
    if (listed.kind === "silent") return { ...report, problem: listed.error };
    visited.add(report.place.cursor);
    const isAhead = listed.kind === "page" && (listed.next === null || !visited.has(listed.next));
    if (!isAhead) {
      report.place = await stumble(run, report.place);
      const error = listed.kind === "page" ? "its cursor goes in circles" : listed.error;
      if (++failures >= FAILURES_A_RUN) return { ...report, problem: error };
      visited.clear();
      continue;
    }
    const { place } = report;
    const to = listed.next === null ? closed(place) : further(place, listed.next);
    const seen = { proof: agenda.proof, at, room: budget.left() - 4 };
    const learned = await learn(run, listed.deliveries, seen, [moveStatement(place, to)]);
    report.pages++;
    report.delivered += learned.delivered;
    report.failed += learned.failed;
    report.held += learned.held;
    if (learned.also.length === 0) return { ...report, problem: "another run is ahead" };
    report.place = to;
  }
  return report.place.until === null ? report : { ...report, problem: "budget" };
}

/** The place after a window: the next one begins at its end. */
function closed(place: WalkPlace): WalkPlace {
  return { since: place.until, until: null, cursor: null, endpoints: null, failures: 0 };
}

/** The place after a page. In a window that was begun anew, what broke it may still lie ahead: failures count on. */
function further(place: WalkPlace, cursor: string): WalkPlace {
  return { ...place, cursor, failures: place.failures < ANEW_AFTER ? 0 : place.failures };
}

function readPage({ gateway }: Run, place: WalkPlace): Promise<Listed> {
  return gateway.list({
    // Whoever posted it may have a clock that is ahead.
    fromMs: (place.since ?? 0) - CLOCK_SKEW_MS,
    toMs: place.until ?? 0,
    cursor: place.cursor,
    limit: PAGE >> (place.failures % ANEW_AFTER),
    ...(place.endpoints ? { endpointIds: place.endpoints } : {}),
  });
}

/** Fixes the next window. Null: it would be empty, the budget is spent, or another run has opened it. */
async function openWindow(
  run: Run,
  { walk: place, firstUnderWayAt }: { walk: WalkPlace; firstUnderWayAt: number },
  budget: Budget,
): Promise<WalkPlace | null> {
  const since = place.since ?? firstUnderWayAt - CLOCK_SKEW_MS;
  const until = Date.now() - run.settings.walkDelayMs;
  if (until <= since || budget.left() < 2) return null;
  const endpoints = await endpointsUnderWay(run.env.DB);
  const window = { since, until, cursor: null, endpoints, failures: 0 };
  return (await move(run.env.DB, place, window)) ? window : null;
}

/** The endpoints with something under way, if they are few: other programs may use the gateway, too. */
async function endpointsUnderWay(db: D1Database): Promise<string[] | null> {
  const rows = await all<{ endpoint_id: string }>(
    db,
    `SELECT endpoint_id FROM (SELECT endpoint_id FROM delivery WHERE status = 'sending' LIMIT ?1)
     UNION ALL SELECT endpoint_id FROM (SELECT endpoint_id FROM delivery WHERE status = 'pending' LIMIT ?1)`,
    NAMED_ROWS_MAX,
  );
  const ids = [...new Set(rows.map(({ endpoint_id }) => endpoint_id))];
  return rows.length < NAMED_ROWS_MAX && ids.length <= NAMED_MAX ? ids : null;
}

/** With nothing to find, the next window begins later, at the cost of an occasional write. */
async function skip({ env, settings }: Run, place: WalkPlace, budget: Budget): Promise<WalkPlace> {
  const since = Date.now() - Math.max(settings.walkDelayMs, CLOCK_SKEW_MS);
  if (place.since !== null && since - place.since < IDLE_MS) return place;
  const to = { since, until: null, cursor: null, endpoints: null, failures: 0 };
  return budget.left() >= 1 && (await move(env.DB, place, to)) ? to : place;
}

/**
 * After a page that cannot be read: a smaller one; then the window anew; then on to the next window, if the gateway can
 * list anything at all. What was due in the one that is passed is looked for by its key.
 */
async function stumble(run: Run, place: WalkPlace): Promise<WalkPlace> {
  const failures = place.failures + 1;
  let to: WalkPlace = { ...place, failures };
  if (failures === ANEW_AFTER) to = { ...to, cursor: null };
  if (failures >= PASSED_AFTER) {
    const now = Date.now();
    const elsewhere = await run.gateway.list({ fromMs: now, toMs: now, cursor: null, limit: 1 });
    to = elsewhere.kind === "page" ? closed(place) : { ...place, failures: PASSED_AFTER };
  }
  return (await move(run.env.DB, place, to)) ? to : place;
}

async function move(db: D1Database, from: WalkPlace, to: WalkPlace): Promise<boolean> {
  return (await runStatement(db, ...moveStatement(from, to))) === 1;
}

/** Moves the walk if it is still at `from`: two runs at once count as one. */
function moveStatement(from: WalkPlace, to: WalkPlace): Statement {
  const values = ({ since, until, cursor, failures }: WalkPlace) => [
    since,
    until,
    cursor,
    failures,
  ];
  const endpoints = to.endpoints && JSON.stringify(to.endpoints);
  return [
    `UPDATE cron_state SET walk_since = ?, walk_until = ?, walk_cursor = ?, walk_failures = ?, walk_endpoints = ?
     WHERE walk_since IS ? AND walk_until IS ? AND walk_cursor IS ? AND walk_failures = ? RETURNING id`,
    ...[...values(to), endpoints, ...values(from)],
  ];
}
