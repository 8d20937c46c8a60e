/** No delivery is forgotten: what Convoy discarded or will never send is resent (docs/design.md, section 7). */

import {
  BATCH_BUSY_MS,
  CHANGE_LEASE_MS,
  CONVOY_CACHE_MS,
  DISCARD_OVERLAP_MS,
  INACTIVE_LOOK_MS,
  RECOVERY_EVERY_MS,
  RECOVERY_GROUP,
  RECOVERY_PAGE,
  RECOVERY_WINDOW_MS,
  STUCK_AFTER_MS,
} from "../config.ts";
import type { Convoy } from "../convoy/client.ts";
import {
  type ConvoyDelivery,
  listByStatus,
  retryBatch,
  type StuckStatus,
} from "../convoy/deliveries.ts";
import { isOwnProject } from "../convoy/endpoints.ts";
import { postEvent } from "../convoy/events.ts";
import { parseKey, toConvoyEvent } from "../event/message.ts";
import type { Budget } from "../run.ts";
import { batch, type Statement } from "../storage.ts";
import {
  claimRecoveries,
  type Found,
  forgetReposted,
  markReposted,
  movePlace,
  nextKey,
  noteFound,
  type Place,
  placesOf,
  type Recovery,
  repostedOf,
  type Settled,
  settleRecoveries,
} from "./recovery-table.ts";
import type { SeenStatus } from "./table.ts";
import { followAll, toStatus } from "./update.ts";

/**
 * Counts of one run: pages read, endpoints with something stuck, batches accepted, endpoints done,
 * events reposted.
 */
export type RecoveryReport = Record<"pages" | "found" | "batches" | "cleared" | "reposted", number>;

const STATUSES: readonly StuckStatus[] = ["Discarded", "Scheduled", "Retry", "Processing"];

type Run = {
  db: D1Database;
  convoy: Convoy;
  budget: Budget;
  report: RecoveryReport;
  /** Whether the key is known to belong to our project; asked once, and only if something is absent. */
  ownProject: boolean | null;
  /** Convoy runs one batch at a time, and another one is running. */
  busy: boolean;
};

/**
 * Searches Convoy for stuck deliveries, a page at a time, and has them resent: by batch retries, or by
 * posting the event again if a batch retry does nothing. Resending and searching take turns, so that a
 * budget of 8 subrequests is enough for both to progress.
 * @returns null if nothing is stuck
 * @throws StorageError
 */
export async function recoverDeliveries(
  db: D1Database,
  convoy: Convoy,
  budget: Budget,
): Promise<RecoveryReport | null> {
  const report = { pages: 0, found: 0, batches: 0, cleared: 0, reposted: 0 };
  const run: Run = { db, convoy, budget, report, ownProject: null, busy: false };
  const more = await sendAgain(run);
  await walk(run);
  while ((more || report.found > 0) && (await sendAgain(run))) {}
  const { pages: _, ...done } = report;
  return Object.values(done).some((count) => count > 0) ? report : null;
}

/** Searches pages of each status in turn, until nothing is due, Convoy fails, or the budget is spent. */
async function walk(run: Run): Promise<void> {
  const { db, convoy, budget } = run;
  if (!budget.take(1)) return;
  const begun = Date.now();
  const known = await placesOf(db, convoy.projectId);
  if (!known) return;
  const since = begun - RECOVERY_WINDOW_MS;
  const places = STATUSES.map(
    (status) =>
      known.find((place) => place.status === status) ??
      ({ status, since, until: null, cursor: null, due_at: 0 } satisfies Place),
  );
  for (;;) {
    const due = places.filter((place) => place.due_at <= begun).sort((a, b) => a.due_at - b.due_at);
    // The page, and recording it.
    if (!due[0] || !budget.take(2)) return;
    const next = await walkPage(run, due[0]);
    if (!next) return;
    places[places.indexOf(due[0])] = next;
  }
}

/**
 * Searches one page. A window is fixed when it begins, and the place in it is saved after each page, so
 * that nothing is read twice.
 * @returns the place after it; null if the page could not be read or finished
 */
