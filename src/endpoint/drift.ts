/** Drift: where Convoy's list of endpoints and the records differ. It is only found here; reconcile ends it. */
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
import { adopt, draftsOf, makeDue, recordsBetween, recordsOf } from "./table.ts";

/** Subrequests for a page: the list, its subscriptions, its records, those that it lacks, what is due. */
export const PAGE_CALLS = 5;

// Endpoints on a page: their ids make a URL of 2 KB for the subscriptions.
const PAGE = 50;

/** An endpoint at Convoy without a record, and whether it lacks a subscription. */
export type Unknown = { item: ConvoyEndpoint; isLacking: boolean };

/** A page of Convoy's list: which of it have no record, how many differ from theirs, where the next page begins. */
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
 * @throws StorageError
 */
export async function comparePage(
  { db, convoy }: Work,
  owner: string | null,
  cursor: string | null,
  keep?: (next: string | null) => Statement,
): Promise<Compared | null> {
  const options = { perPage: PAGE, cursor: cursor ?? undefined, ownerId: owner ?? undefined };
  const listed = await listEndpoints(convoy, options);
  if (!listed.ok || listed.data.next === (cursor ?? "")) return null;
  const { items, next } = listed.data;
  const ids = items.map(({ uid }) => uid);
  const read = ids.length > 0 ? await readSubscriptions(convoy, ids) : null;
  if (read && !read.ok) return null;
  const subscriptions = read?.data ?? new Map<string, Subscription>();
  const known = new Map((await recordsOf(db, ids)).map((row) => [row.id, row]));
  const differing = items.flatMap((item) => {
    const row = known.get(item.uid);
    return row && isToReconcile(row, item, subscriptions.get(item.uid)) ? [row.id] : [];
  });
  // The page begins with the cursor's endpoint and ends before the next one's, by id, the newest first (recorded).
  const there = await recordsBetween(db, owner, { after: next, upTo: cursor });
  const lacking = there.filter((row) => row.there !== "missing" && !ids.includes(row.id));
  // Nor does another project's list say anything about what is not in it.
  if (items.length === 0 && lacking.length > 0 && (await foreignKey(convoy))) return null;
  const due = [...differing, ...lacking.map(({ id }) => id)];
  const statements = [
    ...(due.length > 0 ? [makeDue(due, Date.now(), owner !== null)] : []),
    ...(keep ? [keep(next)] : []),
  ];
  if (statements.length > 0) await batch(db, statements);
  const unknown = items
    .filter(({ uid }) => !known.has(uid))
    .map((item) => ({ item, isLacking: subscriptions.get(item.uid) === "lacking" }));
  return { items: items.length, unknown, differing: due.length, next };
}

/**
 * Adopts endpoints that were made in Convoy's dashboard; a creation that may be in progress is left to itself.
 * @returns how many
 * @throws StorageError
 */
export async function adoptAll(db: D1Database, owner: string, items: Unknown[]) {
  const drafts = items.length > 0 ? await draftsOf(db, owner) : [];
  let adopted = 0;
  for (const { item, isLacking } of items) {
    if (drafts.some((draft) => isMadeBy(draft, item))) continue;
    const applied = seenOf(item);
    const made = {
      ...{ ...applied, id: item.uid, owner, event_types: null, header_name: headerNameOf(item) },
      created_at: Date.parse(item.created_at),
    };
    if (await adopt(db, made, { applied, there: thereOf(item), isDue: isLacking })) adopted++;
  }
  return adopted;
}
