/** What the gateway says about deliveries, recorded: a page of its list, or one that was looked for. */

import { all, batch, type Statement } from "../storage.ts";
import type { Run } from "./cron-run.ts";
import type { Endpoints } from "./endpoints.ts";
import type { Gateway, GatewayDelivery } from "./gateway.ts";
import { parseKey } from "./rows.ts";

/** How long after the gateway took a delivery it is looked for, and how often again. */
export const PATIENCE_MS = 600_000;
/** A delivery is stuck if nothing has happened to it for this long while others made later were finished. */
export const STUCK_MS = 30 * 60_000;
/** The gateway's clock and ours may differ by this much. */
export const CLOCK_SKEW_MS = 60_000;
/** New keys, because the gateway never finished the old ones, before a delivery is dead. */
export const STUCK_MAX = 3;
// Failed ones of a page whose last answer is asked for: a call each.
const ANSWERS_MAX = 5;
// Discarded this often while its endpoint was active at the gateway: held, with words.
const DISCARDS_MAX = 3;
// The first wait before a discarded delivery is posted again is none; then this, doubled each time.
const DISCARDED_RETRY_MS = 60_000;

/**
 * Proof that the gateway finishes deliveries: one that it made at `madeAt` (its clock) was seen finished at `seenAt`,
 * at least STUCK_MS ago. Zeros: none yet.
 */
export type Proof = { madeAt: number; seenAt: number };

/**
 * A delivery of the gateway's list whose key is ours. `stuck`: see `withStuck`; `lastHttpStatus` and `answered`, in
 * words: see `withAnswers`.
 */
export type Learned = GatewayDelivery & {
  eventId: string;
  version: number;
  stuck: boolean;
  lastHttpStatus: number | null;
  answered: string | null;
};

/** Those of the gateway's deliveries whose keys are ours and tell the truth about their endpoint. */
export function ownAmong(deliveries: GatewayDelivery[]): Learned[] {
  return deliveries.flatMap((one) => {
    const key = parseKey(one.key);
    if (key === null || key.endpointId !== one.endpointId) return [];
    const unknown = { stuck: false, lastHttpStatus: null, answered: null };
    return [{ ...one, ...unknown, eventId: key.eventId, version: key.version }];
  });
}

/**
 * Marks those that are stuck, which is not merely late: no progress and no try due for half an hour, while the gateway
 * was finishing deliveries made later. Of an endpoint with a rate limit, none of its own either.
 */
export async function withStuck(
  db: D1Database,
  learned: Learned[],
  proof: Proof,
  now: number,
): Promise<Learned[]> {
  const idle = learned.filter((one) => isIdle(one, proof, now));
  if (idle.length === 0) return learned;
  const busy = await busyLimited(db, [...new Set(idle.map(({ endpointId }) => endpointId))], now);
  const stuck = new Set(idle.filter(({ endpointId }) => !busy.has(endpointId)));
  return learned.map((one) => (stuck.has(one) ? { ...one, stuck: true } : one));
}

/**
 * What an endpoint answered last, of those that it did not take: a few of a page, one of each endpoint, as far as there is
 * room.
 */
export async function withAnswers(
  gateway: Gateway,
  learned: Learned[],
  room: number,
): Promise<Learned[]> {
  const refused = new Map(learned.filter(isRefused).map((one) => [one.endpointId, one]));
  const asked = [...refused.values()].slice(0, Math.max(0, Math.min(ANSWERS_MAX, room)));
  const answers = new Map(
    await Promise.all(asked.map(async (one) => [one, await answerOf(gateway, one)] as const)),
  );
  return learned.map((one) => ({ ...one, ...answers.get(one) }));
}

function isRefused({ progress, attempts }: Learned): boolean {
  return progress === "failure" || (progress === "unfinished" && attempts > 0);
}

async function answerOf(gateway: Gateway, { id }: Learned) {
  const made = await gateway.attempts(id);
  const last = made.kind === "attempts" ? made.attempts.at(-1) : undefined;
  if (!last) return {};
  const status = last.http_status;
  const answered =
    status === null ? "The endpoint did not answer." : `The endpoint answered ${status}.`;
  return { lastHttpStatus: status, answered };
}

/** Whether it has been idle since a time (ms, of the gateway's clock) while later ones were finished. */
export function isIdleSince(idleSince: number, proof: Proof, now: number): boolean {
  return (
    idleSince < now - STUCK_MS - CLOCK_SKEW_MS &&
    proof.madeAt > idleSince &&
    proof.seenAt > 0 &&
    proof.seenAt <= now - STUCK_MS
  );
}

function isIdle(one: GatewayDelivery, proof: Proof, now: number): boolean {
  return (
    one.progress === "unfinished" &&
    isIdleSince(Math.max(one.updatedAt, one.nextTryAt ?? 0), proof, now)
  );
}

