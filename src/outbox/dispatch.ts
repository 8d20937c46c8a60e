/** The cron's posting: owners in turn, until nothing is due, the budget is spent, or the breaker is open. */
import type { Budget } from "../run.ts";
import { batch, type Statement } from "../storage.ts";
import {
  answered,
  atOnce,
  type Breaker,
  breakerOf,
  type KeptBreaker,
  kept,
  mayPost,
  posting,
  withDue,
} from "./breaker.ts";
import { type Claimed, claim } from "./claim.ts";
import type { Run } from "./cron-run.ts";
import { type Evidence, evidenceOf } from "./evidence.ts";
import type { Posted } from "./gateway.ts";
import type { Hands, HandsReport } from "./hand.ts";
import { postOf } from "./message.ts";
import { type Answered, type Attempted, doubtedAmong, outcomeOf } from "./outcome.ts";
import { pool } from "./pool.ts";
import { handBackStatement, type Leased, recordStatement } from "./settle-delivery.ts";

/** What was posted. `held`, `dead`: rows that could not be, as their endpoint is. `problem`: why it stopped early. */
export type PostReport = {
  claimed: number;
  posted: number;
  accepted: number;
  held?: number;
  dead?: number;
  problem?: string;
};

/** What one run posted, how it left the breaker, and what further invocations did for it. */
export type DispatchReport = PostReport & { breaker: KeptBreaker["state"]; hands?: HandsReport };

// Rows per claim: once something got through, before that, and while the breaker is half-open. What cannot be tried is
// handed back, at two writes a row.
const CLAIM_MAX = 200;
const UNPROVEN_CLAIM_MAX = 50;
const HALF_OPEN_CLAIM_MAX = 10;
// Once something got through, the next rows are claimed while this many are still to be posted, so that claiming delays
// nothing.
const CLAIM_AHEAD = 50;
// Rows recorded at once while posting continues.
const RECORD_BATCH = 100;
// What is kept of the budget to record the rest at the end.
const RECORDING = 1;
// If nothing got through, deliveries are tried again in the next run, which begins a minute later.
const NEXT_RUN_MS = 50_000;
// Before a delivery's first failure, "since it last failed" begins so long before the post.
const EVIDENCE_MS = 60_000;

/** Posting under way. */
type Posting = {
  run: Run;
  budget: Budget;
  /** Failures in a row after which it stops, whatever the breaker says. */
  failuresMax: number;
  evidence: Evidence;
  breaker: Breaker;
  queue: Claimed[];
  /** Rows that were given to a worker, and not sent yet. */
  unsent: number;
  turn: string;
  more: boolean;
  claiming: Promise<void> | null;
  attempted: Attempted[];
  recordings: Promise<void>[];
  /** What D1 did not take. */
  failures: unknown[];
  failuresInRow: number;
  isStopped: boolean;
  report: PostReport;
};

/**
 * Posts what is due, and what is held for endpoints that are active.
 * @param hands further invocations, which help once something got through
 * @throws StorageError if D1 does not respond: claimed rows are due when their lease ends
 */
export async function dispatch(
  run: Run,
  from: { turn: string; breaker: KeptBreaker },
  budget: Budget,
  hands: Hands | null = null,
): Promise<DispatchReport> {
  const breaker = breakerOf(from.breaker);
  const one = begin(run, budget, { breaker, turn: from.turn, failuresMax: Infinity });
  const helping = hands && lend(one, hands);
  await postAll(one, helping?.offer);
  const left = kept(one.breaker, Date.now());
  const ending = end(one, isSame(left, from.breaker) ? [] : [keepStatement(left)]);
  const [ended, helped] = await Promise.allSettled([ending, helping?.report()]);
  if (ended.status === "rejected") throw ended.reason;
  return { ...one.report, breaker: left.state, ...handsIn(helped) };
}

/**
 * Posts what is due as a further invocation, since something got through: the breaker is not its concern.
 * @param failuresMax failures in a row after which it stops
 * @throws StorageError
 */
