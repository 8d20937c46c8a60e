/** Drift: where Convoy's list of endpoints and the records differ. It is only found here; reconcile ends it. */
import type { Convoy } from "../convoy/client.ts";
import {
  type ConvoyEndpoint,
  foreignKey,
  listEndpoints,
  readSubscriptions,
  type Subscription,
} from "../convoy/endpoints.ts";
import { batch, type Statement } from "../storage.ts";
import { headerNameOf, isToReconcile, seenOf, thereOf } from "./compare.ts";
import { isMadeBy } from "./create.ts";
import type { Work } from "./reconcile.ts";
import { adopt, draftsOf, idBefore, makeDue, makeLackingDue, recordsOf } from "./table.ts";

/** Subrequests for a page: the list, smaller ones, its subscriptions, its records, what is due. */
export const PAGE_CALLS = 6;
/** Subrequests to adopt what a page has without a record. */
export const ADOPT_CALLS = 2;

// Endpoints on a page: their ids make a URL of 4 KB for the subscriptions. One that cannot be read is made smaller:
// Convoy lists all secrets that an endpoint was ever given, so that a few may make it too large.
const PAGE = 100;
const SMALLER = [10, 1] as const;

/** An endpoint at Convoy without a record, and whether a subscription of it was found. */
type Unknown = { item: ConvoyEndpoint; isSubscribed: boolean };

/** A page of Convoy's list: which of it have no record, how many are due by it, where the next page begins. */
export type Compared = {
  items: number;
  unknown: Unknown[];
  differing: number;
  next: string | null;
};

/**
 * Compares a page of Convoy's list with the records, and makes due what differs: fields, status, owner, a subscription
 * that is lacking, one that was removed here, a record that the list lacks.
 * @param owner whose; null: all owners'
 * @param keep a statement that is run with it, given where the next page begins
 * @returns null if Convoy did not answer with such a page
 */
export async function comparePage(
  { db, convoy }: Work,
  owner: string | null,
  cursor: string | null,
  keep?: (next: string | null) => Statement,
): Promise<Compared | null> {
  const listed = await readPage(convoy, owner, cursor);
  if (!listed.ok && listed.status === 200 && owner === null) return passOver(db, cursor, keep);
  if (!listed.ok || listed.data.next === (cursor ?? "")) return null;
  const { items, next } = listed.data;
  const ids = items.map(({ uid }) => uid);
  // An empty list of another project says nothing about what is not in it.
  if (ids.length === 0 && (await foreignKey(convoy))) return null;
  const read = ids.length > 0 ? await readSubscriptions(convoy, ids) : null;
  if (read && !read.ok) return null;
  const subscriptions = read?.data ?? new Map<string, Subscription>();
  const known = new Map((await recordsOf(db, ids)).map((row) => [row.id, row]));
  const differing = items.filter((item) => {
    const row = known.get(item.uid);
    return row && isToReconcile(row, item, subscriptions.get(item.uid));
  });
  const now = Date.now();
  // The page begins with the cursor's endpoint and ends before the next one's, by id, the newest first (recorded).
  const [due = [], lacking = []] = await batch(db, [
    makeDue(
      differing.map(({ uid }) => uid),
      now,
    ),
    makeLackingDue(owner, { after: next, upTo: cursor, there: ids }, now),
    ...(keep ? [keep(next)] : []),
  ]);
  const unknown = items
    .filter(({ uid, owner_id }) => !known.has(uid) && owner_id === (owner ?? owner_id))
    .map((item) => {
      const subscription = subscriptions.get(item.uid);
      return { item, isSubscribed: subscription === "subscribed" || subscription === "filtered" };
    });
  return { items: items.length, unknown, differing: due.length + lacking.length, next };
}

async function readPage(convoy: Convoy, owner: string | null, cursor: string | null) {
  const which = { cursor: cursor ?? undefined, ownerId: owner ?? undefined };
  let listed = await listEndpoints(convoy, { ...which, perPage: PAGE });
  for (const perPage of SMALLER) {
    if (listed.ok || listed.status !== 200) break;
    listed = await listEndpoints(convoy, { ...which, perPage });
  }
  return listed;
}

/** Goes on after an endpoint that cannot be read, so that nobody's keeps others' from being compared. */
async function passOver(
  db: D1Database,
  cursor: string | null,
  keep?: (next: string | null) => Statement,
): Promise<Compared> {
  const next = await idBefore(db, cursor);
  if (keep) await batch(db, [keep(next)]);
  return { items: 0, unknown: [], differing: 0, next };
}

/**
 * Adopts endpoints that were made in Convoy's dashboard; a creation that may be in progress is left to itself.
 * @returns how many
 */
export async function adoptAll(db: D1Database, owner: string, unknown: Unknown[]): Promise<number> {
  if (unknown.length === 0) return 0;
  const drafts = await draftsOf(db, owner);
  const others = unknown.filter(({ item }) => !drafts.some((draft) => isMadeBy(draft, item)));
  const now = Date.now();
  return adopt(
    db,
    others.map(({ item, isSubscribed }) => ({
      ...{ id: item.uid, owner, wanted: "active", there: thereOf(item) },
      ...seenOf(item),
      ...{ event_types: null, header_name: headerNameOf(item) },
      applied: JSON.stringify(seenOf(item)),
      ...{ created_at: item.createdAt ?? now, updated_at: now },
      due_at: isSubscribed ? null : now,
    })),
  );
}
