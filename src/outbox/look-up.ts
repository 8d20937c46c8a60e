/**
 * What the walk did not find, or left unfinished, is looked for again: by window where it is many, by key where it is
 * few (docs/design.md).
 */
import type { Budget } from "../run.ts";
import { batch } from "../storage.ts";
import type { Run } from "./cron-run.ts";
import type { Found, GatewayDelivery } from "./gateway.ts";
import {
  CLOCK_SKEW_MS,
  isIdleSince,
  learn,
  ownAmong,
  PATIENCE_MS,
  type Proof,
  STUCK_MAX,
  UNPOSTED,
} from "./learn.ts";
import { type Outcome, recordStatement } from "./outcome.ts";
import { type DeliveryRow, presentKey } from "./rows.ts";
import { keepTurnSql, turnSql } from "./turns.ts";
import { LEASE_MS } from "./write.ts";

/** What one run did. `again`: deliveries that will be posted again. */
export type LookUpReport = { claimed: number; pages: number; byKey: number; again: number };

// Rows per claim; a run hands back those that it cannot look for.
const CLAIM_MAX = 200;
const PER_OWNER_MAX = 50;
const OWNERS_MAX = 50;
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

// ?1 the place, ?2 the time, ?3 how many owners, ?4 the lease. Served by delivery_sending, owner by owner.
const CLAIM = `${turnSql("look-up")},
lane (owner) AS MATERIALIZED (SELECT owner FROM turn ORDER BY round, owner),
share (rows) AS MATERIALIZED (SELECT max(${PER_OWNER_MAX}, ${CLAIM_MAX} / max(1, count(*))) FROM lane)
UPDATE delivery SET due_at = ?4 WHERE status = 'sending' AND (event_seq, endpoint_id) IN (
  SELECT j.value ->> 0, j.value ->> 1 FROM lane
  CROSS JOIN json_each((SELECT json_group_array(json_array(event_seq, endpoint_id)) FROM (
    SELECT event_seq, endpoint_id FROM delivery
    WHERE status = 'sending' AND owner = lane.owner AND due_at <= ?2 ORDER BY due_at LIMIT (SELECT rows FROM share)))) AS j
  LIMIT ${CLAIM_MAX})
RETURNING *, (SELECT id FROM event WHERE seq = event_seq) AS id`;
const KEEP_TURN = keepTurnSql("look-up");

/** A delivery that is ours, with its event's id. */
type Row = DeliveryRow & { id: string };

/** Looking under way. */
type Looking = { run: Run; proof: Proof; budget: Budget; report: LookUpReport };

/**
 * Looks for what is still only sending after its time, and that the walk has passed: not found is not the same as not
 * looked at.
 * @param walkedTo until when (ms) the walk has read; null: it has never begun
 */
export async function lookUp(
  run: Run,
  { turn, walkedTo, proof }: { turn: string; walkedTo: number | null; proof: Proof },
  budget: Budget,
): Promise<LookUpReport> {
  const report: LookUpReport = { claimed: 0, pages: 0, byKey: 0, again: 0 };
  const looking = { run, proof, budget, report };
  let place = turn;
  // The claim, one look, recording and telling.
  while (budget.left() >= 6) {
    const now = Date.now();
    const given = [place, lookedAtUntil(walkedTo, now), OWNERS_MAX];
    const [[kept] = [], rows = []] = await batch<Row & { place: string }>(run.env.DB, [
      [KEEP_TURN, ...given],
      [CLAIM, ...given, now + LEASE_MS],
    ]);
    place = kept?.place ?? place;
    if (rows.length === 0) break;
    report.claimed += rows.length;
    await postAgain(
      looking,
      rows.filter(({ looks }) => looks === 0),
    );
    const seen = rows.filter(({ looks }) => looks > 0);
    const left = seen.length > BY_KEY_MAX ? await byWindow(looking, seen) : seen;
    const isDone = await byKey(looking, left);
    if (!isDone || rows.length < CLAIM_MAX) break;
  }
  return report;
}

/** Due by this time: only what the walk has read, unless it is far behind. */
function lookedAtUntil(walkedTo: number | null, now: number): number {
  const walked = walkedTo === null ? now : walkedTo - CLOCK_SKEW_MS + PATIENCE_MS;
  return Math.max(Math.min(now, walked), now - LAG_MAX * PATIENCE_MS);
}

/**
 * What the walk did not see at all: the same key again, which is safe whether the gateway has it, has it queued or
 * lost it (recorded). Not atomically so, and a gateway that stands still has them all: while its list has nothing
 * newer, only one of them is posted, as a canary.
 */
