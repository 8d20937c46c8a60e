/** What happens in waitUntil, for which no caller waits: posting, and KV's last change. */

import { logError, sleep, within } from "../run.ts";
import type { Bindings } from "../settings.ts";
import { batch, first } from "../storage.ts";
import type { Gateway } from "./gateway.ts";
import { type Content, postOf } from "./message.ts";
import type { Outbox } from "./outbox.ts";
import { type Answered, type Attempted, doubtedAmong, outcomeOf } from "./outcome.ts";
import { pool } from "./pool.ts";
import { putLatest } from "./projection.ts";
import type { EventRow } from "./rows.ts";
import { settle } from "./settle.ts";
import type { Leased } from "./settle-delivery.ts";
import { LEASE_MS, type NewDelivery } from "./write.ts";

/** An event that this request has just written or sent again at `now`, and the version that it put into KV. */
export type Work = { event: EventRow; deliveries: NewDelivery[]; put: number | null; now: number };

// Waits between the tries of a post: with three tries of 5 s, 20 s of waitUntil's 30 s.
const RETRY_MS = [1_000, 4_000] as const;
// No post begins after this; what is left is the cron's.
const TIME_MS = 15_000;
// Of the free plan's 50 subrequests, what posts may use; the rest is for the request itself and for recording.
const POSTS_MAX = 34;
// A Worker may have six connections waiting for headers.
const POSTS_AT_ONCE = 6;
// How long the check after the put waits for the gateway, to record both together.
const CHECK_ALONE_MS = 1_000;
// KV takes one write per second per key; a little more, so that the next one is taken.
const KV_WRITE_INTERVAL_MS = 1_100;
// Puts of a resource that others keep changing before it is left to the cron.
const PUT_ROUNDS = 4;

/**
 * Posts the event's deliveries, checks that what was put into KV is the resource's last change, and records both
 * together. A hanging gateway delays the check by only a second. What is left undone is due at once, for the cron. Never
 * rejects: what could not be recorded is due when its lease ends.
 */
export async function finish(env: Bindings, outbox: Outbox, work: Work): Promise<void> {
  try {
    const lease = work.now + LEASE_MS;
    const ours = work.deliveries.filter((one) => one.status === "pending" && one.due_at === lease);
    const attempted: Attempted[] = [];
    const posting = postAll(env, outbox, work.event, ours, attempted);
    // Handled here, whatever happens meanwhile: it is awaited later.
    posting.catch(() => {});
    const isChange = work.event.projected === 0 && work.event.due_at === lease;
    if (ours.length > 0) await within(CHECK_ALONE_MS, posting);
    const early = attempted.splice(0);
    const projecting = isChange
      ? project(env, outbox, work, early)
      : settleAnswers(env, outbox, early, []);
    projecting.catch(() => {});
    const left = await posting;
    await projecting;
    await settleAnswers(env, outbox, attempted, left);
  } catch (error) {
    logError({ event: work.event.id }, error);
  }
}

/** Posts to six endpoints at a time. @returns those that there was no time or no request left for */
async function postAll(
  env: Bindings,
  outbox: Outbox,
  event: EventRow,
  deliveries: NewDelivery[],
  attempted: Attempted[],
): Promise<Leased[]> {
  const lease = (deliveries[0]?.due_at ?? 0) as number;
  const queue = deliveries.map((one) => ({ ...one, event_seq: event.seq, lease }));
  if (queue.length === 0) return [];
  const gateway = outbox.connect(env);
  const until = Date.now() + TIME_MS;
  const left: Leased[] = [];
  let posts = 0;
  const may = () => posts < POSTS_MAX && Date.now() < until;
  await pool({
    width: () => POSTS_AT_ONCE,
    next: async () => queue.shift(),
    async work(delivery) {
      const askedAt = Date.now();
      const answer = await postWhile(may, () => {
        posts++;
        return post(gateway, outbox, event, delivery);
      });
      if (answer === null || answer.kind === "not sent") left.push(delivery);
      else attempted.push(attemptOf(delivery, event, askedAt, answer));
    },
  });
  return left;
}

