/** Makes D1's records match Convoy: after interrupted changes, and for a caller (docs/design.md, section 7). */

import type { ReconcileReport } from "../answers.ts";
import {
  ADOPT_AGE_MS,
  type Bindings,
  CHANGE_LEASE_MS,
  ENDPOINT_PAGE,
  LOOKUP_TIMEOUT_MS,
} from "../config.ts";
import { type Convoy, convoyOf } from "../convoy/client.ts";
import {
  type ConvoyEndpoint,
  deleteEndpoint,
  isEndpointMissing,
  listEndpoints,
  listSubscriptions,
  putEndpoint,
  subscribe,
} from "../convoy/endpoints.ts";
import type { Budget } from "../run.ts";
import { logError } from "../run.ts";
import { all, batch, type Statement } from "../storage.ts";
import { isMadeBy, removeCutOff } from "./create.ts";
import { finishMove } from "./pause.ts";
import { recoverDiscarded } from "./recovery-table.ts";
import {
  type Adopted,
  adopt,
  claimCutOff,
  type EndpointRow,
  markMissing,
  recordSubscriptions,
  recordsAround,
  removeEndpoint,
  type Seen,
} from "./table.ts";
import { followAll, noteOwner, readEndpoint, recordSeen, toSeen } from "./update.ts";

/** What was done about interrupted changes. */
export type MovesReport = { claimed: number; finished: number };

/**
 * Finishes interrupted changes of endpoints, longest waiting first: creations, pauses, activations, and
 * others, after which the record says what Convoy has. One that cannot be finished now does not hold up
 * the next.
 * @returns null if there were none
 * @throws StorageError
 */
export async function finishMoves(
  db: D1Database,
  convoy: Convoy,
  budget: Budget,
): Promise<MovesReport | null> {
  const report = { claimed: 0, finished: 0 };
  const begun = Date.now();
  // The claim; then status, toggle, batch and record; or a page, its records and the end of a creation.
  while (budget.left() >= 6 && budget.take(1)) {
    const claimed = await claimCutOff(db, begun, Date.now() + CHANGE_LEASE_MS);
    if (!claimed) break;
    report.claimed++;
    if (await finishOne(db, convoy, claimed, budget)) report.finished++;
  }
  return report.claimed > 0 ? report : null;
}

async function finishOne(
  db: D1Database,
  convoy: Convoy,
  claimed: EndpointRow,
  budget: Budget,
): Promise<boolean> {
  if (claimed.status === "creating") return removeCutOff(db, convoy, claimed, budget);
  if (claimed.status === "pausing" || claimed.status === "activating") {
    budget.take(4);
    return (await finishMove(db, convoy, claimed)) === null;
  }
  budget.take(2);
  const read = await readEndpoint(convoy, claimed.id);
  if (!read.ok && !isEndpointMissing(read.failure)) return false;
  await recordSeen(db, convoy, claimed, read.ok ? read.item : null);
  return true;
}

/**
 * Adopts what Convoy has for the owner: endpoints created in its dashboard, names, URLs and statuses
 * changed there, and what is gone. An endpoint without a subscription gets one; a changed owner is put
 * back.
 * @param options.cursor where to resume: the cursor of the previous report
 * @throws StorageError
 */
export async function sync(
  db: D1Database,
  convoy: Convoy,
  owner: string,
  options: { cursor?: string | undefined; budget: Budget },
): Promise<ReconcileReport> {
  const report = { adopted: 0, removed: 0, updated: 0, missing: 0, subscribed: 0 };
  let { cursor } = options;
  do {
    const next = await syncPage({ db, convoy, owner, budget: options.budget, report }, cursor);
    if (next === false) return { ...report, complete: false, ...(cursor ? { cursor } : {}) };
    cursor = next ?? undefined;
  } while (cursor);
  return { ...report, complete: true };
}

type Sync = {
  db: D1Database;
  convoy: Convoy;
  owner: string;
  budget: Budget;
  report: Omit<ReconcileReport, "complete" | "cursor">;
};

