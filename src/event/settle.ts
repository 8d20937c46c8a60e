/** What finishes together is recorded together: one statement for all requests of an isolate (docs/design.md, 3). */
import {
  D1_RETRY_MS,
  D1_TRIES,
  SETTLE_MAX,
  SETTLE_PATIENCE_MS,
  SETTLE_WAIT_MS,
} from "../config.ts";
import { StorageError } from "../storage.ts";
import { sleep, within } from "../time.ts";
import { type Recorded, type Result, record } from "./lease.ts";

type Waiting = {
  result: Result;
  resolve: (recorded: Recorded | null) => void;
  reject: (error: unknown) => void;
};

// One isolate's list for each database.
const lists = new WeakMap<D1Database, Waiting[]>();

/**
 * Records a result with those of other requests: waits a moment, and whoever still finds its own in the
 * list then takes the whole list. Who dies with others' results takes nothing down: they record their
 * own after a while, and their rows are leased.
 * @returns the row after it; null where it was not ours any more
 * @throws StorageError
 */
export async function settle(
  db: D1Database,
  result: Result,
  patienceMs: number | null,
): Promise<Recorded | null> {
  const list = lists.get(db) ?? [];
  lists.set(db, list);
  const { promise, resolve, reject } = Promise.withResolvers<Recorded | null>();
  // It may be rejected by a request that gave up waiting for it.
  promise.catch(() => {});
  const mine = { result, resolve, reject };
  list.push(mine);
  await sleep(SETTLE_WAIT_MS);
  if (list.includes(mine)) await flush(db, list.splice(0), patienceMs);
  const taken = await within(SETTLE_PATIENCE_MS, promise);
  if (taken !== undefined) return taken;
  return (await recordSurely(db, [result], patienceMs))[0] ?? null;
}

async function flush(db: D1Database, taken: Waiting[], patienceMs: number | null): Promise<void> {
  for (let start = 0; start < taken.length; start += SETTLE_MAX) {
    const group = taken.slice(start, start + SETTLE_MAX);
    try {
      const rows = await recordSurely(
        db,
        group.map(({ result }) => result),
        patienceMs,
      );
      const bySeq = new Map(rows.map((row) => [row.seq, row]));
      for (const { result, resolve } of group) resolve(bySeq.get(result.seq) ?? null);
    } catch (error) {
      // One that D1 refuses must not take the others with it.
      const alone = error instanceof StorageError && error.reason === "refused" && group.length > 1;
      if (alone) for (const one of group) await flush(db, [one], patienceMs);
      else for (const { reject } of group) reject(error);
    }
  }
}

/** Again where the connection is lost: what was recorded is not ours any more, and is left alone. */
async function recordSurely(db: D1Database, results: Result[], patienceMs: number | null) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await record(db, results, { now: Date.now(), patienceMs });
    } catch (error) {
      const lost = error instanceof StorageError && error.reason === "lost";
      if (!lost || attempt === D1_TRIES) throw error;
      await sleep(D1_RETRY_MS * 2 ** (attempt - 1));
    }
  }
}
