/** The cron's part: endpoints that are due, owners in turn; and drift, page by page. */
import { convoyOf } from "../convoy/client.ts";
import type { Task } from "../outbox/cron.ts";
import { run } from "../storage.ts";
import { type Claimed, claimNext } from "./claim.ts";
import { endCutOff } from "./create.ts";
import { comparePage, PAGE_CALLS } from "./drift.ts";
import { RECONCILE_CALLS, reconcile, unanswered, type Work } from "./reconcile.ts";
import { forgetRemoved, removedBefore } from "./table.ts";

// A removed endpoint is remembered for this long: a Convoy restored from a backup does not bring it back.
const REMEMBERED_MS = 30 * 86_400_000;
// Between two rounds through Convoy's list.
const ROUND_MS = 5 * 60_000;

/** @returns whether nothing is left to do, but what was refused */
async function finish(work: Work, claimed: Claimed): Promise<boolean> {
  if (claimed.wanted === "creating") return endCutOff(work, claimed);
  return unanswered(await reconcile(work, claimed)) === null;
}

const old = removedBefore(`?1 - ${REMEMBERED_MS}`);

/** In the order in which they run. */
export const endpointTasks: Task[] = [
  {
    name: "drift",
    due: () => `s.drift_due_at <= ?1 AND EXISTS (SELECT 1 FROM endpoint)`,
    least: PAGE_CALLS,
    share: 0.04,
    async run({ env }, { now, row }, budget) {
      const report = { endpoints: 0, differing: 0 };
      let cursor = row.drift_cursor as string | null;
      const keep = (next: string | null): [string, ...unknown[]] => [
        "UPDATE cron_state SET drift_cursor = ?1, drift_due_at = ?2",
        ...[next, next === null ? now + ROUND_MS : now],
      ];
      do {
        const page = await comparePage({ db: env.DB, convoy: convoyOf(env) }, null, cursor, keep);
        if (page === null) return { ...report, problem: "Convoy did not list its endpoints" };
        report.endpoints += page.items;
        report.differing += page.differing;
        cursor = page.next;
      } while (cursor !== null && budget.left() >= PAGE_CALLS);
      return report.differing > 0 ? report : null;
    },
  },
  {
    name: "reconcile",
    due: () => `EXISTS (SELECT 1 FROM endpoint WHERE due_at IS NOT NULL AND due_at <= ?1)`,
    least: RECONCILE_CALLS + 1,
    share: 0.14,
    // One of each owner, then the next of each. One that cannot be done now does not hold up the next.
    async run({ env }, { row }, budget) {
      const report = { claimed: 0, done: 0 };
      const work = { db: env.DB, convoy: convoyOf(env) };
      let place = String(row.reconcile_turn ?? "");
      // One more, to keep the place.
      while (budget.left() > RECONCILE_CALLS) {
        const claimed = await claimNext(env.DB, place);
        if (!claimed) break;
        place = claimed.owner;
        report.claimed++;
        if (await finish(work, claimed)) report.done++;
      }
      if (report.claimed === 0) return null;
      await run(env.DB, "UPDATE cron_state SET reconcile_turn = ?1", place);
      return report;
    },
  },
  {
    name: "forget",
    due: () => `EXISTS (${old})`,
    least: 1,
    share: 0,
    async run({ env }, { now }) {
      return { endpoints: await forgetRemoved(env.DB, now - REMEMBERED_MS) };
    },
  },
];
