/** KV follows the log: after a put, look again (docs/design.md, section 3). */
import { KV_WRITE_INTERVAL_MS, PROJECT_ROUNDS } from "../config.ts";
import { type Latest, latestOf, markStored, type Projected } from "../storage/outbox.ts";
import { writeTodo } from "../storage/todos.ts";
import { sleep } from "../wait.ts";
import type { Budget } from "./budget.ts";

/** A row we hold whose todo KV may lack; `put`: the version we have already put, if any. */
export type Unstored = {
  seq: number;
  lease: number;
  owner: string;
  todo_id: number;
  put: number | null;
};

type Stores = { KV: KVNamespace; DB: D1Database };

/**
 * Puts each todo's last word into KV and marks the rows stored once no later change is found after the
 * put. What others keep changing, or KV refuses, is left unmarked, for the sweeper. Nothing is put once
 * the lease is over: the put could land on somebody else's.
 * @throws StorageError where D1 does not answer
 */
export async function project(env: Stores, rows: Unstored[], budget: Budget): Promise<void> {
  let open = rows;
  for (let round = 0; round < PROJECT_ROUNDS && open.length > 0; round++) {
    const ready = open.filter((row) => row.put !== null);
    if (ready.length > 0 && budget.take(1)) {
      const marked = new Set(await markStored(env.DB, ready as Projected[], Date.now()));
      open = open.filter((row) => !marked.has(row.seq));
    }
    if (open.length === 0 || round === PROJECT_ROUNDS - 1) return;
    // The first put of a new row may follow at once; a further one on the same key may not.
    if (round > 0 || ready.length > 0) await sleep(KV_WRITE_INTERVAL_MS);
    if (!budget.take(1)) return;
    open = await putLatest(env, open, budget);
  }
}

async function putLatest(env: Stores, rows: Unstored[], budget: Budget): Promise<Unstored[]> {
  const byTodo = Map.groupBy(rows, (row) => JSON.stringify([row.owner, row.todo_id]));
  const todos = [...byTodo.values()].flatMap(([row]) => (row ? [row] : []));
  const latest = await latestOf(env.DB, todos);
  const puts = await Promise.all(
    latest.map(async (word) => {
      const held = byTodo.get(JSON.stringify([word.owner, word.todo_id])) ?? [];
      // Where the last word is in KV already and yet not marked, the row is no longer ours.
      const open = held.filter((row) => row.put !== word.seq);
      return open.length > 0 && (await put(env.KV, word, open, budget)) ? open : [];
    }),
  );
  const versions = new Map(
    latest.map((word) => [JSON.stringify([word.owner, word.todo_id]), word]),
  );
  const done = new Set(puts.flat());
  return rows.flatMap((row) => {
    const word = versions.get(JSON.stringify([row.owner, row.todo_id]));
    if (!word || row.put === word.seq) return [];
    return [done.has(row) ? { ...row, put: word.seq } : row];
  });
}

async function put(kv: KVNamespace, word: Latest, rows: Unstored[], budget: Budget) {
  const leaseEnds = Math.min(...rows.map((row) => row.lease));
  if (Date.now() >= leaseEnds || !budget.take(1)) return false;
  try {
    await writeTodo(kv, word.owner, word.todo_id, word);
    return true;
  } catch {
    return false; // KV's 429 or an outage: the next round, or the sweeper
  }
}
