/** POST /endpoint/sync: adopts what Convoy has for the owner, and reconciles what differs, as far as a request may. */
import type { Budget } from "../run.ts";
import type { SyncReport } from "./answers.ts";
import { claimOf } from "./claim.ts";
import { adoptAll, comparePage, PAGE_CALLS } from "./drift.ts";
import { RECONCILE_CALLS, reconcile, type Work } from "./reconcile.ts";
import { hasDue } from "./table.ts";

/**
 * Reads Convoy's whole list of the owner's endpoints, then reconciles what is due. `complete`: all was looked at, and
 * nothing is left to do; if not, another sync goes on, since what is due stays so.
 * @throws StorageError
 */
export async function sync(work: Work, owner: string, budget: Budget): Promise<SyncReport> {
  const counts = { adopted: 0, removed: 0, updated: 0, missing: 0 };
  const { isRead, adopted } = await readAll(work, owner, budget);
  // One more, to know whether anything is left.
  while (budget.left() > RECONCILE_CALLS) {
    const claimed = await claimOf(work.db, owner);
    if (!claimed) break;
    const { kind } = await reconcile(work, claimed);
    if (kind === "done") counts.updated++;
    if (kind === "missing" || kind === "removed") counts[kind]++;
  }
  return { ...counts, adopted, complete: isRead && !(await hasDue(work.db, owner)) };
}

/** @returns whether all of the list was compared, and how many were adopted */
async function readAll(work: Work, owner: string, budget: Budget) {
  let adopted = 0;
  let cursor: string | null = null;
  do {
    if (budget.left() <= PAGE_CALLS) return { isRead: false, adopted };
    const page = await comparePage(work, owner, cursor);
    const most = Math.max(0, budget.left() - 2);
    adopted += page ? await adoptAll(work.db, owner, page.unknown.slice(0, most)) : 0;
    if (page === null || page.unknown.length > most) return { isRead: false, adopted };
    cursor = page.next;
  } while (cursor !== null);
  return { isRead: true, adopted };
}
