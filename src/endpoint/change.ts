/** A caller's change of an endpoint: wanted at once, made at Convoy now if it answers, else later. */
import type { Problem } from "../errors.ts";
import { logError, sleep } from "../run.ts";
import { claim, claimWanting, endClaim } from "./claim.ts";
import { isPending } from "./compare.ts";
import { busy, gone, masked, notFound, refusal } from "./problems.ts";
import {
  type Extra,
  makeAsWanted,
  type Reconciled,
  reconcile,
  unanswered,
  type Work,
} from "./reconcile.ts";
import { APPLIED, type Change, type EndpointRow, findEndpoint, want } from "./table.ts";

// Waits for whoever works on it, which takes a few calls to Convoy.
const WAITS_MS = [0, 100, 300, 600, 1_000] as const;

type One = Pick<EndpointRow, "id" | "owner">;

/**
 * Changes an endpoint. If Convoy does not answer, what is wanted is kept, and the cron makes it so; but a header's value
 * is kept nowhere, so that such a change needs Convoy.
 * @returns the record; `isDone`: Convoy has it so
 * @throws Problem if it was refused, or needs Convoy: then it is wanted as before
 */
export async function changeEndpoint(
  work: Work,
  one: One,
  to: Change,
  { authentication }: Extra = {},
): Promise<{ row: EndpointRow; isDone: boolean }> {
  const needsConvoy = authentication !== undefined;
  const isMade = await makeNow(work, one, to, authentication);
  if (!isMade) {
    if (needsConvoy) throw busy();
    await want(work.db, one, { ...to, due_at: Date.now() });
  }
  const row = await findEndpoint(work.db, one.owner, one.id);
  if (!row) throw notFound();
  return { row, isDone: !isPending(row) };
}

/** @returns whether nobody else worked on it @throws Problem */
async function makeNow(
  { db, convoy }: Work,
  one: One,
  to: Change,
  authentication: Extra["authentication"],
): Promise<boolean> {
  for (const wait of WAITS_MS) {
    if (wait > 0) await sleep(wait);
    const { before, claimed } = await claimWanting(db, one, to);
    if (!before) throw notFound();
    if (!claimed) continue;
    const { ended, learned } = await makeAsWanted(convoy, claimed, { authentication });
    const problem = problemOf(ended, to, authentication);
    // Wanted as before, in the same statement: nobody is to see it otherwise.
    await endClaim(db, claimed, problem ? { ...learned, ...undo(before, to, ended) } : learned);
    if (problem) throw problem;
    return true;
  }
  return false;
}

/** What a caller is told of a change that is not made. */
function problemOf(
  ended: Reconciled,
  to: Change,
  authentication: Extra["authentication"],
): Problem | null {
  const needsConvoy = authentication !== undefined;
  // What is only here, and an activation, do not depend on fields that were changed before.
  const isAbout = needsConvoy || APPLIED.some((column) => column in to);
  switch (ended.kind) {
    case "silent":
      return needsConvoy ? refusal(ended.failure) : null;
    case "refused":
      return isAbout ? refusal(ended.failure) : null;
    case "masked":
      return isAbout ? masked() : null;
    default:
      return lostOf(ended);
  }
}

function lostOf({ kind }: Reconciled): Problem | null {
  if (kind === "missing") return gone();
  return kind === "removed" ? notFound() : null;
}

/** What is wanted as it was, and what was made of that; what was kept before is still to be made. */
function undo(before: EndpointRow, to: Change, { kind }: Reconciled) {
  const columns = Object.keys(to) as (keyof Change)[];
  const back = Object.fromEntries(columns.map((column) => [column, before[column]]));
  if (kind === "refused" || kind === "masked") return { ...back, error: null, due_at: Date.now() };
  return { ...back, applied: before.applied };
}

/**
 * Gives the endpoint a new secret: the old one keeps signing for `overlapHours`. Of two at once one is refused, so that
 * every caller knows whose secret signs. If Convoy does not answer it may have been done: the caller asks again.
 * @throws Problem
 */
export async function rotateSecret(
  { db, convoy }: Work,
  { owner, id }: One,
  secret: { secret: string; overlapHours: number },
): Promise<EndpointRow> {
  const claimed = await claim(db, id);
  if (!claimed) throw busy();
  const { ended, learned } = await makeAsWanted(convoy, claimed, { secret });
  await endClaim(db, claimed, learned);
  // A change that is refused does not keep it from being done.
  const failure = unanswered(ended);
  const problem = failure ? refusal(failure) : lostOf(ended);
  if (problem) throw problem;
  const row = await findEndpoint(db, owner, id);
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
