/** The cron's part: endpoints whose time has come, owners in turn. */
import { convoyOf } from "../convoy/client.ts";
import type { Task } from "../outbox/cron.ts";
import type { Budget } from "../run.ts";
import type { Bindings } from "../settings.ts";
import { removeCutOff } from "./create.ts";
import { CLAIM_MS, RECONCILE_CALLS, REMEMBERED_MS, reconcile } from "./reconcile.ts";
import { claimDue, type EndpointRow, forget, keepPlace } from "./table.ts";

/** What one run did. `done`: as they are wanted, or removed; the others are tried again. */
export type ReconcileReport = { claimed: number; done: number };

/**
 * Reconciles what is due: one of each owner, then the next of each, after the owner `from`. One that cannot be done now does not hold up the next.
 * @throws StorageError
 */
export async function reconcileDue(
  env: Bindings,
  from: string,
  budget: Budget,
): Promise<ReconcileReport> {
  const report = { claimed: 0, done: 0 };
  const convoy = convoyOf(env);
  let place = from;
  while (budget.left() >= RECONCILE_CALLS + 1) {
    const now = Date.now();
    const claimed = await claimDue(env.DB, { now, lease: now + CLAIM_MS, place });
    if (!claimed) break;
    place = claimed.owner;
    report.claimed++;
    if (await doOne({ db: env.DB, convoy }, claimed, budget)) report.done++;
  }
  if (place !== from) await keepPlace(env.DB, place);
  return report;
}

async function doOne(
  work: { db: D1Database; convoy: ReturnType<typeof convoyOf> },
  claimed: EndpointRow,
  budget: Budget,
): Promise<boolean> {
  if (claimed.wanted === "creating") return removeCutOff(work, claimed, budget);
  const isOver = claimed.wanted === "removed" && claimed.there === "missing";
  if (isOver && claimed.updated_at + REMEMBERED_MS <= Date.now()) {
    await forget(work.db, claimed.id);
    return true;
  }
  const { kind } = await reconcile({ ...work, claimed });
  return kind !== "silent";
}

/** Its place among the cron's tasks. */
export const reconcileTask: Task = {
  name: "reconcile",
  due: () => "EXISTS (SELECT 1 FROM endpoint WHERE due_at IS NOT NULL AND due_at <= ?1)",
  least: RECONCILE_CALLS + 1,
  share: 0.14,
  run: async ({ env }, { row }, budget) => {
    const report = await reconcileDue(env, String(row.reconcile_turn ?? ""), budget);
    return report.claimed > 0 ? report : null;
  },
};