/** @returns where the next page begins, null after the last; false if this page is not done */
async function syncPage(run: Sync, cursor: string | undefined): Promise<string | null | false> {
  const { db, convoy, owner, budget, report } = run;
  // Endpoints, records, subscriptions, and at the end recording what was seen and what is missing.
  if (!budget.take(5)) return false;
  const askedAt = Date.now();
  const page = await listEndpoints(convoy, { perPage: ENDPOINT_PAGE, cursor, ownerId: owner });
  if (!page.ok) return false;
  // Another project's endpoints mean a wrong key: none of them are ours.
  const items = page.data.items.filter((item) => item.project_id === convoy.projectId);
  const ids = items.map((item) => item.uid);
  // The page begins with the cursor's endpoint and ends before the next cursor's (recorded).
  const range = { after: page.data.next ?? "", upTo: cursor ?? null, ids };
  const records = await recordsAround(db, owner, range);
  const subscriptions = await subscriptionsOf(convoy, ids, budget);
  if (!subscriptions) return false;

  const seen: Seen[] = [];
  const adopted: Adopted[] = [];
  const made: Record<string, string> = {};
  const missing: string[] = [];
  const record = async () => {
    const now = Date.now();
    const results = await batch(db, [
      ...followAll(convoy.projectId, seen, askedAt),
      adopt(adopted, now),
      ...adopted.map((one) => bringBack(convoy.projectId, one, now)),
      recordSubscriptions({ ...subscriptions, ...made }),
    ]);
    report.updated += results[1]?.length ?? 0;
    report.adopted += results[2]?.length ?? 0;
    report.missing += missing.length;
    if (missing.length > 0) await markMissing(db, missing, now);
  };
  /** Undefined if the budget or Convoy stops it. */
  const done = await (async () => {
    for (const item of items) {
      const known = records.find((one) => one.id === item.uid);
      const draft = records.find((one) => one.status === "creating" && isMadeBy(one, item));
      if (!known && draft) {
        if (!(await removeMade(run, draft, item, askedAt))) return;
        continue;
      }
      // It may be a creation in progress whose draft does not look like it.
      if (!known && Date.parse(item.created_at) > askedAt - ADOPT_AGE_MS) continue;
      if (known && known.owner !== owner && !(await putBack(run, known, item))) return;
      if (!subscriptions[item.uid]) {
        if (!budget.take(1)) return;
        const subscribed = await subscribe(convoy, item.uid, item.name);
        if (!subscribed.ok) return;
        if (subscribed.uid) {
          made[item.uid] = subscribed.uid;
          report.subscribed++;
        }
      }
      if (known) seen.push(toSeen(item));
      else adopted.push(toAdopted(item, owner, subscriptions[item.uid] ?? made[item.uid] ?? null));
    }
    const unlisted = records.filter((one) => one.owner === owner && !ids.includes(one.id));
    for (const one of unlisted) {
      if (["creating", "missing"].includes(one.status) || (one.due_at ?? 0) > askedAt) continue;
      // Read by its id: its owner may have been changed.
      if (!budget.take(1)) return;
      const read = await readEndpoint(convoy, one.id);
      if (!read.ok && !isEndpointMissing(read.failure)) return;
      if (!read.ok) missing.push(one.id);
      else if (!(await putBack(run, one, read.item))) return;
    }
    return true;
  })();
  await record();
  return done ? page.data.next : false;
}

/** Removes what an interrupted creation made; leaves one that may be in progress alone. False if that fails. */
async function removeMade(
  { db, convoy, budget, report }: Sync,
  draft: EndpointRow,
  item: ConvoyEndpoint,
  now: number,
): Promise<boolean> {
  if ((draft.due_at ?? 0) > now) return true;
  if (!budget.take(2)) return false;
  if (!(await deleteEndpoint(convoy, item.uid)).ok) return false;
  await removeEndpoint(db, draft.owner, draft.id);
  report.removed++;
  return true;
}

/** Puts the record's owner back if Convoy has another one: the endpoint would get another owner's webhooks. */
async function putBack(
  { convoy, budget, report }: Sync,
  row: EndpointRow,
  item: ConvoyEndpoint,
): Promise<boolean> {
  if (item.owner_id === row.owner) return true;
  if (!budget.take(1)) return false;
  noteOwner(row, item);
  const answer = await putEndpoint(convoy, item, { owner_id: row.owner });
  if (answer.ok) report.updated++;
  return answer.ok;
}

/** The subscription of each endpoint that has one; null if Convoy or the budget stops it. */
async function subscriptionsOf(
  convoy: Convoy,
  endpointIds: string[],
  budget: Budget | null,
): Promise<Record<string, string> | null> {
  const found: Record<string, string> = {};
  let cursor: string | undefined;
  for (let page = 0; endpointIds.length > 0; page++) {
    // The caller has counted the first one.
    if (page > 0 && budget && !budget.take(1)) return null;
    const answer = await listSubscriptions(convoy, {
      endpointIds,
      perPage: ENDPOINT_PAGE,
      cursor,
      timeoutMs: LOOKUP_TIMEOUT_MS,
    });
    if (!answer.ok) return null;
    for (const one of answer.data.items) {
      const id = one.endpoint_metadata?.uid;
      if (id) found[id] = one.uid;
    }
    cursor = answer.data.next ?? undefined;
    if (!cursor) break;
  }
  return found;
}

/**
 * Restores missing subscriptions of the owner's endpoints (or of one of them): without one Convoy finds
 * no subscriber for the event, and a replay does nothing. For waitUntil: never rejects.
 */
export async function resubscribe(
  env: Bindings,
  owner: string,
  endpointId: string | null,
): Promise<void> {
  const convoy = convoyOf(env);
  try {
    const rows = await all<Pick<EndpointRow, "id" | "name">>(
      env.DB,
      `SELECT id, name FROM endpoint WHERE owner = ?1 AND (?2 IS NULL OR id = ?2)
         AND status NOT IN ('creating', 'missing') ORDER BY id LIMIT ?3`,
      ...[owner, endpointId, ENDPOINT_PAGE],
    );
    const found = await subscriptionsOf(
      convoy,
      rows.map((row) => row.id),
      null,
    );
    const made: Record<string, string> = {};
    for (const row of found ? rows : []) {
      if (found?.[row.id]) continue;
      const answer = await subscribe(convoy, row.id, row.name);
      if (answer.ok && answer.uid) made[row.id] = answer.uid;
    }
    if (Object.keys(made).length > 0) await batch(env.DB, [recordSubscriptions(made)]);
  } catch (error) {
    logError({ owner, resubscribe: endpointId }, error);
  }
}

function toAdopted(item: ConvoyEndpoint, owner: string, subscription: string | null): Adopted {
  const created_at = Date.parse(item.created_at);
  return { ...toSeen(item), owner, subscription_id: subscription, created_at };
}

// Whatever it missed before we knew of it.
function bringBack(project: string, made: Adopted, now: number): Statement {
  const since = made.created_at;
  return recoverDiscarded(project, made.id, { since, now, action: "look", due: now });
}
