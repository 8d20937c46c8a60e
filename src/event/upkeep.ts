/** Upkeep of both stores: the log stays small, KV stays true. */
import { v7 as uuidv7 } from "uuid";
import { KV_BULK_KEYS, KV_STALE_MS, PURGE_BATCH, SCRUB_MAX, SCRUB_WINDOW_MS } from "../config.ts";
import { readVersions, todoKey } from "../todo/kv.ts";
import type { Sweep } from "./sweep.ts";
import { purge, storedSince, unstore } from "./upkeep-table.ts";

/** Removes finished rows whose retention has passed, in small batches. @returns how many @throws StorageError */
export async function purgeLog({ env, settings, budget }: Sweep): Promise<number> {
  let purged = 0;
  let batch = PURGE_BATCH;
  while (batch === PURGE_BATCH && budget.take(1)) {
    batch = await purge(env.DB, Date.now() - settings.retentionMs, PURGE_BATCH);
    purged += batch;
  }
  return purged;
}

/**
 * Compares KV with the log for the todos changed lately, and has the sweeper put right what differs: a
 * put that landed after its lease ran out, of a worker that died then.
 * @returns how many differed
 * @throws StorageError
 */
export async function scrub({ env, budget }: Sweep): Promise<number> {
  if (!budget.take(1)) return 0;
  const now = Date.now();
  // Zeroes after the time: the smallest id of that millisecond.
  const sinceId = uuidv7({ msecs: now - SCRUB_WINDOW_MS, seq: 0, random: new Uint8Array(16) });
  // A read may be stale, and what is younger may still be on its way.
  const words = await storedSince(env.DB, sinceId, now - 2 * KV_STALE_MS, SCRUB_MAX);
  const wrong: number[] = [];
  for (let start = 0; start < words.length; start += KV_BULK_KEYS) {
    if (!budget.take(1, 1)) break;
    const batch = words.slice(start, start + KV_BULK_KEYS);
    const keyOf = (word: (typeof batch)[number]) => todoKey(word.owner, word.todo_id);
    const versions = await readVersions(env.KV, batch.map(keyOf));
    for (const word of batch) {
      const held = versions.get(keyOf(word)) ?? null;
      if (held !== (word.deleted ? null : word.seq)) wrong.push(word.seq);
    }
  }
  if (wrong.length > 0 && budget.take(1)) await unstore(env.DB, wrong, now);
  return wrong.length;
}