// Served by delivery_owner: the newest of the endpoint's owner, a bounded number.
const BUSY_LIMITED = `
SELECT e.id FROM json_each(?1) AS wanted JOIN outbox_endpoint AS e ON e.id = wanted.value
WHERE e.rate_requests IS NOT NULL AND EXISTS (
  SELECT 1 FROM (SELECT endpoint_id, status, finished_at FROM delivery
    WHERE owner = e.owner ORDER BY event_seq DESC LIMIT 1000) AS d
  WHERE d.endpoint_id = e.id AND d.status = 'delivered' AND d.finished_at > ?2)`;

/** Those of these endpoints that have a rate limit, and got something in the last half an hour. */
async function busyLimited(db: D1Database, endpointIds: string[], now: number) {
  const rows = await all<{ id: string }>(
    db,
    ...[BUSY_LIMITED, JSON.stringify(endpointIds), now - STUCK_MS],
  );
  return new Set(rows.map(({ id }) => id));
}

// A row of ?1 is a Learned; ?2 is now, ?3 an owner or NULL for all. Served by the unique index on event.id, then the
// primary key of delivery.
const LEARNED = `(SELECT event.seq, value ->> 'endpointId' AS endpoint_id, value ->> 'version' AS version,
    value ->> 'progress' AS progress, value ->> 'stuck' AS stuck, value ->> 'attempts' AS attempts,
    value ->> 'lastHttpStatus' AS http_status, value ->> 'answered' AS answered, value ->> 'createdAt' AS made_at, value ->> 'endpointActive' IS 0 AS inactive
  FROM json_each(?1) JOIN event ON event.id = value ->> 'eventId' WHERE ?3 IS NULL OR event.owner = ?3) AS l`;
const SAME = "delivery.event_seq = l.seq AND delivery.endpoint_id = l.endpoint_id";
const OPEN = `${SAME} AND delivery.key_version = l.version AND delivery.status IN ('pending', 'sending')`;
const TAKEN = "attempts = l.attempts, accepted_at = coalesce(delivery.accepted_at, l.made_at)";
/** What a delivery is reset to when it is posted again. */
export const UNPOSTED = {
  ...{ accepted_at: null, looks: 0, attempts: 0 },
  ...{ failures: 0, own_failures: 0, failed_at: null },
};
const RESET = Object.entries(UNPOSTED).map(([column, value]) => `${column} = ${value}`);
/** SQL: columns of a delivery that gets its next key. */
export const NEXT_KEY = `key_version = delivery.key_version + 1, ${RESET.join(", ")}`;

const FAILED = `
UPDATE delivery SET status = 'failed', due_at = NULL, finished_at = ?2, ${TAKEN}, last_http_status = l.http_status,
  error = coalesce(l.answered, 'The endpoint did not take it.')
FROM ${LEARNED} WHERE ${OPEN} AND l.progress = 'failure'
RETURNING delivery.endpoint_id, delivery.error`;

// Any key since the user's last resend counts, whatever became of the delivery; a key's success wins over its failure.
const DELIVERED = `
UPDATE delivery SET status = 'delivered', due_at = NULL, finished_at = ?2, error = NULL, last_http_status = NULL, ${TAKEN}
FROM ${LEARNED} WHERE ${SAME} AND l.progress = 'success' AND delivery.status <> 'delivered'
  AND l.version BETWEEN delivery.since_version AND delivery.key_version
RETURNING delivery.endpoint_id, NULL AS error`;

// What the endpoint refused since it was last seen, while the gateway goes on trying. It comes before UNFINISHED.
const REFUSED = `
SELECT delivery.endpoint_id, coalesce(l.answered, 'The endpoint has not taken it yet.') AS error
FROM ${LEARNED} CROSS JOIN delivery WHERE ${OPEN} AND l.progress = 'unfinished' AND l.attempts > delivery.attempts`;

const HELD = `
UPDATE delivery SET status = 'held', due_at = NULL, ${NEXT_KEY},
  error = iif(l.inactive, NULL, 'The gateway discarded it again and again, although it says that the endpoint is active.')
FROM ${LEARNED} WHERE ${OPEN} AND l.progress = 'discarded' AND (l.inactive OR delivery.discards >= ${DISCARDS_MAX})
RETURNING delivery.endpoint_id`;

const DISCARDED = `
UPDATE delivery SET status = 'pending', ${NEXT_KEY}, discards = delivery.discards + 1, error = 'The gateway discarded it.',
  due_at = ?2 + ${DISCARDED_RETRY_MS} * ((1 << delivery.discards) - 1)
FROM ${LEARNED} WHERE ${OPEN} AND l.progress = 'discarded'`;

const STUCK = `
UPDATE delivery SET status = 'pending', due_at = ?2, ${NEXT_KEY}, stuck = delivery.stuck + 1,
  error = 'The gateway took it, but did not finish it.'
FROM ${LEARNED} WHERE ${OPEN} AND l.stuck AND delivery.stuck < ${STUCK_MAX}`;

// A dead one keeps its key: its success may still be seen.
const GIVEN_UP = `
UPDATE delivery SET status = 'dead', due_at = NULL, finished_at = ?2, ${TAKEN},
  error = 'The gateway took it, but did not finish it.'
FROM ${LEARNED} WHERE ${OPEN} AND l.stuck`;

