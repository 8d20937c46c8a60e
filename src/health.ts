/** /health: whether the Worker runs, what it depends on, and how much is waiting. */
import type { Context } from "hono";
import type { Health } from "./answers.ts";
import { convoyOf, getProject, shownReason } from "./convoy/client.ts";
import { progress } from "./event/cron-state.ts";
import { newApp } from "./http.ts";
import { readResource } from "./resource.ts";
import { HealthQuery } from "./schema.ts";
import type { Bindings } from "./settings.ts";
import { validQuery } from "./validate.ts";

/** Whether this only asks if the Worker is running: open to anyone, without a rate limit. */
export function isShallowHealth(c: Context): boolean {
  return c.req.path === "/health" && c.req.query("deep") === undefined;
}

/**
 * GET /health: the Worker is running. With ?deep and a token: its dependencies and its progress, for
 * the caller's owner or, for an operator, for all owners.
 */
export const health = newApp().get("/", validQuery(HealthQuery), async (c) => {
  if (c.req.valid("query").deep === undefined) return c.json({ status: "ok" as const }, 200);
  const found = await checkHealth(c.env, c.get("operator") ? null : c.get("owner"));
  return c.json(found, found.status === "ok" ? 200 : 503);
});

/** Asks D1, KV and Convoy; for all owners if `owner` is null. Never throws. */
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
  const convoy = convoyOf(env);
  const answer = await getProject(convoy);
  if (!answer.ok) return shownReason(answer);
  // Convoy answers with the key's project, whatever the path says (recorded).
  const same = answer.data.uid === convoy.projectId;
  return same ? "ok" : "CONVOY_API_KEY belongs to another project, not to CONVOY_PROJECT_ID";
}
