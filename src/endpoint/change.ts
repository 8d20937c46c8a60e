/** A caller's change of an endpoint: made now if Convoy answers, else kept and made later. */
import type { Convoy } from "../convoy/client.ts";
import type { Authentication } from "../convoy/endpoints.ts";
import { logError, sleep } from "../run.ts";
import { isPending } from "./compare.ts";
import { busy, gone, masked, notFound, refusal } from "./problems.ts";
import { CLAIM_MS, reconcile } from "./reconcile.ts";
import { claim, type EndpointRow, findEndpoint, type Wanted, want } from "./table.ts";

type Work = { db: D1Database; convoy: Convoy };

/** What a caller wants to change. `authentication`: a header with its value; null removes it. */
export type Wish = { wanted: Partial<Wanted>; authentication?: Authentication | null | undefined };

// Waits for whoever works on it, which takes a few calls to Convoy.
const WAITS_MS = [100, 200, 400, 800, 1_500, 3_000] as const;

/**
 * Changes an endpoint. If Convoy does not answer, what is wanted is kept, and the cron makes it so; but a header's value
 * is kept nowhere, so that such a change needs Convoy.
 * @returns the record, and whether Convoy has it so
 * @throws Problem if it was refused, or needs Convoy; StorageError
 */
export async function changeEndpoint(
  work: Work,
  row: EndpointRow,
  { wanted, authentication }: Wish,
): Promise<{ row: EndpointRow; isDone: boolean }> {
  const claimed = await claimSoon(work.db, row);
  if (!claimed) {
    if (authentication !== undefined) throw busy();
    return keep(work.db, row, wanted);
  }
  const made = await reconcile({ ...work, claimed }, { ...wanted, authentication });
  switch (made.kind) {
    case "done":
      return { row: made.row, isDone: !isPending(made.row) };
    case "silent":
      if (authentication !== undefined) throw refusal(made.failure);
      return keep(work.db, row, wanted);
    case "refused":
      throw refusal(made.failure);
    case "masked":
      throw masked();
    case "missing":
      throw gone();
    case "removed":
      throw notFound();
  }
}

/** Claims the endpoint, waiting a few seconds for whoever works on it; null if that was not enough. @throws StorageError */
async function claimSoon(db: D1Database, { id }: EndpointRow): Promise<EndpointRow | null> {
  for (const wait of [...WAITS_MS, 0]) {
    const now = Date.now();
    const claimed = await claim(db, id, { now, lease: now + CLAIM_MS });
    if (claimed || wait === 0) return claimed;
    await sleep(wait);
  }
  return null;
}

/** Keeps what is wanted: it is due. */
async function keep(db: D1Database, { owner, id }: EndpointRow, wanted: Partial<Wanted>) {
  const isEmpty = Object.keys(wanted).length === 0;
  const row = isEmpty
    ? await findEndpoint(db, owner, id)
    : await want(db, { owner, id }, wanted, Date.now());
  if (!row) throw notFound();
  return { row, isDone: !isPending(row) };
}

/** Reconciles one at once, if nobody works on it. For waitUntil: never rejects. */
export async function tryNow({ db, convoy }: Work, id: string): Promise<void> {
  try {
    const now = Date.now();
    const claimed = await claim(db, id, { now, lease: now + CLAIM_MS });
    if (claimed) await reconcile({ db, convoy, claimed });
  } catch (error) {
    logError({ endpoint: id }, error);
  }
}
