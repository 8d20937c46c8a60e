/** The sweeper: finishes what requests left undone. Runs each minute (docs/design.md, section 5). */

import { type Budget, budgetOf } from "../budget.ts";
import {
  type Bindings,
  CLAIM_MAX,
  type DeliverySettings,
  deliverySettings,
  GATEWAY_RETRY_MS,
  LEASE_MS,
  POST_CONCURRENCY,
  SWEEP_RESERVE,
  SWEEP_TIME_MS,
  UNTRIED_RETRY_MS,
} from "../config.ts";
import { type Convoy, convoyOrWhy } from "../convoy/client.ts";
import { logError } from "../log.ts";
import { type Gateway, newGateway } from "./gateway.ts";
import { claim, type OutboxRow, postponePending, type Settlement, settle } from "./outbox.ts";
import { attempt, type Outcome } from "./outcome.ts";
import { project, type Unstored } from "./project.ts";
import { handBack, settlementOf } from "./settlement.ts";

/** What one run did, for the log and for tests. */
export type SweepReport = { claimed: number; posted: number; accepted: number; open: boolean };

/** What a run works with. */
export type Sweep = {
  env: Bindings;
  settings: DeliverySettings;
  budget: Budget;
  gateway: Gateway;
  /** Null where the settings for Convoy are missing: KV is made right all the same. */
  convoy: Convoy | null;
};

/** A run with its whole budget. */
export function newSweep(env: Bindings): Sweep {
  const settings = deliverySettings(env);
  const budget = budgetOf(settings.subrequestBudget, Date.now() + SWEEP_TIME_MS);
  return { env, settings, budget, gateway: newGateway(), convoy: convoyOrNull(env) };
}

function convoyOrNull(env: Bindings): Convoy | null {
  const convoy = convoyOrWhy(env);
  if (typeof convoy !== "string") return convoy;
  logError({ sweep: "no gateway" }, convoy);
  return null;
}

/**
 * Claims, projects, posts and settles until nothing is due or the budget is spent. Once the gateway is
 * down only projection goes on: KV does not need Convoy.
 * @throws StorageError where D1 does not answer: what was claimed is due when its lease ends
 */
export async function sweep(run: Sweep): Promise<SweepReport> {
  const report = { claimed: 0, posted: 0, accepted: 0, open: true };
  const { env, budget, gateway } = run;
  for (;;) {
    const publishing = run.convoy !== null && gateway.open();
    // A row costs a claim's share, maybe a put and a post; four statements surround them.
    const limit = Math.min(CLAIM_MAX, budget.left() - SWEEP_RESERVE - 4);
    if (limit < 1 || !budget.take(1)) break;
    const now = Date.now();
    const lease = now + LEASE_MS;
    const rows = await claim(env.DB, publishing ? "publish" : "project", { now, lease, limit });
    report.claimed += rows.length;
    if (rows.length === 0) break;
    await project(env, rows.filter(isUnstored).map(toUnstored), withReserve(budget));
    const outcomes = publishing ? await post(run, rows.filter(isPending)) : new Map();
    report.posted += outcomes.size;
    report.accepted += [...outcomes.values()].filter((o) => o.kind === "accepted").length;
    if (budget.take(1)) {
      const settledAt = Date.now();
      // Not at once: what KV refuses now it would refuse again in this run.
      const when = { now: settledAt, unstoredDueAt: settledAt + UNTRIED_RETRY_MS };
      await settle(env.DB, judge(run, rows, outcomes), when);
    }
    if (rows.length < limit && !isPartial(rows, outcomes)) break;
  }
  await postpone(run);
  return { ...report, open: gateway.open() };
}

// Posting and projecting must leave enough to settle: an unsettled row waits out its lease.
function withReserve(budget: Budget): Budget {
  return { left: budget.left, take: (n) => budget.take(n, SWEEP_RESERVE) };
}

function isUnstored(row: OutboxRow): boolean {
  return row.stored === 0 && row.todo_id !== null;
}

function toUnstored(row: OutboxRow): Unstored {
  return { seq: row.seq, lease: row.lease, owner: row.owner, todo_id: row.todo_id ?? 0, put: null };
}

function isPending(row: OutboxRow): boolean {
  return row.state === "pending";
}

/**
 * Posts one at a time until the gateway is proven, then a few at once; stops when it is down. Probes are
 * drawn at random: else two poisonous events at the head would pass for an outage for ever.
 */
async function post(run: Sweep, rows: OutboxRow[]): Promise<Map<number, Outcome>> {
  const { env, convoy, budget, gateway } = run;
  const outcomes = new Map<number, Outcome>();
  const queue = [...rows];
  while (convoy && queue.length > 0 && gateway.open()) {
    const batch = gateway.proven()
      ? queue.splice(0, POST_CONCURRENCY)
      : queue.splice(Math.floor(Math.random() * queue.length), 1);
    if (!budget.take(batch.length, SWEEP_RESERVE)) break;
    const seen = await Promise.all(
      batch.map(async (row) => {
        const outcome = await attempt(convoy, env.DB, row);
        outcomes.set(row.seq, outcome);
        return { id: row.id, outcome };
      }),
    );
    gateway.see(seen);
  }
  return outcomes;
}

/** What the log records of all claimed rows, the untried ones too. */
function judge(run: Sweep, rows: OutboxRow[], outcomes: Map<number, Outcome>): Settlement[] {
  const { settings, gateway } = run;
  const now = Date.now();
  return rows.map((row) => {
    const outcome = outcomes.get(row.seq);
    if (outcome) {
      const blame = gateway.proven() && !gateway.isSuspect(row.id);
      return settlementOf(row, outcome, { blame, retryMs: GATEWAY_RETRY_MS }, settings, now);
    }
    // Untried: claimed before the probes next time.
    if (isPending(row)) return handBack(row, gateway.open() ? now : now + UNTRIED_RETRY_MS);
    if (row.state === "accepted" && settings.audit) {
      return handBack(row, (row.accepted_at ?? now) + settings.auditDelayMs);
    }
    return handBack(row, null);
  });
}

function isPartial(rows: OutboxRow[], outcomes: Map<number, Outcome>): boolean {
  return rows.some((row) => isPending(row) && !outcomes.has(row.seq));
}

async function postpone({ env, budget, gateway }: Sweep): Promise<void> {
  const wait = gateway.retryAfterMs();
  if (wait === null || !budget.take(1)) return;
  const now = Date.now();
  await postponePending(env.DB, now + UNTRIED_RETRY_MS, now + wait);
}