async function postAgain({ run, report }: Looking, rows: Row[]): Promise<void> {
  if (rows.length === 0) return;
  const now = Date.now();
  const newest = Math.max(...rows.map(({ accepted_at }) => accepted_at ?? 0));
  const window = { fromMs: newest, toMs: now, cursor: null, limit: 1 };
  const listed = await run.gateway.list(window);
  if (listed.kind !== "page") {
    await record(
      run,
      rows.map((row) => later(row, now + RETRY_MS)),
    );
    return;
  }
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
async function byWindow({ run, proof, budget, report }: Looking, rows: Row[]): Promise<Row[]> {
  const endpointIds = [...new Set(rows.map((row) => row.endpoint_id))].slice(0, ENDPOINTS_MAX);
  const times = rows.map(({ accepted_at }) => accepted_at ?? 0);
  const fromMs = Math.min(...times) - CLOCK_SKEW_MS;
  const toMs = Math.max(...times) + PATIENCE_MS;
  const wanted = new Map(rows.map((row) => [presentKey(row), row]));
  const visited = new Set<string>();
  // Half is for keys: of a list that is long, or never ends, nothing else might ever be asked.
  const keep = Math.max(MIN_LEFT, Math.floor(budget.left() / 2));
  let cursor: string | null = null;
  do {
    const at = Date.now();
    const listed = await run.gateway.list({ fromMs, toMs, cursor, limit: PAGE, endpointIds });
    if (listed.kind !== "page") break;
    report.pages++;
    await learn(run, listed.deliveries, { proof, at, room: budget.left() - keep });
    for (const { key } of ownAmong(listed.deliveries)) wanted.delete(key);
    cursor = listed.next;
    if (cursor !== null && visited.has(cursor)) break;
    visited.add(cursor ?? "");
  } while (cursor !== null && wanted.size > 0 && budget.left() >= keep);
  return [...wanted.values()];
}

/** @returns whether all were looked for; those that were not are due again soon */
async function byKey({ run, proof, budget, report }: Looking, rows: Row[]): Promise<boolean> {
  const outcomes: Outcome[] = [];
  const found: GatewayDelivery[] = [];
  const at = Date.now();
  for (const row of rows) {
    if (budget.left() < MIN_LEFT) {
      outcomes.push(later(row, Date.now() + RETRY_MS));
      continue;
    }
    report.byKey++;
    const one = await run.gateway.find(presentKey(row), row.endpoint_id);
    if (one.kind === "delivery") found.push(one.delivery);
    else outcomes.push(await outcomeOfAbsent(run, row, one, proof));
  }
  report.again += outcomes.filter(({ to }) => to.status === "pending").length;
  await learn(run, found, { proof, at, room: budget.left() - 4 });
  await record(run, outcomes);
  return report.byKey === 0 || budget.left() >= MIN_LEFT;
}

/** What becomes of one that was not found as a delivery. */
async function outcomeOfAbsent(
  run: Run,
  row: Row,
  found: Exclude<Found, { kind: "delivery" }>,
  proof: Proof,
): Promise<Outcome> {
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
      return { ours: row, to: { looks: row.looks + 1, due_at: now + PATIENCE_MS } };
    case "unsubscribed": {
      const made = await run.outbox.endpoints.subscribe(run.env, row.endpoint_id);
      if (made === "unknown") return later(row, now + RETRY_MS);
      if (made === "subscribed") return nextKey(row, "The endpoint had no subscription.");
      return dead(row, "The endpoint's subscription at the gateway does not take this event type.");
    }
  }
}

function later(ours: Row, due_at: number): Outcome {
  return { ours, to: { due_at } };
}

/** Posted again under the same key, at once: its next look asks for the key. */
function sameKey(ours: Row, error: string): Outcome {
  const to = { ...UNPOSTED, looks: ours.looks + 1, error, due_at: Date.now() };
  return { ours, to: { ...to, status: "pending" } };
}

/** Posted again under the next key, a few times; then it is dead, under the key that it has. */
function nextKey(ours: Row, error: string): Outcome {
  if (ours.stuck >= STUCK_MAX) return dead(ours, error);
  const next = { key_version: ours.key_version + 1, stuck: ours.stuck + 1 };
  return { ours, to: { ...UNPOSTED, ...next, status: "pending", error, due_at: Date.now() } };
}

function dead(ours: Row, error: string): Outcome {
  return { ours, to: { status: "dead", error, due_at: null, finished_at: Date.now() } };
}

async function record({ env }: Run, outcomes: Outcome[]): Promise<void> {
  if (outcomes.length > 0) await batch(env.DB, [recordStatement(outcomes)]);
}
