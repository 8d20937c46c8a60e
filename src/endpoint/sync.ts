/** POST /endpoint/sync: adopts what Convoy has for the owner, and reconciles what differs, as far as a request may. */
import type { Budget } from "../run.ts";
import type { SyncReport } from "./answers.ts";
import { claimOf } from "./claim.ts";
import { ADOPT_CALLS, adoptAll, comparePage, PAGE_CALLS } from "./drift.ts";
import { RECONCILE_CALLS, reconcile, unanswered, type Work } from "./reconcile.ts";
import { hasDue, hasten } from "./table.ts";

/**
 * Reads Convoy's list of the owner's endpoints from `cursor` on, then reconciles what is due. `complete`: all was looked
 * at, and nothing is left to do; if not, another sync goes on, at its cursor, since what is due stays so.
 */
export async function sync(
  work: Work,
  owner: string,
  budget: Budget,
  cursor: string | null,
): Promise<SyncReport> {
  const report = { adopted: 0, removed: 0, updated: 0, missing: 0 };
  await hasten(work.db, owner);
  let place = cursor;
  let isRead = false;
  while (!isRead && budget.left() > PAGE_CALLS + ADOPT_CALLS) {
    const page = await comparePage(work, owner, place);
    if (!page) break;
    report.adopted += await adoptAll(work.db, owner, page.unknown);
    place = page.next;
    isRead = place === null;
  }
  // One more, to know whether anything is left.
  while (budget.left() > RECONCILE_CALLS) {
    const claimed = await claimOf(work.db, owner);
    if (!claimed) break;
    const ended = await reconcile(work, claimed);
    if (ended.kind === "done" && !unanswered(ended)) report.updated++;
    if (ended.kind === "missing" || ended.kind === "removed") report[ended.kind]++;
  }
  const complete = isRead && !(await hasDue(work.db, owner));
  return { ...report, complete, ...(isRead || place === null ? {} : { cursor: place }) };
}
