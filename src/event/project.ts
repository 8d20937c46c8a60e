/** KV follows the log: after a put, look again (docs/design.md, section 3). */

import {
  type Bindings,
  CLAIM_MAX,
  type DeliverySettings,
  LEASE_MS,
  POST_CONCURRENCY,
  PUT_FAILURES_MAX,
  UNSTORED_RETRY_MS,
} from "../config.ts";
import { writeResource } from "../resource.ts";
import type { Budget } from "../run.ts";
import { claim, type LatestChange, latestOf, record } from "./lease.ts";

/** A row that is ours until a lease ends, and whose todo KV may lack. */
export type Unstored = { seq: number; owner: string; todo_id: number };

type Stores = Pick<Bindings, "DB" | "KV">;

/**
 * Puts the last change of each row's todo into KV, as long as `may` allows it. Nothing is put once the
 * lease is over: the put could land on another worker's.
 * @returns the version that was put, by the row's seq; rows that were not put are absent
 * @throws StorageError if D1 does not respond
 */
export async function putLatest(
  env: Stores,
  rows: Unstored[],
  lease: number,
  may: () => boolean = () => true,
): Promise<Map<number, number>> {
  const byTodo = Map.groupBy(rows, todoOf);
  const todos = [...byTodo.values()].flatMap(([row]) => (row ? [row] : []));
  const put = new Map<number, number>();
  const queue = await latestOf(env.DB, todos);
  let failures = 0;
  const work = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      if (Date.now() >= lease || failures >= PUT_FAILURES_MAX || !may()) return;
      if (await putOne(env.KV, next)) {
        failures = 0;
        for (const row of byTodo.get(todoOf(next)) ?? []) put.set(row.seq, next.seq);
      } else failures++;
    }
  };
  await Promise.all(Array.from({ length: POST_CONCURRENCY }, work));
  return put;
}

async function putOne(kv: KVNamespace, change: LatestChange): Promise<boolean> {
  try {
    await writeResource(kv, change.owner, change.todo_id, change);
    return true;
  } catch {
    return false; // KV's 429, its quota or an outage: later
  }
}

function todoOf({ owner, todo_id }: { owner: string; todo_id: number }): string {
  return JSON.stringify([owner, todo_id]);
}

/**
 * The cron's part: what requests left undone. If KV refuses, the run stops putting, and takes nothing
 * from other tasks.
 * @returns how many rows KV now has
 * @throws StorageError if D1 does not respond: claimed rows are due when their lease ends
 */
export async function projectDue(
  { env, settings }: { env: Stores; settings: DeliverySettings },
  budget: Budget,
): Promise<number> {
  const patienceMs = settings.audit?.patienceMs ?? null;
  let stored = 0;
  for (;;) {
    // The claim and the last changes; then one put each.
    const limit = Math.min(CLAIM_MAX, budget.left() - 2);
    if (limit < 1 || !budget.take(2)) return stored;
    const now = Date.now();
    const lease = now + LEASE_MS;
    const rows = await claim(env.DB, "project", { until: now, lease, limit });
    const unstored = rows.map((row) => ({ ...row, todo_id: row.todo_id ?? 0 }));
    const put = await putLatest(env, unstored, lease, () => budget.take(1));
    const later = Date.now() + UNSTORED_RETRY_MS;
    const results = rows.map((row) => ({
      seq: row.seq,
      lease,
      outcome: null,
      put: put.get(row.seq) ?? null,
      unstoredDueAt: later,
      pendingDueAt: now,
    }));
    const done = await record(env.DB, results, { now: Date.now(), patienceMs });
    stored += done.filter((row) => row.stored === 1).length;
    if (rows.length < limit || put.size < rows.length) return stored;
  }
}