async function walkPage(run: Run, from: Place): Promise<Place | null> {
  const { db, convoy, report } = run;
  const now = Date.now();
  const window = from.until === null ? newWindow(from, now) : { ...from, until: from.until };
  const page = await listByStatus(convoy, {
    status: from.status,
    fromMs: window.since,
    toMs: window.until,
    perPage: RECOVERY_PAGE,
    cursor: from.cursor ?? undefined,
  });
  if (!page.ok) return null;
  report.pages++;
  const items = page.data.items.filter((item) => item.project_id === convoy.projectId);
  if (items.length > 0) run.ownProject = true;
  const stuck = items.filter((item) => isStuck(item, now));
  const { next } = page.data;
  // What is absent from another project's list says nothing.
  if (next === null && from.status === "Discarded" && !(await isOurs(run))) return null;
  if (from.status === "Processing" && !(await postAgain(run, stuck))) {
    // The same page again, after those of the other statuses.
    await batch(db, [movePlace(convoy.projectId, from, { ...window, due_at: now })]);
    return null;
  }
  const over = {
    since: from.status === "Discarded" ? window.until - DISCARD_OVERLAP_MS : window.since,
    until: null,
    due_at: now + RECOVERY_EVERY_MS,
  };
  const to = { ...window, cursor: next, due_at: now, ...(next === null ? over : {}) };
  // Discarded deliveries are remembered until their endpoint is active; the next walk sees the others.
  const found = endpointsOf(stuck).filter((one) => one.active || from.status === "Discarded");
  report.found += from.status === "Processing" ? 0 : found.length;
  await batch(db, [
    movePlace(convoy.projectId, from, to),
    ...(from.status === "Processing"
      ? [forgetReposted(now - 2 * RECOVERY_WINDOW_MS)]
      : [noteFound(convoy.projectId, from.status, found, now, now + INACTIVE_LOOK_MS)]),
    ...statusesOf(run, items, now),
  ]);
  return to;
}

/**
 * Discarded is permanent, so each window begins where the last one ended; the others pass, and are
 * searched anew.
 */
function newWindow(from: Place, now: number) {
  if (from.status === "Discarded") return { ...from, until: now };
  return { ...from, since: now - RECOVERY_WINDOW_MS, until: now - STUCK_AFTER_MS };
}

/** Whether, to judge by its status, this delivery will never be sent. */
function isStuck(item: ConvoyDelivery, now: number): boolean {
  const since = item.status === "Retry" ? item.metadata?.next_send_time : item.updated_at;
  return item.status === "Discarded" || Date.parse(since ?? item.updated_at) < now - STUCK_AFTER_MS;
}

/** The endpoints of these deliveries, and when the oldest of each was created. */
function endpointsOf(items: ConvoyDelivery[]): Found[] {
  const found = new Map<string, Found>();
  for (const item of items) {
    if (item.endpoint_metadata?.deleted_at) continue;
    const { endpoint_id: id } = item;
    const since = Math.min(Date.parse(item.created_at), found.get(id)?.since ?? Number.MAX_VALUE);
    found.set(id, { id, since, active: isActive(item) });
  }
  return [...found.values()];
}

function isActive({ endpoint_metadata: endpoint }: ConvoyDelivery): boolean {
  return endpoint?.status === "active" && !endpoint.deleted_at;
}

// Each delivery has its endpoint's current status: the records follow, and notice a pause ended
// elsewhere.
function statusesOf({ convoy }: Run, items: ConvoyDelivery[], askedAt: number): Statement[] {
  const seen = new Map<string, SeenStatus>();
  for (const { endpoint_id: id, endpoint_metadata: endpoint } of items) {
    if (endpoint && !endpoint.deleted_at) seen.set(id, { id, status: toStatus(endpoint.status) });
  }
  return seen.size === 0 ? [] : followAll(convoy.projectId, [...seen.values()], askedAt);
}

async function isOurs(run: Run): Promise<boolean> {
  if (run.ownProject === null && run.budget.take(1)) {
    run.ownProject = (await isOwnProject(run.convoy)) || null;
  }
  return run.ownProject === true;
}

/**
 * Posts the events of deliveries stuck in Processing again, each only to its endpoint and under the
 * next key: a batch retry leaves them alone, and a receiver drops a repeat by its event_id.
 * @returns false if the budget or Convoy stops it
 */
