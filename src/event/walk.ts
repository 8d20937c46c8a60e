/**
 * Convoy's list of events: walked once, in order, then queried by key for what the walk did not find
 * (docs/design.md, 5).
 */

import {
  CLOCK_SKEW_MS,
  type DeliverySettings,
  LEASE_MS,
  LOOKUP_CLAIM_MAX,
  LOOKUP_RETRY_MS,
  LOOKUPS_MAX,
  STRANDED_MAX,
  WALK_IDLE_MS,
  WALK_LAG_MAX,
  WALK_PAGE,
} from "../config.ts";
import type { Convoy } from "../convoy/client.ts";
import { type ConvoyEventRecord, findEventOfKey, listEvents } from "../convoy/events.ts";
import { lookAtMissing } from "../endpoint/table.ts";
import type { Budget } from "../run.ts";
import { batch } from "../storage.ts";
import { type Agenda, moveWalk, type WalkPlace, walkStatement } from "./cron-state.ts";
import { claim, type Outcome, record, resultOf } from "./lease.ts";
import { idempotencyKey, parseKey } from "./message.ts";
import { untouched } from "./post.ts";
import type { EventRow } from "./table.ts";

/**
 * What one run of the walk did. `place`: where it is now. `problem`: why it stopped before its
 * window's end.
 */
export type WalkReport = {
  pages: number;
  confirmed: number;
  dead: number;
  place: WalkPlace;
  problem?: string;
};

/** What Convoy's list says about an event. `nobody`: no subscription matched it. `unfinished`: not yet. */
export type Verdict = "done" | "nobody" | "failed" | "unfinished";

const NO_SUBSCRIBER = "no subscription matched this event";

/** What an event's status at Convoy means. */
export function verdictOf(record: ConvoyEventRecord): Verdict {
  if (record.status === "Success") return "done";
  if (record.status !== "Failure") return "unfinished";
  // Before v26.7.0 there is no reason: a fan-out to nobody has no endpoints (facts.md).
  const nobody = record.failure_reason
    ? record.failure_reason === NO_SUBSCRIBER
    : (record.endpoints ?? []).length === 0;
  return nobody ? "nobody" : "failed";
}

/**
 * What the log says about an event that Convoy could not deliver. Convoy's other reasons may name
 * hosts or users.
 */
export const FAILURES = {
  nobody: `Convoy: ${NO_SUBSCRIBER}`,
  failed: "Convoy could not process the event",
} as const;

/**
 * Records what a page of Convoy's list says. For pending rows too, and for those given up after failed
 * posts: the response was lost. `accepted_at` is set, since Convoy's ledger has the key. A row whose todo
 * KV lacks stays due, and leased. Served by the unique index on id. Exported for the bench.
 */
export const CONFIRM = `
UPDATE event SET accepted_at = coalesce(accepted_at, ?2),
  state = iif(seen.verdict = 'done' OR (seen.verdict = 'nobody' AND endpoint_id IS NULL), 'confirmed', 'dead'),
  error = iif(seen.verdict = 'done' OR (seen.verdict = 'nobody' AND endpoint_id IS NULL), NULL,
    iif(seen.verdict = 'nobody', ?3, ?4)),
  due_at = iif(stored = 0, due_at, NULL), finished_at = iif(stored = 0, NULL, ?2)
FROM (SELECT value ->> 'id' AS id, value ->> 'replays' AS replays, value ->> 'verdict' AS verdict
  FROM json_each(?1)) AS seen
WHERE event.id = seen.id AND event.replays = seen.replays
  AND (event.state IN ('pending', 'accepted') OR (event.state = 'dead' AND event.accepted_at IS NULL))
RETURNING state`;

/**
 * Continues where the last run stopped: a window of time is fixed when none is open, and the place in
 * it is saved after each page, so that nothing is read twice, whatever the traffic.
 * @throws StorageError
 */
export async function walk(
  { db, convoy, settings }: { db: D1Database; convoy: Convoy; settings: DeliverySettings },
  agenda: Agenda,
  budget: Budget,
): Promise<WalkReport> {
  const report: WalkReport = { pages: 0, confirmed: 0, dead: 0, place: agenda.walk };
  if (!agenda.walkable || !settings.audit) {
    report.place = await skip(db, agenda, settings, budget);
    return report;
  }
  if (report.place.until === null) {
    const since = report.place.since ?? (agenda.logBeginsAt ?? Date.now()) - CLOCK_SKEW_MS;
    const window = { since, until: Date.now() - settings.audit.delayMs, cursor: null };
    if (window.until <= since || !budget.take(1)) return report;
    if (!(await moveWalk(db, report.place, window))) return report;
    report.place = window;
  }
  while (report.place.until !== null) {
    const { since, until, cursor }: WalkPlace = report.place;
    if (!budget.take(2)) return { ...report, problem: "budget" };
    const options = { perPage: WALK_PAGE, cursor: cursor ?? undefined };
    const answer = await listEvents(convoy, { ...options, fromMs: since ?? 0, toMs: until });
    if (!answer.ok) return { ...report, problem: `Convoy answered ${answer.status}` };
    const { items, next } = answer.data;
    // Another project's list: the API key is wrong, and what the list says about our keys means
    // nothing.
    if (items.some((item) => item.project_id !== convoy.projectId)) {
      return { ...report, problem: "Convoy lists another project: wrong CONVOY_API_KEY?" };
    }
    const to =
      next === null ? { since: until, until: null, cursor: null } : { since, until, cursor: next };
    const now = Date.now();
    const [states = [], moved = []] = await batch<{ state: string }>(db, [
      [CONFIRM, JSON.stringify(seenIn(items)), now, FAILURES.nobody, FAILURES.failed],
      walkStatement(report.place, to),
      lookAtMissing(reachedIn(items), now),
    ]);
    report.pages++;
    report.confirmed += states.filter(({ state }) => state === "confirmed").length;
    report.dead += states.filter(({ state }) => state === "dead").length;
    if (moved.length === 0) return { ...report, problem: "another run is ahead" };
    report.place = to;
  }
  return report;
}

