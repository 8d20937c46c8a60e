/** What happens in waitUntil: nothing here is waited for by a caller. */

import { budgetOf } from "../budget.ts";
import { type Bindings, deliverySettings, KV_WRITE_INTERVAL_MS, POST_RETRY_MS } from "../config.ts";
import { convoyOf, convoyOrWhy } from "../convoy/client.ts";
import { findEndpoint } from "../endpoint/table.ts";
import { logError } from "../log.ts";
import { sleep } from "../time.ts";
import type { Source } from "./message.ts";
import { settle } from "./outbox.ts";
import { attempt, type Outcome } from "./outcome.ts";
import { project } from "./project.ts";
import { type Held, settlementOf } from "./settlement.ts";

/** A row of the log that this request holds. `put`: the version it put into KV; null where the put failed. */
export type Logged = Source &
  Pick<Held, "lease"> & { seq: number; replays: number; put: number | null; isChange: boolean };

/**
 * Posts the event and makes sure that KV holds the change, at the same time: a hanging Convoy must not
 * delay the check after the put. Then settles the row; what is not done is due at once, for the sweeper.
 * Never rejects: a row that could not be settled is due when its lease ends.
 */
export async function finish(env: Bindings, row: Logged): Promise<void> {
  try {
    const settings = deliverySettings(env);
    const [outcome] = await Promise.all([publish(env, row), store(env, row)]);
    const held = { ...row, attempts: 0, accepted_at: null, error: null, state: "pending" as const };
    const now = Date.now();
    const settlement = settlementOf(held, outcome, { blame: false, retryMs: 0 }, settings, now);
    await settle(env.DB, [settlement], { now, unstoredDueAt: now });
  } catch (error) {
    logError({ event: row.id }, error);
  }
}

/** Posts an event of a read once, best effort, where the endpoint is the caller's. Never rejects. */
export async function publishRead(env: Bindings, source: Source): Promise<void> {
  try {
    if (!source.endpoint_id) return;
    if (!(await findEndpoint(env.DB, source.owner, source.endpoint_id))) return;
    await attempt(convoyOf(env), env.DB, source);
  } catch (error) {
    logError({ event: source.id }, error);
  }
}

async function publish(env: Bindings, source: Source): Promise<Outcome> {
  const convoy = convoyOrWhy(env);
  if (typeof convoy === "string") return { kind: "failed", error: convoy, retryAfterMs: null };
  for (const wait of [...POST_RETRY_MS, null]) {
    const outcome = await attempt(convoy, env.DB, source);
    if (outcome.kind !== "failed" || outcome.retryAfterMs !== null || wait === null) return outcome;
    await sleep(wait);
  }
  throw new Error("unreachable");
}

async function store(env: Bindings, row: Logged): Promise<void> {
  if (!row.isChange || row.todo_id === null) return;
  try {
    if (row.put === null) await sleep(KV_WRITE_INTERVAL_MS);
    const { seq, lease, owner, todo_id, put } = row;
    const unlimited = budgetOf(Number.POSITIVE_INFINITY, lease);
    await project(env, [{ seq, lease, owner, todo_id, put }], unlimited);
  } catch (error) {
    // The row stays unstored and due: the sweeper projects it.
    logError({ event: row.id }, error);
  }
}
