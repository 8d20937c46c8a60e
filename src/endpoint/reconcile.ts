/** Reconcile: D1's endpoint records against what Convoy has (docs/design.md, section 7). */

import type { Budget } from "../budget.ts";
import { CLOCK_SKEW_MS, ENDPOINT_TIMEOUT_MS, RECONCILE_AGE_MS, RECONCILE_PAGE } from "../config.ts";
import type { Convoy } from "../convoy/client.ts";
import {
  type ConvoyEndpoint,
  deleteEndpoint,
  listEndpoints,
  listSubscriptions,
} from "../convoy/endpoints.ts";
import { adopt, follow, markMissing, recordsOf, staleDrafts } from "./reconcile-table.ts";
import type { ReconcileReport } from "./schema.ts";
import { type EndpointRow, removeEndpoint } from "./table.ts";

type Stores = { DB: D1Database };

/**
 * Ends creations that crashed (removes what Convoy has of them, then the draft), adopts endpoints made
 * in the portal, follows Convoy's status, marks as missing what Convoy no longer lists.
 * @param owner only theirs; null: everybody's
 * @throws StorageError
 */
export async function reconcile(
  env: Stores,
  convoy: Convoy,
  owner: string | null,
  budget: Budget,
): Promise<ReconcileReport> {
  const report = { adopted: 0, removed: 0, updated: 0, missing: 0, complete: false };
  const begun = Date.now();
  const before = begun - RECONCILE_AGE_MS;
  if (!budget.take(1)) return report;
  const drafts = await staleDrafts(env.DB, owner, before);
  const kept = new Set<EndpointRow>();
  const listed: string[] = [];
  let cursor: string | undefined;
  do {
    if (!budget.take(2)) return report;
    const options = { perPage: RECONCILE_PAGE, cursor, ownerId: owner ?? undefined };
    const page = await listEndpoints(convoy, options);
    if (!page.ok) return report;
    // Another project's endpoints mean a wrong key: none of ours.
    const ours = page.data.items.filter((item) => item.project_id === convoy.projectId);
    const records = await recordsOf(
      env.DB,
      ours.map((item) => item.uid),
    );
    for (const item of ours) {
      listed.push(item.uid);
      if (!item.owner_id || Date.parse(item.created_at) > before) continue;
      const record = records.get(item.uid);
      // A record touched lately may know more than the list, which is older than the record's reading.
      if (record && record.updated_at > before) continue;
      if (record) report.updated += await followOne(env, record, item, budget);
      else {
        const draft = drafts.find((candidate) => isOrphanOf(item, candidate));
        const done = draft
          ? await removeOne(convoy, item.uid, budget)
          : await adoptOne(env, convoy, item, item.owner_id, budget);
        if (done === null) return report;
        if (!draft) report.adopted += done;
        else if (done) report.removed += done;
        else kept.add(draft);
      }
    }
    cursor = page.data.next ?? undefined;
  } while (cursor);
  for (const draft of drafts) {
    if (kept.has(draft)) continue;
    if (!budget.take(1)) return report;
    await removeEndpoint(env.DB, draft.owner, draft.id);
  }
  if (!budget.take(1)) return report;
  report.missing = await markMissing(env.DB, owner, listed, { before, now: Date.now() });
  return { ...report, complete: true };
}

// Made by a creation that never ended: nobody got its id or its secret.
function isOrphanOf(item: ConvoyEndpoint, draft: EndpointRow): boolean {
  const made = Date.parse(item.created_at) - draft.created_at;
  return (
    item.owner_id === draft.owner &&
    item.name === draft.name &&
    item.url === draft.url &&
    made > -CLOCK_SKEW_MS &&
    made < ENDPOINT_TIMEOUT_MS + CLOCK_SKEW_MS
  );
}

async function removeOne(convoy: Convoy, id: string, budget: Budget): Promise<0 | 1 | null> {
  if (!budget.take(1)) return null;
  const answer = await deleteEndpoint(convoy, id);
  return answer.ok ? 1 : 0;
}

async function adoptOne(
  env: Stores,
  convoy: Convoy,
  item: ConvoyEndpoint,
  owner: string,
  budget: Budget,
): Promise<0 | 1 | null> {
  if (!budget.take(2)) return null;
  const subscriptions = await listSubscriptions(convoy, item.uid);
  if (!subscriptions.ok) return null;
  const subscription = subscriptions.data.items[0];
  if (!subscription) return 0;
  const made = {
    ...toFields(item),
    id: item.uid,
    owner,
    status: toStatus(item.status),
    subscription_id: subscription.uid,
    created_at: Date.parse(item.created_at),
  };
  await adopt(env.DB, made, Date.now());
  return 1;
}

async function followOne(
  env: Stores,
  record: EndpointRow,
  item: ConvoyEndpoint,
  budget: Budget,
): Promise<0 | 1> {
  if (["creating", "pausing", "activating"].includes(record.status)) return 0;
  const status = toStatus(item.status);
  // Somebody else ended the pause: the cron brings back what it discarded, as after our own activation.
  const follows = record.status === "paused" && status === "active" ? "activating" : status;
  const told = { ...toFields(item), status: follows } as const;
  const same = (Object.keys(told) as (keyof typeof told)[]).every((k) => told[k] === record[k]);
  if (same || !budget.take(1)) return 0;
  await follow(env.DB, record, told, Date.now());
  return 1;
}

function toFields(item: ConvoyEndpoint) {
  return {
    name: item.name,
    url: item.url,
    description: item.description,
    http_timeout_s: item.http_timeout,
  };
}

function toStatus(status: string): "active" | "paused" | "inactive" {
  return status === "paused" || status === "inactive" ? status : "active";
}