/** With nothing to find, the next window begins later, at the cost of an occasional write. */
async function skip(db: D1Database, { walk }: Agenda, settings: DeliverySettings, budget: Budget) {
  const since = Date.now() - Math.max(settings.audit?.delayMs ?? 0, CLOCK_SKEW_MS);
  if (walk.since !== null && since - walk.since < WALK_IDLE_MS) return walk;
  const place = { since, until: null, cursor: null };
  return budget.take(1) && (await moveWalk(db, walk, place)) ? place : walk;
}

function seenIn(items: ConvoyEventRecord[]) {
  return items.flatMap((item) => {
    const key = parseKey(item.idempotency_key);
    const verdict = verdictOf(item);
    return key && !item.is_duplicate_event && verdict !== "unfinished" ? [{ ...key, verdict }] : [];
  });
}

/** The endpoints that Convoy lists for the finished ones of these events. */
function reachedIn(items: ConvoyEventRecord[]): string[] {
  const done = items.filter((item) => verdictOf(item) === "done");
  return [...new Set(done.flatMap(({ endpoints }) => endpoints ?? []))];
}

/** What one run did. `calls`: requests to Convoy; `again`: events that will be posted again. */
export type LookupReport = { calls: number; confirmed: number; again: number };

/**
 * Looks up the events that are still only accepted after the patience, and that the walk has passed: not
 * found is not the same as not looked at.
 * @throws StorageError
 */
export async function lookUp(
  { db, convoy, settings }: { db: D1Database; convoy: Convoy; settings: DeliverySettings },
  { since }: WalkPlace,
  budget: Budget,
): Promise<LookupReport> {
  const report = { calls: 0, confirmed: 0, again: 0 };
  const patienceMs = settings.audit?.patienceMs ?? null;
  for (;;) {
    // The claim and its results; then one call each.
    const limit = Math.min(LOOKUP_CLAIM_MAX, budget.left() - 2);
    if (limit < 1 || !budget.take(2)) return report;
    const now = Date.now();
    const until = patienceMs === null ? now : lookedAtUntil(since, patienceMs, now);
    const lease = now + LEASE_MS;
    const rows = await claim(db, "look-up", { until, lease, limit });
    const results = [];
    for (const row of rows) {
      const outcome = settings.audit
        ? await lookUpOne(convoy, row, settings.audit.patienceMs, budget, report)
        : { ...untouched(row, now), due_at: null };
      if (outcome.state === "pending") report.again++;
      if (outcome.state === "confirmed") report.confirmed++;
      results.push(resultOf({ row, lease }, outcome, now));
    }
    await record(db, results, { now: Date.now(), patienceMs });
    if (rows.length < limit) return report;
  }
}

/** Rows due before this were accepted before the walk's place. */
function lookedAtUntil(since: number | null, patienceMs: number, now: number): number {
  const walked = since === null ? now : since - CLOCK_SKEW_MS + patienceMs;
  return Math.max(Math.min(now, walked), now - WALK_LAG_MAX * patienceMs);
}

async function lookUpOne(
  convoy: Convoy,
  row: EventRow,
  patienceMs: number,
  budget: Budget,
  report: LookupReport,
): Promise<Outcome> {
  const now = Date.now();
  const same = untouched(row, now + patienceMs);
  const fresh = { attempts: 0, own_failures: 0, failed_at: null };
  const again = { ...same, ...fresh, state: "pending" as const, accepted_at: null, due_at: now };
  const lookups = row.lookups + 1;
  // The first time, do not ask: the same key is safe whether Convoy has it, has it queued, or lost
  // it (recorded).
  if (row.lookups === 0)
    return { ...again, lookups, error: "Convoy accepted it, but does not list it" };
  if (!budget.take(1)) return { ...same, due_at: now + LOOKUP_RETRY_MS };
  report.calls++;
  const answer = await findEventOfKey(convoy, idempotencyKey(row));
  if (!answer.ok) return { ...same, due_at: now + LOOKUP_RETRY_MS };
  const found = answer.data;
  if (!found) return { ...again, lookups, error: "Convoy accepted it, but forgot it" };
  // Another project's: the API key is wrong, which says nothing about the event.
  if (found.project_id !== convoy.projectId) return { ...same, due_at: now + LOOKUP_RETRY_MS };
  const verdict = verdictOf(found);
  if (verdict !== "unfinished") return finished(row, same, verdict);
  if (lookups <= LOOKUPS_MAX) return { ...same, lookups };
  const error = "Convoy listed it, but did not finish it";
  if (row.stranded >= STRANDED_MAX) return { ...same, state: "dead", error, due_at: null };
  const key = { replays: row.replays + 1, stranded: row.stranded + 1, lookups: 0 };
  return { ...again, ...key, error };
}

function finished(row: EventRow, same: Outcome, verdict: Exclude<Verdict, "unfinished">): Outcome {
  const heard = verdict === "done" || (verdict === "nobody" && row.endpoint_id === null);
  if (heard) return { ...same, state: "confirmed", error: null, due_at: null };
  return {
    ...same,
    state: "dead",
    error: FAILURES[verdict === "nobody" ? "nobody" : "failed"],
    due_at: null,
  };
}
