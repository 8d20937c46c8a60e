/** What happens in waitUntil, for which no caller waits: posting, and KV's last change. */

import { logError, sleep, within } from "../run.ts";
import type { Bindings } from "../settings.ts";
import { batch, first } from "../storage.ts";
import type { Posted } from "./gateway.ts";
import { type Content, postOf } from "./message.ts";
import type { Outbox } from "./outbox.ts";
import { type Attempted, doubtedAmong, handedBack, type Outcome, outcomeOf } from "./outcome.ts";
import { pool } from "./pool.ts";
import { putLatest } from "./projection.ts";
import { settle } from "./settle.ts";
import { LEASE_MS, type Written } from "./write.ts";

/** An event that this request has just written or sent again at `now`, and the version that it put into KV. */
export type Work = Written & { put: number | null; now: number };

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
  const { event, deliveries, now } = work;
  const lease = now + LEASE_MS;
  const done: Outcome[] = [];
  try {
    const posting = postAll(env, outbox, work, done);
    // Handled here, whatever happens meanwhile: it is awaited later.
    posting.catch(() => {});
    if (deliveries.length > 0) await within(CHECK_ALONE_MS, posting);
    if (event.projected === 0 && event.due_at === lease) {
      await project(env, outbox, work, done.splice(0));
    }
    const doubted = await posting;
    if (done.length > 0) await settle(env.DB, { projected: [], outcomes: done });
    if (doubted.length > 0) await batch(env.DB, [outbox.endpoints.doubted(doubted, Date.now())]);
  } catch (error) {
    logError({ event: event.id }, error);
  }
}

/**
 * Posts what is ours, to six endpoints at a time. What there was no time or no request for is due at once.
 * @returns the endpoints that the gateway does not know
 */
async function postAll(
  env: Bindings,
  outbox: Outbox,
  { event, deliveries, now }: Work,
  done: Outcome[],
): Promise<string[]> {
  const lease = now + LEASE_MS;
  const queue = deliveries.filter((one) => one.status === "pending" && one.due_at === lease);
  if (queue.length === 0) return [];
  const gateway = outbox.connect(env);
  const until = Date.now() + TIME_MS;
  let posts = 0;
  const attempted: Attempted[] = [];
  const may = () => posts < POSTS_MAX && Date.now() < until;
  await pool({
    width: () => POSTS_AT_ONCE,
    next: () => queue.shift(),
    async work(ours) {
      const askedAt = Date.now();
      const post = postOf(event, ours.endpoint_id, ours.key_version, outbox.resources);
      const answer = await postWhile(may, () => {
        posts++;
        return gateway.post(post);
      });
      if (answer.kind === "not sent") {
        done.push(...handedBack([ours], Date.now()));
        return;
      }
      const one = { ours, occurredAt: event.occurred_at, askedAt, answer };
      attempted.push(one);
      // A request sees nothing of others: a failure is nobody's fault yet, and due at once.
      done.push(outcomeOf(one, { now: Date.now(), isOwn: false, unprovenWaitMs: 0 }));
    },
  });
  return doubtedAmong(attempted);
}

/** Up to three tries. */
async function postWhile(may: () => boolean, send: () => Promise<Posted>): Promise<Posted> {
  let answer: Posted = { kind: "not sent", error: "" };
  for (const wait of [0, ...RETRY_MS]) {
    if (wait > 0) await sleep(wait);
    if (!may()) break;
    answer = await send();
    if (answer.kind !== "failed" || answer.throttled) break;
  }
  return answer;
}

/**
 * Looks again after the put, and records what was posted so far: if there is a later change, puts that one, and looks
 * again. Rows that KV still lacks after a few rounds are due at once, for the cron.
 */
async function project(
  env: Bindings,
  outbox: Outbox,
  { event, put, now }: Work,
  outcomes: Outcome[],
): Promise<void> {
  const lease = now + LEASE_MS;
  const { seq, owner } = event;
  const one = { owner, resource: event.resource ?? "", resource_id: event.resource_id ?? "" };
  let latest = put;
  for (let round = 1; ; round++) {
    const isLast = round === PUT_ROUNDS;
    const projected = [{ seq, lease, put: latest, due_at: isLast ? Date.now() : lease }];
    const settling = { projected, outcomes: round === 1 ? outcomes : [] };
    const [marked] = await settle(env.DB, settling);
    if (!marked || marked.projected === 1 || isLast) break;
    await sleep(KV_WRITE_INTERVAL_MS);
    if (Date.now() >= lease) break;
    latest = await putLatest({ env, outbox }, one, lease);
  }
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
