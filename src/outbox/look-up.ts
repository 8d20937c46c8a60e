/**
 * What the walk did not find, or left unfinished, is looked for again: by window where it is many, by key where it is
 * few (docs/design.md).
 */
import type { Budget } from "../run.ts";
import { batch, type Statement } from "../storage.ts";
import type { Run } from "./cron-run.ts";
import type { Found, GatewayDelivery } from "./gateway.ts";
import {
  CLOCK_SKEW_MS,
  isIdleSince,
  learnStatements,
  NEXT_KEY,
  ownAmong,
  PATIENCE_MS,
  type Proof,
  STUCK_MAX,
  toRecorded,
  withAnswers,
  withStuck,
} from "./learn.ts";
import { type DeliveryRow, keyOf } from "./rows.ts";
import { dueOwners } from "./turns.ts";
import { LEASE_MS } from "./write.ts";

/** What one run did. `again`: deliveries that will be posted again. */
export type LookUpReport = { claimed: number; pages: number; byKey: number; again: number };

// Rows per claim; a run hands back those that it cannot look for.
const CLAIM_MAX = 200;
const PER_OWNER_MAX = 50;
// More than this are looked for by window first.
const BY_KEY_MAX = 8;
// Deliveries on a page, and endpoints that one window names: their ids make a URL of 1.5 KB.
const PAGE = 100;
const ENDPOINTS_MAX = 40;
// Wait before one that could not be looked for is tried again.
const RETRY_MS = 60_000;
// One that is overdue by this many times the patience is looked for even if the walk has not reached it.
const LAG_MAX = 6;

// A find is up to two calls, a subscription two; recording and telling come after.
const MIN_LEFT = 8;

type Row = DeliveryRow & { event_id: string; lease: number };

/**
 * Looks for what is still only sending after its time, and that the walk has passed: not found is not the same as not
 * looked at.
 * @param walkedTo until when (ms) the walk has read; null: it has never begun
 * @throws StorageError
 */
export async function lookUp(
  run: Run,
  { walkedTo, proof }: { walkedTo: number | null; proof: Proof },
  budget: Budget,
): Promise<LookUpReport> {
  const report: LookUpReport = { claimed: 0, pages: 0, byKey: 0, again: 0 };
  // The claim, one look, recording and telling.
  while (budget.left() >= 6) {
    const now = Date.now();
    const rows = await claim(run.env.DB, { now, until: lookedAtUntil(walkedTo, now) });
    if (rows.length === 0) break;
    report.claimed += rows.length;
    const unseen = rows.filter(({ looks }) => looks === 0);
    const seen = rows.filter(({ looks }) => looks > 0);
    await postAgain(run, unseen, report);
    const left = seen.length > BY_KEY_MAX ? await byWindow(run, seen, proof, budget, report) : seen;
    const isDone = await byKey(run, left, proof, budget, report);
    if (!isDone || rows.length < CLAIM_MAX) break;
  }
  return report;
}

/** Due by this time: only what the walk has read, unless it is far behind. */
function lookedAtUntil(walkedTo: number | null, now: number): number {
  const walked = walkedTo === null ? now : walkedTo - CLOCK_SKEW_MS + PATIENCE_MS;
  return Math.max(Math.min(now, walked), now - LAG_MAX * PATIENCE_MS);
}

/** Claims due rows, owners in turn. @throws StorageError */
async function claim(db: D1Database, { now, until }: { now: number; until: number }) {
  const owners = await dueOwners(db, "look-up", until);
  if (owners.length === 0) return [];
  const lease = now + LEASE_MS;
  const each = Math.max(PER_OWNER_MAX, Math.floor(CLAIM_MAX / owners.length));
  const [rows = []] = await batch<Omit<Row, "lease">>(db, [
    [
      // Served by delivery_sending, owner by owner.
      `UPDATE delivery SET due_at = ?3 WHERE status = 'sending' AND (event_seq, endpoint_id) IN (
         SELECT d.event_seq, d.endpoint_id FROM json_each(?1) AS turn JOIN delivery AS d
         ON (d.event_seq, d.endpoint_id) IN (SELECT event_seq, endpoint_id FROM delivery
           WHERE owner = turn.value AND status = 'sending' AND due_at <= ?2 ORDER BY due_at LIMIT ?4)
         LIMIT ?5)
       RETURNING *, (SELECT id FROM event WHERE seq = event_seq) AS event_id`,
      ...[JSON.stringify(owners), until, lease, each, CLAIM_MAX],
    ],
    ["UPDATE cron_state SET look_up_turn = ?1", owners.at(-1)],
  ]);
  return rows.map((row) => ({ ...row, lease }));
}

