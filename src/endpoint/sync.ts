/** POST /endpoint/sync: adopts what Convoy has for the owner, and reconciles what differs. */
import type { Convoy } from "../convoy/client.ts";
import {
  type ConvoyEndpoint,
  deleteEndpoint,
  listEndpoints,
  readSubscriptions,
  type Subscription,
} from "../convoy/endpoints.ts";
import type { Budget } from "../run.ts";
import type { SyncReport } from "./answers.ts";
import { compare, headerNameOf, isPending, seenOf, thereOf } from "./compare.ts";
import { isMadeBy } from "./create.ts";
import { CLAIM_MS, RECONCILE_CALLS, reconcile } from "./reconcile.ts";
import { adopt, allOf, claim, type EndpointRow, recordsOf } from "./table.ts";

// Endpoints on a page: their ids make a URL of 2 KB for the subscriptions.
const PAGE = 50;
// The page, its subscriptions, its records and the owner's.
const PAGE_CALLS = 4;

type Sync = { db: D1Database; convoy: Convoy; owner: string; budget: Budget };
type Counts = Omit<SyncReport, "complete" | "cursor">;
type Page = { items: ConvoyEndpoint[]; next: string | null; cursor: string | undefined };

/**
 * Page by page of Convoy's list: what was made there is adopted, what was removed here is removed there, what differs is
 * reconciled, and so is a record that the list lacks.
 * @param from where to resume: the cursor of the report before
 * @throws StorageError
 */
export async function sync(run: Sync, from: string | undefined): Promise<SyncReport> {
  const counts: Counts = { adopted: 0, removed: 0, updated: 0, missing: 0 };
  let cursor = from;
  for (;;) {
    const page = await readPage(run, cursor);
    if (page === null || !(await syncPage(run, counts, page))) {
      return { ...counts, complete: false, ...(cursor ? { cursor } : {}) };
    }
    if (page.next === null) return { ...counts, complete: true };
    cursor = page.next;
  }
}

/** Null: the budget is spent, or Convoy did not answer with a page of this project. */
async function readPage(run: Sync, cursor: string | undefined): Promise<Page | null> {
  const { convoy, owner, budget } = run;
  if (budget.left() < PAGE_CALLS) return null;
  const listed = await listEndpoints(convoy, { perPage: PAGE, cursor, ownerId: owner });
  if (!listed.ok || listed.data.next === (cursor ?? "")) return null;
  const { items, next } = listed.data;
  return items.every(({ project_id }) => project_id === convoy.projectId)
    ? { items, next, cursor }
    : null;
}

/** @returns whether all of it was looked at */
async function syncPage(run: Sync, counts: Counts, { items, next, cursor }: Page) {
  const { db, convoy, owner, budget } = run;
  const ids = items.map(({ uid }) => uid);
  const known = await recordsOf(db, owner, ids);
  const read = ids.length > 0 ? await readSubscriptions(convoy, ids) : null;
  if (read && !read.ok) return false;
  const differing: EndpointRow[] = [];
  for (const item of items) {
    const record = known.find(({ id }) => id === item.uid);
    if (budget.left() < 2) return false;
    if (record && record.wanted !== "removed") {
      if (isDifferent(record, item, read?.data.get(item.uid))) differing.push(record);
    } else if (!(await syncOther(run, counts, item, record, known))) return false;
  }
  // The page begins with the cursor's endpoint and ends before the next one's, by id, the newest first (recorded).
  const lacking = (await allOf(db, owner)).filter(
    ({ id, there, due_at }) =>
      id > (next ?? "") &&
      (cursor === undefined || id <= cursor) &&
      !ids.includes(id) &&
      !(there === "missing" && due_at !== null),
  );
  for (const row of [...differing, ...lacking]) {
    if (!(await reconcileOne(run, counts, row))) return false;
  }
  return true;
}

function isDifferent(row: EndpointRow, item: ConvoyEndpoint, subscription?: Subscription): boolean {
  const seen = seenOf(item);
  const { wanted, isToPut } = compare(row, seen);
  return (
    isToPut ||
    isPending(row) ||
    Object.entries(wanted).some(([field, value]) => row[field as keyof EndpointRow] !== value) ||
    row.there !== thereOf(item) ||
    row.header_name !== headerNameOf(item) ||
    item.owner_id !== row.owner ||
    subscription === "lacking"
  );
}

/** One without a record that a caller has. @returns false if Convoy stops it */
async function syncOther(
  run: Sync,
  counts: Counts,
  item: ConvoyEndpoint,
  tombstone: EndpointRow | undefined,
  known: EndpointRow[],
): Promise<boolean> {
  const { db, convoy, owner } = run;
  // A creation that may be in progress is left to itself, and to the cron.
  if (!tombstone && known.some((draft) => isMadeBy(draft, item))) return true;
  if (tombstone) {
    const gone = await deleteEndpoint(convoy, item.uid);
    if (gone.ok) counts.removed++;
    return gone.ok;
  }
  const seen = seenOf(item);
  const made = {
    ...seen,
    ...{ id: item.uid, owner, there: thereOf(item), event_types: null },
    ...{ header_name: headerNameOf(item), created_at: Date.parse(item.created_at) },
  };
  if (await adopt(db, made, seen, Date.now())) counts.adopted++;
  // It may lack a subscription.
  return reconcileOne(run, { ...counts }, { id: item.uid });
}

/** @returns whether it was looked at: not if the budget is spent, somebody works on it, or Convoy does not answer */
async function reconcileOne(
  { db, convoy, budget }: Sync,
  counts: Counts,
  { id }: Pick<EndpointRow, "id">,
): Promise<boolean> {
  if (budget.left() < RECONCILE_CALLS) return false;
  const now = Date.now();
  const claimed = await claim(db, id, { now, lease: now + CLAIM_MS });
  if (!claimed) return false;
  const done = await reconcile({ db, convoy, claimed });
  if (done.kind === "missing") counts.missing++;
  if (done.kind === "done") counts.updated++;
  return done.kind !== "silent";
}
