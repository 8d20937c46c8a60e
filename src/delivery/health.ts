/** What the Worker depends on, and how much is waiting. */
import type { Health } from "../answers.ts";
import type { Bindings } from "../config.ts";
import { health as convoyHealth, convoyOrWhy } from "../convoy/client.ts";
import { shownReason } from "../convoy/reasons.ts";
import { backlog } from "../storage/log.ts";
import { readTodo } from "../storage/todos.ts";

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
  const answer = await convoyHealth(convoy);
  return answer.ok ? "ok" : shownReason(answer);
}
