/** A caller's change of an endpoint: wanted at once, made at Convoy now if it answers, else later. */
import { logError, sleep } from "../run.ts";
import { type Claimed, claim } from "./claim.ts";
import { isPending } from "./compare.ts";
import { busy, gone, masked, notFound, refusal } from "./problems.ts";
import { type Extra, type Reconciled, reconcile, type Work } from "./reconcile.ts";
import { type Change, type EndpointRow, findEndpoint, unwant, want } from "./table.ts";

// Waits for whoever works on it, which takes a few calls to Convoy.
const WAITS_MS = [100, 300, 600, 1_000] as const;

/**
 * Changes an endpoint. If Convoy does not answer, what is wanted is kept, and the cron makes it so; but a header's value
 * is kept nowhere, so that such a change needs Convoy.
 * @returns the record; `isDone`: Convoy has it so
 * @throws Problem if it was refused, or needs Convoy: then it is wanted as before; StorageError
 */
export async function changeEndpoint(
  work: Work,
  one: Pick<EndpointRow, "id" | "owner">,
  to: Change,
  { authentication }: Extra = {},
): Promise<{ row: EndpointRow; isDone: boolean }> {
  const { db } = work;
  const needsConvoy = authentication !== undefined;
  const wanted = await want(db, one, to, { isDue: true });
  if (!wanted) throw notFound();
  const claimed = await claimSoon(db, one.id);
  const made = claimed && (await reconcile(work, claimed, { authentication }));
  const problem = made ? problemOf(made, needsConvoy) : needsConvoy && busy();
  if (problem) {
    await unwant(db, wanted.before, to);
    throw problem;
  }
  const row = await findEndpoint(db, one.owner, one.id);
  if (!row) throw notFound();
  return { row, isDone: !isPending(row) };
}

function problemOf(made: Reconciled, needsConvoy: boolean) {
  switch (made.kind) {
    case "done":
      return null;
    case "silent":
      return needsConvoy ? refusal(made.failure) : null;
    case "refused":
      return refusal(made.failure);
    case "masked":
      return masked();
    case "missing":
      return gone();
    case "removed":
      return notFound();
  }
}

/** Claims the endpoint, waiting a moment for whoever works on it; null if that was not enough. @throws StorageError */
async function claimSoon(db: D1Database, id: string): Promise<Claimed | null> {
  for (const wait of WAITS_MS) {
    const claimed = await claim(db, id);
    if (claimed) return claimed;
    await sleep(wait);
  }
  return claim(db, id);
}

/**
 * Gives the endpoint a new secret: the old one keeps signing for `overlapHours`. Of two at once one is refused, so that
 * every caller knows whose secret signs. If Convoy does not answer it may have been done: the caller asks again.
 * @throws Problem, StorageError
 */
export async function rotateSecret(
  work: Work,
  { owner, id }: EndpointRow,
  secret: { secret: string; overlapHours: number },
): Promise<EndpointRow> {
  const claimed = await claim(work.db, id);
  if (!claimed) throw busy();
  const made = await reconcile(work, claimed, { secret });
  // A change that is refused does not keep it from being done.
  const isDone = made.kind === "refused" || made.kind === "masked";
  const problem = isDone ? null : problemOf(made, true);
  if (problem) throw problem;
  const row = await findEndpoint(work.db, owner, id);
  if (!row) throw notFound();
  return row;
}

/** Reconciles one at once, if nobody works on it. For waitUntil: never rejects. */
export async function tryNow(work: Work, id: string): Promise<void> {
  try {
    const claimed = await claim(work.db, id);
    if (claimed) await reconcile(work, claimed);
  } catch (error) {
    logError({ endpoint: id }, error);
  }
}
