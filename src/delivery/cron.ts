/** What the cron does, in order: finish what requests left, check what Convoy took, keep the house. */
import type { Bindings } from "../config.ts";
import { newSweep, sweep } from "./sweep.ts";

/** One run of the cron. @throws StorageError where D1 does not answer: the next run goes on */
export async function runCron(env: Bindings, _scheduledTime: number): Promise<void> {
  const run = newSweep(env);
  const report = await sweep(run);
  if (report.claimed > 0) console.log(JSON.stringify({ level: "info", sweep: report }));
}