/**
 * What the walk did not see at all: the same key again, which is safe whether the gateway has it, has it queued or
 * lost it (recorded). Not atomically so, and a gateway that stands still has them all: while its list has nothing
 * newer, only one of them is posted, as a canary.
 */
async function postAgain(run: Run, rows: Row[], report: LookUpReport): Promise<void> {
  if (rows.length === 0) return;
  const now = Date.now();
  const newest = Math.max(...rows.map(({ accepted_at }) => accepted_at ?? 0));
  const window = { fromMs: newest, toMs: now, cursor: null, limit: 1 };
  const listed = await run.gateway.list(window);
  if (listed.kind !== "page")
    return record(
      run,
      rows.map((row) => later(row, now + RETRY_MS)),
    );
  const isMoving = listed.deliveries.some(({ createdAt }) => createdAt >= newest - 1_000);
  const again = isMoving ? rows : rows.slice(0, 1);
  const rest = isMoving ? [] : rows.slice(1);
  report.again += again.length;
  await record(run, [
    ...again.map((row) => sameKey(row, "The gateway took it, but does not list it.")),
    ...rest.map((row) => later(row, now + PATIENCE_MS)),
  ]);
}

/** Reads the list through the time in which these were taken. @returns those that it did not show */
async function byWindow(
  run: Run,
  rows: Row[],
  proof: Proof,
  budget: Budget,
  report: LookUpReport,
): Promise<Row[]> {
  const endpointIds = [...new Set(rows.map(({ endpoint_id }) => endpoint_id))].slice(
    0,
    ENDPOINTS_MAX,
  );
  const times = rows.map(({ accepted_at }) => accepted_at ?? 0);
  const fromMs = Math.min(...times) - CLOCK_SKEW_MS;
  const toMs = Math.max(...times) + PATIENCE_MS;
  const wanted = new Map(rows.map((row) => [presentKey(row), row]));
  const visited = new Set<string>();
  // Half is for keys: of a list that is long, or never ends, nothing else might ever be asked.
  const keep = Math.max(MIN_LEFT, Math.floor(budget.left() / 2));
  let cursor: string | null = null;
  do {
    const askedAt = Date.now();
    const listed = await run.gateway.list({ fromMs, toMs, cursor, limit: PAGE, endpointIds });
    if (listed.kind !== "page") break;
    report.pages++;
    await learn(run, listed.deliveries, { proof, askedAt, room: budget.left() - keep });
    for (const { key } of ownAmong(listed.deliveries)) wanted.delete(key);
    cursor = listed.next;
    if (cursor !== null && visited.has(cursor)) break;
    visited.add(cursor ?? "");
  } while (cursor !== null && wanted.size > 0 && budget.left() >= keep);
  return [...wanted.values()];
}

/** @returns whether all were looked for; those that were not are due again soon */
async function byKey(
  run: Run,
  rows: Row[],
  proof: Proof,
  budget: Budget,
  report: LookUpReport,
): Promise<boolean> {
  const results: Looked[] = [];
  const found: GatewayDelivery[] = [];
  const askedAt = Date.now();
  for (const row of rows) {
    if (budget.left() < MIN_LEFT) {
      results.push(later(row, Date.now() + RETRY_MS));
      continue;
    }
    report.byKey++;
    const one = await run.gateway.find(presentKey(row), row.endpoint_id);
    if (one.kind === "delivery") found.push(one.delivery);
    else results.push(await resultOf(run, row, one, proof));
  }
  report.again += results.filter(({ status }) => status === "pending").length;
  await learn(run, found, { proof, askedAt, room: budget.left() - 4 });
  await record(run, results);
  return report.byKey === 0 || budget.left() >= MIN_LEFT;
}

function presentKey({ event_id, endpoint_id, key_version }: Row): string {
  return keyOf(event_id, endpoint_id, key_version);
}

