/** The cron's posting: a backlog drains through a moving window (docs/design.md, section 5). */

import {
  CLAIM_AHEAD,
  CLAIM_MAX,
  type DeliverySettings,
  EVIDENCE_MS,
  GATEWAY_RETRY_MS,
  LEASE_MS,
  POST_CONCURRENCY,
  RECORD_BATCH,
  STREAK_MAX,
} from "../config.ts";
import type { Convoy } from "../convoy/client.ts";
import type { Budget } from "../run.ts";
import { closeUntil } from "./cron-state.ts";
import { byFailures, claim, record, resultOf } from "./lease.ts";
import { type Answer, outcomesOf, type Posted, post } from "./post.ts";
import { type EventRow, latestAcceptance } from "./table.ts";

/** What one run posted. `open`: whether Convoy took events to its end. */
export type SweepReport = { claimed: number; posted: number; accepted: number; open: boolean };

/** What this run has seen of Convoy. */
type Evidence = {
  /** Whether to continue. */
  open: boolean;
  /** Endpoints of the posts that failed since the last success. */
  streak: string[];
  /** When Convoy last took an event (ms); null: never yet, so that one is posted at a time. */
  acceptedAt: number | null;
  /** Convoy's longest Retry-After, in ms; null if it sent none. */
  retryAfterMs: number | null;
};

type Leased = { row: EventRow; lease: number };

/**
 * Posts what is due, fewest failures first, until nothing is due, the budget is spent, or events of two
 * different endpoints (or any five) failed in a row. Recording the results is outside the budget.
 * @throws StorageError if D1 does not respond: claimed rows are due when their lease ends
 */
export async function postDue(
  { db, convoy, settings }: { db: D1Database; convoy: Convoy; settings: DeliverySettings },
  budget: Budget,
): Promise<SweepReport> {
  const report = { claimed: 0, posted: 0, accepted: 0, open: true };
  const evidence: Evidence = {
    open: true,
    streak: [],
    acceptedAt: null,
    retryAfterMs: null,
  };
  const queue: Leased[] = [];
  const workers: Promise<void>[] = [];
  const recordings: Promise<unknown>[] = [];
  let done: (Leased & Posted)[] = [];
  let more = true;
  let claiming: Promise<void> | null = null;
  const failures: unknown[] = [];

  const claimMore = async () => {
    const limit = Math.min(CLAIM_MAX, budget.left() - queue.length - 1);
    more = limit > 0 && budget.take(1);
    if (!more) return;
    const now = Date.now();
    const lease = now + LEASE_MS;
    const rows = await claim(db, "post", { until: now, lease, limit });
    report.claimed += rows.length;
    more = rows.length === limit;
    queue.push(...atRandom(rows).map((row) => ({ row, lease })));
  };
  const next = async (): Promise<Leased | undefined> => {
    if (!evidence.open) return undefined;
    // Ahead of time, so that no worker waits for it.
    if (more && queue.length <= CLAIM_AHEAD) {
      claiming ??= claimMore()
        .catch((error) => {
          more = false;
          failures.push(error);
        })
        .finally(() => {
          claiming = null;
        });
    }
    if (queue.length === 0 && claiming !== null) {
      await claiming;
      return next();
    }
    if (queue.length === 0 || budget.take(1)) return queue.shift();
    more = false;
    return undefined;
  };
  // Looked up once, if a post fails before this run has seen a success.
  let earlier: Promise<number> | null = null;
  const gotThrough = async ({ failed_at }: EventRow, askedAt: number) => {
    const since = failed_at ?? askedAt - EVIDENCE_MS;
    if (evidence.acceptedAt !== null && evidence.acceptedAt > since) return true;
    earlier ??= latestAcceptance(db, askedAt).catch(() => 0);
    return (await earlier) > since;
  };
  const work = async () => {
    for (let leased = await next(); leased; leased = await next()) {
      const askedAt = Date.now();
      const answer = await post(convoy, leased.row);
      report.posted++;
      if (answer.kind === "accepted") report.accepted++;
      see(evidence, leased.row, answer);
      const othersGotThrough =
        answer.kind !== "accepted" && (await gotThrough(leased.row, askedAt));
      done.push({ ...leased, answer, askedAt, othersGotThrough });
      if (done.length >= RECORD_BATCH) {
        recordings.push(recordPosted(db, done, settings, evidence));
        done = [];
      }
      while (evidence.acceptedAt !== null && workers.length < POST_CONCURRENCY)
        workers.push(work());
    }
  };

  workers.push(work());
  for (const worker of workers) await worker.catch((error) => failures.push(error));
  recordings.push(recordPosted(db, done, settings, evidence), handBack(db, queue, settings));
  if (evidence.retryAfterMs !== null) {
    recordings.push(closeUntil(db, Date.now() + evidence.retryAfterMs));
  }
  for (const end of await Promise.allSettled(recordings)) {
    if (end.status === "rejected") failures.push(end.reason);
  }
  if (failures.length > 0) throw failures[0];
  return { ...report, open: evidence.open };
}

/** Notes a response. A refused event, or an endpoint unknown to Convoy, says nothing about Convoy. */
function see(evidence: Evidence, row: EventRow, answer: Answer): void {
  if (answer.kind === "accepted") {
    evidence.acceptedAt = Date.now();
    evidence.streak = [];
  }
  if (answer.kind !== "failed") return;
  // A fan-out is not about any one endpoint.
  evidence.streak.push(row.endpoint_id ?? row.id);
  if (answer.retryAfterMs !== null) {
    evidence.retryAfterMs = Math.max(evidence.retryAfterMs ?? 0, answer.retryAfterMs);
  }
  const different = new Set(evidence.streak).size;
  if (different > 1 || evidence.streak.length >= STREAK_MAX || answer.retryAfterMs !== null) {
    evidence.open = false;
  }
}

async function recordPosted(
  db: D1Database,
  posted: (Leased & Posted)[],
  settings: DeliverySettings,
  evidence: Evidence,
): Promise<void> {
  if (posted.length === 0) return;
  const now = Date.now();
  const unprovenWaitMs = evidence.acceptedAt === null ? GATEWAY_RETRY_MS : null;
  const outcomes = await outcomesOf(db, posted, settings, { now, unprovenWaitMs });
  // Todos that KV lacks are put next.
  const results = posted.map((one, index) => resultOf(one, outcomes[index] ?? null, now));
  await record(db, results, { now, patienceMs: settings.audit?.patienceMs ?? null });
}

/** Makes rows that were not tried due again, unchanged. */
async function handBack(db: D1Database, queue: Leased[], settings: DeliverySettings) {
  const now = Date.now();
  const results = queue.map((one) => resultOf(one, null, now));
  await record(db, results, { now, patienceMs: settings.audit?.patienceMs ?? null });
}

/** In order of failures, at random among equals, so that the same events do not probe for all every time. */
function atRandom(rows: EventRow[]): EventRow[] {
  const drawn = rows.map((row) => ({ row, at: Math.random() }));
  drawn.sort((a, b) => byFailures(a.row, b.row) || a.at - b.at);
  return drawn.map(({ row }) => row);
}
