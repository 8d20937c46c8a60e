/** /health: whether the Worker runs, what it depends on, and how much is waiting. */
import type { Context } from "hono";
import type { Health } from "./answers.ts";
import type { Bindings } from "./config.ts";
import { convoyOrWhy, getProject } from "./convoy/client.ts";
import { shownReason } from "./convoy/reasons.ts";
import { backlog } from "./event/table.ts";
import { newApp, valid } from "./http.ts";
import { HealthQuery } from "./schema.ts";
import { readTodo } from "./todo/kv.ts";

/** Whether this asks only if the Worker runs: everybody may, as often as they like. */
export function isShallowHealth(c: Context): boolean {
  return c.req.path === "/health" && c.req.query("deep") === undefined;
}

/** GET /health: the Worker runs. With ?deep and a token: what it depends on, and the owner's backlog. */
export const health = newApp().get("/", valid("query", HealthQuery), async (c) => {
  if (c.req.valid("query").deep === undefined) return c.json({ status: "ok" as const }, 200);
  const told = await checkHealth(c.env, c.get("owner"));
  return c.json(told, told.status === "ok" ? 200 : 503);
});

/** Asks D1, KV and Convoy. Never throws. */
export async function checkHealth(env: Bindings, owner: string): Promise<Health> {
  const [waiting, kv, convoy] = await Promise.all([
    backlog(env.DB, owner, Date.now()).catch(() => null),
    readTodo(env.KV, owner, 0).then(
      () => "ok",
      () => "KV does not answer",
    ),
    askConvoy(env),
  ]);
  const d1 = waiting ? "ok" : "D1 does not answer, or has no tables";
  const status = [d1, kv, convoy].every((word) => word === "ok") ? "ok" : "degraded";
  return { status, d1, kv, convoy, backlog: waiting };
}

async function askConvoy(env: Bindings): Promise<string> {
  const convoy = convoyOrWhy(env);
  if (typeof convoy === "string") return convoy;
  const answer = await getProject(convoy);
  if (!answer.ok) return shownReason(answer);
  // Convoy answers with the key's project, whatever the path says (recorded).
  const same = answer.data.uid === convoy.projectId;
  return same ? "ok" : "CONVOY_API_KEY belongs to another project than CONVOY_PROJECT_ID";
}
