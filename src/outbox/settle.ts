/** Settling: what requests of an isolate have done is recorded together, in one transaction for many. */
import { sleep, within } from "../run.ts";
import { batch, StorageError, whileLost } from "../storage.ts";
import { type Outcome, recordStatement } from "./outcome.ts";
import { type Marked, markStatement, type Projected } from "./projection.ts";

/** What a request has done with the event that it wrote: projected its resource, posted deliveries or left them. */
export type Settling = { projected: Projected[]; outcomes: Outcome[] };

// How long it waits for others to be recorded with it; only waitUntil waits for it.
const WAIT_MS = 25;
// Requests per transaction: some 100 KB of D1's 2 MB per parameter.
const TOGETHER_MAX = 200;
// How long a request waits for another one to record what it has done before it does so itself.
const OTHERS_MS = 5_000;

type Waiting = {
  settling: Settling;
  resolve: (marked: Marked[]) => void;
  reject: (error: unknown) => void;
};

// This isolate's list for each database.
const lists = new WeakMap<D1Database, Waiting[]>();

/**
 * Records with others: waits a moment; a request that is still in the list then takes the whole list. If it dies,
 * nothing is lost: the others record their own after a while, and rows are leased.
 * @returns its changes afterwards; those that were no longer ours are absent
 */
export async function settle(db: D1Database, settling: Settling): Promise<Marked[]> {
  const list = lists.get(db) ?? [];
  lists.set(db, list);
  const { promise, resolve, reject } = Promise.withResolvers<Marked[]>();
  // It may be rejected after this request has given up waiting for it.
  promise.catch(() => {});
  const mine = { settling, resolve, reject };
  list.push(mine);
  await sleep(WAIT_MS);
  if (list.includes(mine)) await flush(db, list.splice(0));
  return (await within(OTHERS_MS, promise)) ?? record(db, [settling]);
}

async function flush(db: D1Database, taken: Waiting[]): Promise<void> {
  for (let start = 0; start < taken.length; start += TOGETHER_MAX) {
    const group = taken.slice(start, start + TOGETHER_MAX);
    try {
      const marked = await record(
        db,
        group.map(({ settling }) => settling),
      );
      const bySeq = new Map(marked.map((one) => [one.seq, one]));
      for (const { settling, resolve } of group) {
        resolve(settling.projected.flatMap(({ seq }) => bySeq.get(seq) ?? []));
      }
    } catch (error) {
      // What D1 refuses of one request must not fail the others.
      const alone = error instanceof StorageError && error.reason === "refused" && group.length > 1;
      if (alone) for (const one of group) await flush(db, [one]);
      else for (const { reject } of group) reject(error);
    }
  }
}

/** Retries a lost connection: what is already recorded is no longer ours, and is left alone. */
function record(db: D1Database, settlings: Settling[]): Promise<Marked[]> {
  const projected = settlings.flatMap((one) => one.projected);
  const outcomes = settlings.flatMap((one) => one.outcomes);
  return whileLost(async () => {
    const statements = [
      ...(projected.length > 0 ? [markStatement(projected)] : []),
      ...(outcomes.length > 0 ? [recordStatement(outcomes)] : []),
    ];
    if (statements.length === 0) return [];
    const [marked = []] = await batch<Marked>(db, statements);
    return projected.length > 0 ? marked : [];
  });
}
