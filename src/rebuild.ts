/** /rebuild: HTTP in, HTTP out, for operators alone. `npm run rebuild` calls it page by page (docs/operate.md). */
import { budgetOf } from "./budget.ts";
import { CRON_TIME_MS, deliverySettings } from "./config.ts";
import { rebuildFromKv, rebuildFromLog } from "./event/rebuild.ts";
import { newApp, problem, requireJson, valid } from "./http.ts";
import { Rebuild } from "./schema.ts";

/** POST /rebuild: a page of all todos, made the same in KV and in the log, or only compared. */
export const rebuild = newApp().post("/", requireJson, valid("json", Rebuild), async (c) => {
  if (!c.get("operator")) {
    throw problem(403, "Only an operator may do this: a token with the scope `operator`.", {
      headers: { "WWW-Authenticate": 'Bearer error="insufficient_scope"' },
    });
  }
  const { from, dry_run: dryRun = false, cursor } = c.req.valid("json");
  const { subrequestBudget } = deliverySettings(c.env);
  const budget = budgetOf(subrequestBudget, Date.now() + CRON_TIME_MS);
  const page = { dryRun, cursor };
  const work = from === "log" ? rebuildFromLog : rebuildFromKv;
  const { checked, different, next } = await work(c.env, page, budget);
  return c.json({ data: different, checked, ...(next ? { cursor: next } : {}) }, 200);
});
