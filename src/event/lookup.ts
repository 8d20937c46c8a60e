/** Events that the walk did not find: posted again, then asked for by key (docs/design.md, 5). */

import type { Budget } from "../budget.ts";
import {
  CLOCK_SKEW_MS,
  type DeliverySettings,
  LEASE_MS,
  LOOKUP_CLAIM_MAX,
  LOOKUP_RETRY_MS,
  LOOKUPS_MAX,
  STRANDED_MAX,
  WALK_LAG_MAX,
} from "../config.ts";
import type { Convoy } from "../convoy/client.ts";
import { findEventOfKey } from "../convoy/events.ts";
import type { WalkPlace } from "./cron-state.ts";
import { claim, type Outcome, record } from "./lease.ts";
import { idempotencyKey } from "./message.ts";
import { untouched } from "./post.ts";
import type { EventRow } from "./table.ts";
import { FAILURES, type Verdict, verdictOf } from "./walk.ts";

/** What one run did. `calls`: requests to Convoy; `again`: events that will be posted again. */
export type LookupReport = { calls: number; confirmed: number; again: number };

/**
 * Takes the events that are still only accepted after their patience, and that the walk has passed by:
 * not found is not the same as not looked at.
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
    // A claim and what becomes of it; then a call each.
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
      const due = { unstoredDueAt: now, pendingDueAt: now };
      results.push({ seq: row.seq, lease, put: null, outcome, ...due });
    }
    await record(db, results, { now: Date.now(), patienceMs });
    if (rows.length < limit) return report;
  }
}

/** Rows due before this were accepted before the place that the walk has come to. */
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
  const again = { ...same, state: "pending" as const, accepted_at: null, attempts: 0, due_at: now };
  const lookups = row.lookups + 1;
  // The first time no question: the same key is safe whether Convoy has it, has it queued, or lost it (recorded).
  if (row.lookups === 0)
    return { ...again, lookups, error: "Convoy accepted it, but does not list it" };
  if (!budget.take(1)) return { ...same, due_at: now + LOOKUP_RETRY_MS };
  report.calls++;
  const answer = await findEventOfKey(convoy, idempotencyKey(row));
  if (!answer.ok) return { ...same, due_at: now + LOOKUP_RETRY_MS };
  const found = answer.data;
  if (!found) return { ...again, lookups, error: "Convoy accepted it, but forgot it" };
  // Another project's: the key of the API is wrong, which says nothing of the event.
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
