/** KV follows the log: after a put, look again (docs/design.md, section 3). */

import type { Budget } from "../budget.ts";
import { KV_WRITE_INTERVAL_MS, PROJECT_ROUNDS } from "../config.ts";
import { sleep } from "../time.ts";
import { writeTodo } from "../todo/kv.ts";
import { type Latest, latestOf, markStored, type Projected } from "./outbox.ts";

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

/** Puts the last words. @returns the rows that are still open: `put` is what KV got for them */
async function putLatest(env: Stores, rows: Unstored[], budget: Budget): Promise<Unstored[]> {
  const byTodo = Map.groupBy(rows, todoOf);
  const todos = [...byTodo.values()].flatMap(([row]) => (row ? [row] : []));
  const open = (await latestOf(env.DB, todos)).map(async (word) => {
    // Where the last word is in KV already and yet not marked, the row is no longer ours.
    const held = (byTodo.get(todoOf(word)) ?? []).filter((row) => row.put !== word.seq);
    if (held.length === 0 || !(await put(env.KV, word, held, budget))) return held;
    return held.map((row) => ({ ...row, put: word.seq }));
  });
  return (await Promise.all(open)).flat();
}

function todoOf({ owner, todo_id }: { owner: string; todo_id: number }): string {
  return JSON.stringify([owner, todo_id]);
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