function post(gateway: Gateway, { resources }: Outbox, event: Content, one: NewDelivery) {
  return gateway.post(postOf(event, one.endpoint_id, one.key_version, resources));
}

/** Up to three tries; null if there was not one. */
async function postWhile<T extends { kind: string }>(
  may: () => boolean,
  send: () => Promise<T>,
): Promise<T | null> {
  if (!may()) return null;
  let answer = await send();
  for (const wait of RETRY_MS) {
    const isWorthIt = answer.kind === "failed" && !("throttled" in answer && answer.throttled);
    if (!isWorthIt) break;
    await sleep(wait);
    if (!may()) break;
    answer = await send();
  }
  return answer;
}

function attemptOf(
  delivery: NewDelivery & Leased,
  { occurred_at }: EventRow,
  askedAt: number,
  answer: Answered,
): Attempted {
  const { event_seq, endpoint_id, key_version, lease, failures, own_failures } = delivery;
  const same = { event_seq, endpoint_id, key_version, lease, failures, own_failures };
  // A request sees nothing of others: its failure is nobody's fault yet.
  return { ...same, occurred_at, askedAt, answer, isOwn: false };
}

/** What the answers mean: what failed is due at once, since nothing tells yet whether anything gets through. */
function outcomesOf(attempted: Attempted[]) {
  const now = Date.now();
  return attempted.map((one) => outcomeOf(one, { now, unprovenWaitMs: 0 }));
}

async function settleAnswers(
  env: Bindings,
  outbox: Outbox,
  attempted: Attempted[],
  left: Leased[],
): Promise<void> {
  if (attempted.length + left.length > 0) {
    await settle(env.DB, { projected: [], outcomes: outcomesOf(attempted), left });
  }
  await tellDoubted(env, outbox, attempted);
}

async function tellDoubted(env: Bindings, outbox: Outbox, attempted: Attempted[]): Promise<void> {
  const doubted = doubtedAmong(attempted);
  if (doubted.length > 0) {
    await batch(env.DB, [outbox.endpoints.doubted(doubted, Date.now())]);
  }
}

/**
 * Looks again after the put, together with what was posted: if there is a later change, puts that one, and looks again.
 * Rows that KV still lacks after a few rounds are due at once, for the cron.
 */
async function project(
  env: Bindings,
  outbox: Outbox,
  { event, put, now }: Work,
  early: Attempted[],
): Promise<void> {
  const lease = now + LEASE_MS;
  const { seq, owner } = event;
  const one = { owner, resource: event.resource ?? "", resource_id: event.resource_id ?? "" };
  let outcomes = outcomesOf(early);
  let latest = put;
  for (let round = 0; round < PUT_ROUNDS; round++) {
    const isLast = round === PUT_ROUNDS - 1;
    const due_at = isLast ? Date.now() : lease;
    const projected = [{ seq, lease, put: latest, due_at }];
    const [marked] = await settle(env.DB, { projected, outcomes, left: [] });
    outcomes = [];
    if (!marked || marked.projected === 1 || isLast) break;
    await sleep(KV_WRITE_INTERVAL_MS);
    if (Date.now() >= lease) break;
    latest = await putLatest(env, outbox.resources, one, lease);
  }
  await tellDoubted(env, outbox, early);
}

/** Posts the event of a read once, best effort, if the endpoint is the caller's and active. Never rejects. */
export async function publishRead(
  env: Bindings,
  outbox: Outbox,
  { owner, endpointId, content }: { owner: string; endpointId: string; content: Content },
): Promise<void> {
  try {
    const found = await first<{ active: number }>(
      env.DB,
      "SELECT active FROM outbox_endpoint WHERE id = ?1 AND owner = ?2",
      ...[endpointId, owner],
    );
    if (!found?.active) return;
    await outbox.connect(env).post(postOf(content, endpointId, 0, outbox.resources));
  } catch (error) {
    logError({ event: content.id }, error);
  }
}
