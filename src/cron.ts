/** What the cron does each minute, in order. */
import type { Bindings } from "./config.ts";
import { recoverDeliveries } from "./endpoint/recover.ts";
import { finishMoves } from "./endpoint/sync.ts";
import { audit } from "./event/audit.ts";
import { newSweep, type Sweep, sweep } from "./event/sweep.ts";
import { purgeLog, scrub } from "./event/upkeep.ts";

/**
 * One run of the cron: on the hour the scrub, so that the sweep puts right what it finds; then the
 * sweep, the audit of what Convoy took, changes of endpoints that were cut off, deliveries that would be
 * forgotten, and the purge.
 * @throws StorageError where D1 does not answer: the next run goes on
 */
export async function runCron(env: Bindings, scheduledTime: number): Promise<void> {
  const run: Sweep = newSweep(env);
  const minute = new Date(scheduledTime).getUTCMinutes();
  const scrubbed = minute === 0 ? await scrub(run) : 0;
  const swept = await sweep(run);
  const audited = await audit(run);
  const { convoy } = run;
  const moved = convoy && (await finishMoves(env.DB, convoy, run.budget));
  const recovered = convoy && (await recoverDeliveries(env.DB, convoy, run.budget));
  const purged = await purgeLog(run);
  const worked =
    swept.claimed +
    audited.checked +
    scrubbed +
    purged +
    (moved?.claimed ?? 0) +
    (recovered ? recovered.found + recovered.batches + recovered.cleared + recovered.reposted : 0);
  if (worked > 0) {
    const report = { scrubbed, swept, audited, moved, recovered, purged };
    console.log(JSON.stringify({ level: "info", cron: report }));
  }
}