export async function postAsHand(
  run: Run,
  { turn, failuresMax }: { turn: string; failuresMax: number },
  budget: Budget,
): Promise<PostReport> {
  const breaker: Breaker = { ...breakerOf({ state: "closed", until: 0 }), isProven: true };
  const one = begin(run, budget, { breaker, turn, failuresMax });
  await postAll(one);
  await end(one, []);
  return one.report;
}

function begin(
  run: Run,
  budget: Budget,
  given: Pick<Posting, "breaker" | "turn" | "failuresMax">,
): Posting {
  const one: Posting = {
    ...given,
    run,
    budget,
    evidence: evidenceOf(run.env.DB, () => roomOf(one) > 0),
    queue: [],
    unsent: 0,
    more: true,
    claiming: null,
    attempted: [],
    recordings: [],
    failures: [],
    failuresInRow: 0,
    isStopped: false,
    report: { claimed: 0, posted: 0, accepted: 0 },
  };
  return one;
}

/** Subrequests that may be begun now. */
function roomOf({ budget, unsent }: Posting): number {
  return budget.left() - unsent - RECORDING;
}

async function postAll(one: Posting, onProven: () => void = () => {}): Promise<void> {
  await pool({
    width: () => atOnce(one.breaker),
    next: () => next(one),
    work: async (row) => {
      await post(one, row);
      if (one.breaker.isProven) onProven();
    },
  }).catch((error) => one.failures.push(error));
  await one.claiming;
}

/** The next row that may be posted; undefined if there is none, or no room for it. */
async function next(one: Posting): Promise<Claimed | undefined> {
  for (;;) {
    if (one.isStopped || one.failures.length > 0) return undefined;
    claimAhead(one);
    const at = one.queue.findIndex(({ owner }) => mayPost(one.breaker, owner));
    if (at >= 0) {
      if (roomOf(one) < 1) return undefined;
      one.unsent++;
      return one.queue.splice(at, 1)[0];
    }
    if (one.claiming === null) return undefined;
    await one.claiming;
  }
}

function claimAhead(one: Posting): void {
  const { breaker, queue } = one;
  const ahead = breaker.isProven ? CLAIM_AHEAD : 0;
  if (!one.more || one.claiming || queue.length > ahead || breaker.state === "open") return;
  const most = breaker.isProven
    ? CLAIM_MAX
    : breaker.state === "half-open"
      ? HALF_OPEN_CLAIM_MAX
      : UNPROVEN_CLAIM_MAX;
  // The claim itself, then a post for each.
  const limit = Math.min(most, roomOf(one) - queue.length - 1);
  if (limit < 1) {
    one.more = false;
    return;
  }
  one.claiming = claimMore(one, limit)
    .catch((error) => {
      one.more = false;
      one.failures.push(error);
    })
    .finally(() => {
      one.claiming = null;
    });
}

async function claimMore(one: Posting, limit: number): Promise<void> {
  const { report } = one;
  const { rows, turn, more, held, dead } = await claim(one.run.env.DB, {
    turn: one.turn,
    limit,
    now: Date.now(),
  });
  one.turn = turn;
  one.more = more;
  one.queue.push(...rows);
  one.breaker = withDue(
    one.breaker,
    rows.map(({ owner }) => owner),
  );
  report.claimed += rows.length;
  if (held > 0) report.held = (report.held ?? 0) + held;
  if (dead > 0) report.dead = (report.dead ?? 0) + dead;
}

async function post(one: Posting, row: Claimed): Promise<void> {
  const askedAt = Date.now();
  one.breaker = posting(one.breaker, row.owner);
  const sending = send(one.run, row);
  one.unsent--;
  const answer = await sending;
  if (answer.kind === "not sent") {
    one.isStopped = true;
    one.report.problem = `no more requests: ${answer.error}`;
    one.queue.push(row);
    return;
  }
  note(one, row, answer);
  const attempted = { ...leasedOf(row), askedAt, answer, occurred_at: row.event.occurred_at };
  const { failures, own_failures } = row;
  const isOwn = await isOwnFailure(one, row, answer, askedAt);
  one.attempted.push({ ...attempted, failures, own_failures, isOwn });
  if (one.attempted.length >= RECORD_BATCH && roomOf(one) >= 1) recordNow(one);
}

