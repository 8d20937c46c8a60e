/** POST /endpoint/sync: adopts what Convoy has for the owner, and reconciles what differs, as far as a request may. */
import type { Convoy } from "../convoy/client.ts";
import type { Budget } from "../run.ts";
import type { SyncReport } from "./answers.ts";
import { claimOf } from "./claim.ts";
import { adoptAll, comparePage, PAGE_CALLS } from "./drift.ts";
import { RECONCILE_CALLS, reconcile } from "./reconcile.ts";
import { hasDue } from "./table.ts";

type Sync = { db: D1Database; convoy: Convoy; owner: string; budget: Budget };
type Counts = Omit<SyncReport, "complete">;

/**
 * Reads Convoy's whole list of the owner's endpoints, then reconciles what is due. `complete`: all was looked at, and
 * nothing is left to do; if not, another sync goes on, since what is due stays so.
 * @throws StorageError
 */
export async function sync(run: Sync): Promise<SyncReport> {
  const counts: Counts = { adopted: 0, removed: 0, updated: 0, missing: 0 };
  const isRead = await readAll(run, counts);
  const { db, convoy, owner, budget } = run;
  // Its record, and whether anything is left.
  while (budget.left() >= RECONCILE_CALLS + 1) {
    const claimed = await claimOf(db, owner);
    if (!claimed) break;
    const { kind } = await reconcile({ db, convoy, claimed });
    if (kind === "done") counts.updated++;
    if (kind === "missing" || kind === "removed") counts[kind]++;
  }
  return { ...counts, complete: isRead && !(await hasDue(db, owner)) };
}

/** @returns whether all of the list was compared */
async function readAll({ db, convoy, owner, budget }: Sync, counts: Counts): Promise<boolean> {
  let cursor: string | null = null;
  do {
    if (budget.left() < PAGE_CALLS + 1) return false;
    const page = await comparePage({ db, convoy }, owner, cursor);
    if (page === null) return false;
    const most = Math.max(0, budget.left() - 2);
    counts.adopted += await adoptAll(db, owner, page.unknown.slice(0, most));
    if (page.unknown.length > most) return false;
    cursor = page.next;
  } while (cursor !== null);
  return true;
}
