/** /health: whether the Worker runs, what it depends on, and how much is waiting. */
import type { Context } from "hono";
import * as z from "zod/mini";
import type { Health } from "./answers.ts";
import { convoyOf, getProject, shownReason } from "./convoy/client.ts";
import { newApp } from "./http.ts";
import { type Progress, progressOf } from "./outbox/progress.ts";
import { isoOrNull } from "./outbox/time-range.ts";
import type { Bindings } from "./settings.ts";
import { onKv } from "./storage.ts";
import { validQuery } from "./validate.ts";

/** Query of GET /health. */
export const HealthQuery = z.strictObject({ deep: z.optional(z.string()) });

/** Whether this only asks if the Worker is running: open to anyone, without a rate limit. */
export function isShallowHealth(c: Context): boolean {
  return c.req.path === "/health" && c.req.query("deep") === undefined;
}

/**
 * GET /health: the Worker is running. With ?deep and a token: its dependencies and its progress, for the caller's owner
 * or, for an operator, for all owners.
 */
export const health = newApp().get("/", validQuery(HealthQuery), async (c) => {
  if (c.req.valid("query").deep === undefined) return c.json({ status: "ok" as const }, 200);
  const found = await checkHealth(c.env, c.get("operator") ? null : c.get("owner"));
  return c.json(found, found.status === "ok" ? 200 : 503);
});

/** Asks D1, KV and Convoy; for all owners if `owner` is null. Never throws. */
export async function checkHealth(env: Bindings, owner: string | null): Promise<Health> {
  const now = Date.now();
  const [progress, kv, convoy] = await Promise.all([
    progressOf(env.DB, owner, now).catch(() => null),
    onKv(() => env.KV.get("health")).then(
      () => "ok",
      () => "KV does not answer",
    ),
    askConvoy(env),
  ]);
  const d1 = progress ? "ok" : "D1 does not answer, or has no tables";
  const status = [d1, kv, convoy].every((answer) => answer === "ok") ? "ok" : "degraded";
  const owners = owner === null ? "all" : "caller";
  return { status, d1, kv, convoy, owners, ...numbersOf(progress, now) };
}

function numbersOf(progress: Progress | null, now: number) {
  return {
    backlog: progress?.backlog ?? null,
    unprojected: progress && {
      changes: progress.unprojected.changes,
      oldest_ms: ago(progress.unprojected.oldestAt, now),
    },
    lost_last_day: progress?.lostLastDay ?? null,
    walk_lag_ms: ago(progress?.walkedTo ?? null, now),
    breaker: progress?.breaker ?? null,
    breaker_until: isoOrNull(progress?.breakerUntil ?? null),
    last_run: progress?.lastReport
      ? (JSON.parse(progress.lastReport) as Record<string, unknown>)
      : null,
  };
}

function ago(at: number | null, now: number): number | null {
  return at === null ? null : Math.max(0, now - at);
}

async function askConvoy(env: Bindings): Promise<string> {
  const convoy = convoyOf(env);
  const answer = await getProject(convoy);
  if (!answer.ok) return shownReason(answer);
  // Convoy answers with the key's project, whatever the path says (recorded).
  const same = answer.data?.uid === convoy.projectId;
  return same ? "ok" : "CONVOY_API_KEY belongs to another project, not to CONVOY_PROJECT_ID";
}