async function send({ gateway, outbox }: Run, row: Claimed): Promise<Posted> {
  try {
    return await gateway.post(
      postOf(row.event, row.endpoint_id, row.key_version, outbox.resources),
    );
  } catch (error) {
    // Its body could not be built: one such row must not keep the others waiting.
    return { kind: "failed", error: String(error), throttled: false, retryAfterMs: null };
  }
}

function note(one: Posting, row: Claimed, answer: Answered): void {
  const { report } = one;
  report.posted++;
  one.breaker = answered(one.breaker, row.owner, answer);
  if (answer.kind === "accepted") {
    report.accepted++;
    one.failuresInRow = 0;
    one.evidence.accepted(row, Date.now());
  } else if (answer.kind !== "too large" && ++one.failuresInRow >= one.failuresMax) {
    one.isStopped = true;
    report.problem ??= `${one.failuresMax} failures in a row`;
  }
}

async function isOwnFailure(one: Posting, row: Claimed, answer: Answered, askedAt: number) {
  if (answer.kind !== "failed" || answer.throttled) return false;
  return one.evidence.othersGotThrough(row, row.failed_at ?? askedAt - EVIDENCE_MS);
}

function leasedOf({ event_seq, endpoint_id, key_version, due_at }: Claimed): Leased {
  return { event_seq, endpoint_id, key_version, lease: due_at ?? 0 };
}

/** Records what was posted so far, alongside posting. */
function recordNow(one: Posting): void {
  const statements = recordStatements(one, one.attempted.splice(0));
  const recording = batch(one.run.env.DB, statements).then(
    () => {},
    (error) => void one.failures.push(error),
  );
  one.recordings.push(recording);
}

function recordStatements(one: Posting, attempted: Attempted[]): Statement[] {
  if (attempted.length === 0) return [];
  const now = Date.now();
  const unprovenWaitMs = one.breaker.isProven ? null : NEXT_RUN_MS;
  const doubted = doubtedAmong(attempted);
  return [
    recordStatement(attempted.map((each) => outcomeOf(each, { now, unprovenWaitMs }))),
    ...(doubted.length > 0 ? [one.run.outbox.endpoints.doubted(doubted, now)] : []),
  ];
}

/** Records the rest, and makes what was not tried due again, in one transaction. @throws StorageError */
async function end(one: Posting, more: Statement[]): Promise<void> {
  const statements = [
    ...recordStatements(one, one.attempted.splice(0)),
    ...(one.queue.length > 0 ? [handBackStatement(one.queue.map(leasedOf), Date.now())] : []),
    ...more,
  ];
  if (statements.length > 0) {
    await batch(one.run.env.DB, statements).catch((error) => one.failures.push(error));
  }
  await Promise.all(one.recordings);
  if (one.failures.length > 0) throw one.failures[0];
}

/** Further invocations, asked once something got through and more is due than this one has claimed. */
function lend(one: Posting, hands: Hands) {
  let helped: Promise<HandsReport> | null = null;
  return {
    offer() {
      const count = Math.min(hands.max, roomOf(one) - 1);
      if (helped || !one.more || count < 1) return;
      helped = hands.help(count, one.turn);
    },
    report: () => helped,
  };
}

function handsIn(helped: PromiseSettledResult<HandsReport | null | undefined>) {
  return helped.status === "fulfilled" && helped.value ? { hands: helped.value } : {};
}

function isSame(a: KeptBreaker, b: KeptBreaker): boolean {
  return a.state === b.state && a.until === b.until;
}

function keepStatement({ state, until }: KeptBreaker): Statement {
  return ["UPDATE cron_state SET breaker = ?1, breaker_until = ?2", state, until];
}
