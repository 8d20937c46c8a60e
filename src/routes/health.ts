/** /health: HTTP in, HTTP out. */

import { authenticate } from "../auth.ts";
import { checkHealth } from "../delivery/health.ts";
import { limitRate } from "../limits.ts";
import { newApp } from "../new-app.ts";
import { HealthQuery } from "../schema.ts";
import { valid } from "../validate.ts";

/** GET /health: the Worker runs. With ?deep and a token: what it depends on, and the owner's backlog. */
export const health = newApp().get("/", valid("query", HealthQuery), async (c) => {
  if (c.req.valid("query").deep === undefined) return c.json({ status: "ok" as const }, 200);
  await authenticate(c, async () => {});
  await limitRate(c, async () => {});
  const told = await checkHealth(c.env, c.get("owner"));
  return c.json(told, told.status === "ok" ? 200 : 503);
});
