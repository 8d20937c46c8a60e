/** POST /rebuild: makes a page of all resources the same in KV and in the log, or only compares them. */
import { newApp } from "../http.ts";
import { shareOf } from "../run.ts";
import { validBody } from "../validate.ts";
import { beginRun } from "./cron-run.ts";
import { rebuildFromKv, rebuildFromLog } from "./rebuild.ts";
import { Rebuild } from "./schema.ts";
import { requireOperator } from "./whose.ts";

// Time for one call: a rebuild is many of them.
const TIME_MS = 50_000;

/** POST /rebuild, for operators. */
export const rebuild = newApp().post("/", validBody(Rebuild), async (c) => {
  requireOperator(c, "Only an operator may do this: send a token with the scope `operator`.");
  const { from, dry_run: dryRun = false, cursor } = c.req.valid("json");
  const { run, meter } = beginRun(c.env, c.get("outbox"));
  const budget = shareOf(meter, 0, Date.now() + TIME_MS);
  const work = from === "log" ? rebuildFromLog : rebuildFromKv;
  const { checked, different, next } = await work(run, { dryRun, cursor }, budget);
  return c.json({ data: different, checked, ...(next ? { cursor: next } : {}) }, 200);
});