async function postAgain(run: Run, stuck: ConvoyDelivery[]): Promise<boolean> {
  const { db, convoy, budget, report } = run;
  const ours = stuck.flatMap((item) => {
    const eventId = parseKey(item.idempotency_key)?.id;
    return eventId && isActive(item)
      ? [{ deliveryId: item.uid, eventId, endpointId: item.endpoint_id }]
      : [];
  });
  if (ours.length === 0) return true;
  if (!budget.take(1)) return false;
  const ids = ours.map((one) => one.deliveryId);
  const done = await repostedOf(db, ids);
  for (const one of ours) {
    if (done.has(one.deliveryId)) continue;
    // The key, the post, and recording the post.
    if (!budget.take(3)) return false;
    const event = await nextKey(db, one, Date.now());
    if (!event) continue;
    const source = { ...event, endpoint_id: one.endpointId };
    const answer = await postEvent(convoy, toConvoyEvent(source));
    if (!answer.ok) {
      // An event that Convoy refuses does not hold up the others.
      if (answer.status === 400 || answer.status === 413) continue;
      return false;
    }
    await markReposted(db, one.deliveryId, Date.now());
    report.reposted++;
  }
  return true;
}

/** Works on a group of endpoints that were found. @returns whether there may be more to work on now */
async function sendAgain(run: Run): Promise<boolean> {
  const { db, convoy, budget, report } = run;
  // The claim; then Convoy's call, recording it, the key's project, and the endpoints' statuses.
  if (budget.left() < 5 || !budget.take(1)) return false;
  const now = Date.now();
  const claimed = await claimRecoveries(db, convoy.projectId, {
    now,
    lease: now + CHANGE_LEASE_MS,
    limit: RECOVERY_GROUP,
    looksOnly: run.busy,
  });
  if (!claimed[0]) return false;
  budget.take(2);
  const settled = await (claimed[0].action === "look" ? look(run, claimed) : retry(run, claimed));
  // Convoy does not respond: they are due again when their lease is over.
  if (!settled) return false;
  report.cleared += settled.filter(({ next }) => next === null).length;
  await batch(db, settleRecoveries(settled));
  return true;
}

/** Has Convoy resend what a group of endpoints missed; whether that was all is checked later. */
async function retry(run: Run, group: Recovery[]): Promise<Settled[] | null> {
  const now = Date.now();
  const answer = await retryBatch(run.convoy, { ...rangeOf(group, now), ...aboutOf(group) });
  if (!answer.ok && answer.status === null) return null;
  if (!answer.ok) run.busy = true;
  else run.report.batches++;
  const later = group[0]?.status === "Discarded" ? CONVOY_CACHE_MS : STUCK_AFTER_MS;
  const next: Settled["next"] = answer.ok
    ? { action: "look", due: now + later }
    : { action: "retry", due: now + BATCH_BUSY_MS };
  return group.map((recovery) => ({ recovery, next }));
}

/** Asks what is left for a group of endpoints, and their status. An incomplete list does not prove absence. */
async function look(run: Run, group: Recovery[]): Promise<Settled[] | null> {
  // The walk sees those that are still stuck.
  if (group[0]?.status !== "Discarded") return group.map((recovery) => ({ recovery, next: null }));
  const now = Date.now();
  const page = await listByStatus(run.convoy, {
    ...rangeOf(group, now),
    ...aboutOf(group),
    perPage: RECOVERY_PAGE,
  });
  if (!page.ok) return null;
  const items = page.data.items.filter((item) => item.project_id === run.convoy.projectId);
  if (items.length > 0) run.ownProject = true;
  if (!(await isOurs(run))) return null;
  const left = endpointsOf(items);
  const statuses = statusesOf(run, items, now);
  if (statuses.length > 0 && run.budget.take(1)) await batch(run.db, statuses);
  return group.map((recovery) => {
    const found = left.find((one) => one.id === recovery.endpoint_id);
    // Nothing left; or not reached: the next look begins with it.
    if (!found) return { recovery, next: page.data.next ? { action: "look", due: now } : null };
    return found.active
      ? { recovery, next: { action: "retry", due: now } }
      : { recovery, next: { action: "look", due: now + INACTIVE_LOOK_MS } };
  });
}

function aboutOf(group: Recovery[]) {
  const status = group[0]?.status ?? "Discarded";
  return { status, endpointIds: group.map((one) => one.endpoint_id) };
}

// A discarded delivery may have been created long before, and retried until then.
function rangeOf(group: Recovery[], now: number) {
  const since = Math.min(...group.map((one) => one.since));
  return group[0]?.status === "Discarded"
    ? { fromMs: since - RECOVERY_WINDOW_MS, toMs: now }
    : { fromMs: since, toMs: now - STUCK_AFTER_MS };
}
