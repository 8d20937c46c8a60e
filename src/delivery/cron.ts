/** What the cron does each minute, in order. */
import type { Bindings } from "../config.ts";
import { audit } from "./audit.ts";
import { newSweep, type Sweep, sweep } from "./sweep.ts";
import { purgeLog, scrub } from "./upkeep.ts";

/**
 * One run of the cron: on the hour the scrub, so that the sweep puts right what it finds; then the
 * sweep, the audit of what Convoy took, and the purge.
 * @throws StorageError where D1 does not answer: the next run goes on
 */
export async function runCron(env: Bindings, scheduledTime: number): Promise<void> {
  const run: Sweep = newSweep(env);
  const minute = new Date(scheduledTime).getUTCMinutes();
  const scrubbed = minute === 0 ? await scrub(run) : 0;
  const swept = await sweep(run);
  const audited = await audit(run);
  const purged = await purgeLog(run);
  if (swept.claimed + audited.checked + scrubbed + purged > 0) {
    console.log(JSON.stringify({ level: "info", cron: { scrubbed, swept, audited, purged } }));
  }
}