async function learn(
  run: Run,
  deliveries: GatewayDelivery[],
  { proof, askedAt, room }: { proof: Proof; askedAt: number; room: number },
): Promise<void> {
  const own = await withAnswers(run.gateway, ownAmong(deliveries), room);
  const learned = await withStuck(run.env.DB, own, proof, askedAt);
  if (learned.length === 0) return;
  const results = await batch<never>(run.env.DB, [...learnStatements(learned, Date.now())]);
  const { tell } = toRecorded(learned, results, run.outbox.endpoints, askedAt);
  if (tell.length > 0) await batch(run.env.DB, tell);
}

async function resultOf(
  run: Run,
  row: Row,
  found: Exclude<Found, { kind: "delivery" }>,
  proof: Proof,
): Promise<Looked> {
  const now = Date.now();
  switch (found.kind) {
    case "silent":
      return later(row, now + RETRY_MS);
    case "none":
      return sameKey(row, "The gateway took it, but forgot it.");
    case "queued":
      if (isIdleSince(row.accepted_at ?? now, proof, now)) {
        return nextKey(row, "The gateway took it, but did not finish it.");
      }
      return { ...later(row, now + PATIENCE_MS), looks: row.looks + 1 };
    case "unsubscribed": {
      const made = await run.outbox.endpoints.subscribe(run.env, row.endpoint_id);
      if (made === "unknown") return later(row, now + RETRY_MS);
      if (made === "subscribed") return nextKey(row, "The endpoint had no subscription.");
      const error = "The endpoint's subscription at the gateway does not take this event type.";
      return { ...later(row, 0), status: "dead", due_at: null, error };
    }
  }
}

/** What becomes of a row that was looked for and not found as a delivery. */
type Looked = Pick<DeliveryRow, "event_seq" | "endpoint_id" | "status" | "looks" | "due_at"> & {
  lease: number;
  error: string | null;
  /** It gets its next key. */
  next: boolean;
};

function later(row: Row, due_at: number): Looked {
  const { event_seq, endpoint_id, looks, lease, error } = row;
  return { event_seq, endpoint_id, looks, lease, error, status: "sending", due_at, next: false };
}

/** Posted again under the same key, at once: its next look asks for the key. */
function sameKey(row: Row, error: string): Looked {
  return { ...later(row, 0), status: "pending", looks: row.looks + 1, error };
}

/** Posted again under the next key, a few times; then it is dead, under the key that it has. */
function nextKey(row: Row, error: string): Looked {
  if (row.stuck >= STUCK_MAX) return { ...later(row, 0), status: "dead", due_at: null, error };
  return { ...later(row, 0), status: "pending", looks: 0, error, next: true };
}

const AGAIN = `
UPDATE delivery SET status = 'pending', ${NEXT_KEY.replace("+ 1", "+ (l.value ->> 'next')")}, looks = l.value ->> 'looks',
  stuck = stuck + (l.value ->> 'next'), due_at = ?2, error = l.value ->> 'error'`;
const LATER = `
UPDATE delivery SET looks = l.value ->> 'looks', due_at = l.value ->> 'due_at'`;
const DEAD = `
UPDATE delivery SET status = 'dead', due_at = NULL, finished_at = ?2, error = l.value ->> 'error'`;
// Only rows that are still ours.
const OURS = `
FROM json_each(?1) AS l WHERE delivery.event_seq = l.value ->> 'event_seq' AND delivery.endpoint_id = l.value ->> 'endpoint_id'
  AND delivery.status = 'sending' AND delivery.due_at = l.value ->> 'lease' AND ?2 > 0`;

/** @throws StorageError */
async function record({ env }: Run, results: Looked[]): Promise<void> {
  const now = Date.now();
  const statement = (sql: string, status: Looked["status"]): Statement[] => {
    const some = results.filter((one) => one.status === status);
    return some.length > 0 ? [[sql + OURS, JSON.stringify(some), now]] : [];
  };
  const statements = [
    ...statement(AGAIN, "pending"),
    ...statement(LATER, "sending"),
    ...statement(DEAD, "dead"),
  ];
  if (statements.length > 0) await batch(env.DB, statements);
}
