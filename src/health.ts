/** /health: whether the Worker runs, what it depends on, and how much is waiting. */
import type { Context } from "hono";
import type { Health } from "./answers.ts";
import type { Bindings } from "./config.ts";
import { configuredConvoy, getProject, shownReason } from "./convoy/client.ts";
import { progress } from "./event/cron-state.ts";
import { newApp, valid } from "./http.ts";
import { readResource } from "./resource.ts";
import { HealthQuery } from "./schema.ts";

/** Whether this asks only if the Worker runs: everybody may, as often as they like. */
export function isShallowHealth(c: Context): boolean {
  return c.req.path === "/health" && c.req.query("deep") === undefined;
}

/**
 * GET /health: the Worker runs. With ?deep and a token: what it depends on, and how far things are, of
 * the caller's own or, for an operator, of all owners.
 */
export const health = newApp().get("/", valid("query", HealthQuery), async (c) => {
  if (c.req.valid("query").deep === undefined) return c.json({ status: "ok" as const }, 200);
  const found = await checkHealth(c.env, c.get("operator") ? null : c.get("owner"));
  return c.json(found, found.status === "ok" ? 200 : 503);
});

/** Asks D1, KV and Convoy; of all owners where `owner` is null. Never throws. */
export async function checkHealth(env: Bindings, owner: string | null): Promise<Health> {
  const [found, kv, convoy] = await Promise.all([
    progress(env.DB, owner, Date.now()).catch(() => null),
    readResource(env.KV, owner ?? "", 0).then(
      () => "ok",
      () => "KV does not answer",
    ),
    askConvoy(env),
  ]);
  const d1 = found ? "ok" : "D1 does not answer, or has no tables";
  const status = [d1, kv, convoy].every((answer) => answer === "ok") ? "ok" : "degraded";
  const unstored = found && {
    changes: found.unstored.changes,
    oldest_ms: found.unstored.oldestMs,
  };
  return {
    status,
    d1,
    kv,
    convoy,
    owners: owner === null ? "all" : "caller",
    backlog: found?.backlog ?? null,
    unstored,
    walk_lag_ms: found?.walkLagMs ?? null,
    closed_until: found?.closedUntil ? new Date(found.closedUntil).toISOString() : null,
  };
}

async function askConvoy(env: Bindings): Promise<string> {
  const configured = configuredConvoy(env);
  if (!configured.ok) return configured.error;
  const { convoy } = configured;
  const answer = await getProject(convoy);
  if (!answer.ok) return shownReason(answer);
  // Convoy answers with the key's project, whatever the path says (recorded).
  const same = answer.data.uid === convoy.projectId;
  return same ? "ok" : "CONVOY_API_KEY belongs to another project than CONVOY_PROJECT_ID";
}
