/** What the cron does each minute, in order. */
import { type Bindings, LEASE_MS, MOVES_MAX } from "./config.ts";
import { finishMove } from "./endpoint/pause.ts";
import { reconcile } from "./endpoint/reconcile.ts";
import { claimStaleMoves } from "./endpoint/table.ts";
import { audit } from "./event/audit.ts";
import { newSweep, type Sweep, sweep } from "./event/sweep.ts";
import { purgeLog, scrub } from "./event/upkeep.ts";

/**
 * One run of the cron: on the hour the scrub, so that the sweep puts right what it finds; then the
 * sweep, the audit of what Convoy took, pauses and activations that were cut off, every ten minutes the
 * reconcile of endpoints, and the purge.
 * @throws StorageError where D1 does not answer: the next run goes on
 */
export async function runCron(env: Bindings, scheduledTime: number): Promise<void> {
  const run: Sweep = newSweep(env);
  const minute = new Date(scheduledTime).getUTCMinutes();
  const scrubbed = minute === 0 ? await scrub(run) : 0;
  const swept = await sweep(run);
  const audited = await audit(run);
  const moved = await finishMoves(run);
  const reconciled = minute % 10 === 5 ? await reconcileAll(run) : null;
  const purged = await purgeLog(run);
  if (reconciled || swept.claimed + audited.checked + scrubbed + moved + purged > 0) {
    const report = { scrubbed, swept, audited, moved, reconciled, purged };
    console.log(JSON.stringify({ level: "info", cron: report }));
  }
}

// Only what nobody works on any more: a toggle that is still under way must not be repeated.
async function finishMoves({ env, convoy, budget, gateway }: Sweep): Promise<number> {
  if (!convoy || !gateway.open() || !budget.take(1)) return 0;
  const now = Date.now();
  const when = { before: now - LEASE_MS, now, limit: MOVES_MAX };
  const rows = await claimStaleMoves(env.DB, when);
  let moved = 0;
  for (const row of rows) {
    // Status, toggle, batch, record.
    if (!budget.take(4)) break;
    const failed = await finishMove(env, convoy, row);
    if (!failed) moved++;
  }
  return moved;
}

function reconcileAll({ env, convoy, budget, gateway }: Sweep) {
  return convoy && gateway.open() ? reconcile(env, convoy, null, budget) : null;
}