const UNFINISHED = `
UPDATE delivery SET status = 'sending', looks = delivery.looks + 1, due_at = ?2 + ${PATIENCE_MS}, ${TAKEN},
  last_http_status = coalesce(l.http_status, last_http_status), error = coalesce(l.answered, error)
FROM ${LEARNED} WHERE ${OPEN} AND l.progress = 'unfinished'`;

type Changed = { endpoint_id: string; error: string | null };

// In their order: success wins over a failure of the same key.
const STEPS = {
  failed: { sql: FAILED, of: ({ progress }) => progress === "failure" },
  delivered: { sql: DELIVERED, of: ({ progress }) => progress === "success" },
  held: { sql: HELD, of: ({ progress }) => progress === "discarded" },
  refused: { sql: REFUSED, of: ({ progress }) => progress === "unfinished" },
  discarded: { sql: DISCARDED, of: ({ progress }) => progress === "discarded" },
  stuck: { sql: STUCK, of: ({ stuck }) => stuck },
  givenUp: { sql: GIVEN_UP, of: ({ stuck }) => stuck },
  unfinished: { sql: UNFINISHED, of: ({ progress }) => progress === "unfinished" },
} satisfies Record<string, { sql: string; of: (one: Learned) => boolean }>;

/** How many were recorded, and the rows of the further statement. */
export type Recorded = { delivered: number; failed: number; held: number; also: unknown[] };

/**
 * What the cron saw at `at` (ms): finds out what endpoints answered, as far as there is room, and what is stuck, and
 * records it all.
 */
export async function learn(
  { env, gateway, outbox }: Run,
  deliveries: GatewayDelivery[],
  { proof, at, room }: { proof: Proof; at: number; room: number },
  also: Statement[] = [],
): Promise<Recorded> {
  const own = await withAnswers(gateway, ownAmong(deliveries), room);
  const learned = await withStuck(env.DB, own, proof, at);
  return record(env.DB, outbox.endpoints, learned, { at, also });
}

/**
 * Records what was seen at `at`, of one owner's deliveries or of all, and tells those who keep the endpoints.
 * @param given `also`: what is to be done in the same transaction
 */
export async function record(
  db: D1Database,
  endpoints: Endpoints,
  learned: Learned[],
  { at, owner = null, also = [] }: { at: number; owner?: string | null; also?: Statement[] },
): Promise<Recorded> {
  const steps = Object.entries(STEPS).flatMap(([name, { sql, of }]) => {
    const some = learned.filter(of);
    const statement: Statement = [sql, JSON.stringify(some), at, owner];
    return some.length > 0 ? [{ name, statement }] : [];
  });
  const statements = [...steps.map(({ statement }) => statement), ...also];
  const results = statements.length > 0 ? await batch<Changed>(db, statements) : [];
  const rowsOf = (step: keyof typeof STEPS) =>
    results[steps.findIndex(({ name }) => name === step)] ?? [];
  const held = rowsOf("held");
  const seen = seenAmong(learned, held);
  const reports = reportsOf(learned, [
    ...rowsOf("refused"),
    ...rowsOf("failed"),
    ...rowsOf("delivered"),
  ]).map((one) => ({ ...one, at }));
  const tell = [
    ...(seen.length > 0 ? [endpoints.seen(seen, at)] : []),
    ...(reports.length > 0 ? [endpoints.reported(reports)] : []),
  ];
  if (tell.length > 0) await batch(db, tell);
  const [delivered, failed] = [rowsOf("delivered").length, rowsOf("failed").length];
  return { delivered, failed, held: held.length, also: results[steps.length] ?? [] };
}

/** Whether the gateway delivers to these endpoints, as it says. */
function seenAmong(learned: Learned[], held: Changed[]) {
  const seen = new Map<string, boolean>();
  for (const { endpointId, endpointActive } of learned) {
    if (endpointActive !== null) seen.set(endpointId, endpointActive);
  }
  // Whatever the gateway says of them: else what is held for them would be taken at once, again and again.
  for (const { endpoint_id } of held) seen.set(endpoint_id, false);
  return [...seen].map(([endpointId, active]) => ({ endpointId, active }));
}

/** How the last deliveries to endpoints went. */
function reportsOf(learned: Learned[], changed: Changed[]) {
  return changed.flatMap(({ endpoint_id: endpointId, error }) => {
    const isArrived = arrivedLast(learned, endpointId);
    return isArrived === (error === null) ? [{ endpointId, error }] : [];
  });
}

/** Whether what the gateway did last for an endpoint, of these, was to deliver. */
function arrivedLast(learned: Learned[], endpointId: string): boolean {
  const tried = learned.filter(
    (one) => one.endpointId === endpointId && (one.progress === "success" || isRefused(one)),
  );
  const last = Math.max(...tried.map(({ updatedAt }) => updatedAt));
  return tried.some(({ progress, updatedAt }) => progress === "success" && updatedAt === last);
}
