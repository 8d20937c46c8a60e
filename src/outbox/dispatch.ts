/** The cron's posting: owners in turn, until nothing is due, the budget is spent, or the breaker is open. */
import type { Budget } from "../run.ts";
import { all, batch, type Statement } from "../storage.ts";
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
import { type Evidence, NEWEST, othersGotThrough } from "./evidence.ts";
import type { Posted } from "./gateway.ts";
import type { HandsReport } from "./hand.ts";
import { postOf } from "./message.ts";
import { type Attempted, doubtedAmong, handedBack, outcomeOf, recordStatement } from "./outcome.ts";
import { pool } from "./pool.ts";

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
// What is kept of the budget to record what was posted.
const RECORDING = 1;
// If nothing got through, deliveries are tried again in the next run, which begins a minute later.
const NEXT_RUN_MS = 50_000;
// Before a delivery's first failure, "since it last failed" begins so long before the post.
const EVIDENCE_MS = 60_000;

/** Posting under way. */
type Posting = {
  run: Run;
  budget: Budget;
  turn: string;
  breaker: Breaker;
  /** As it is in D1; null: it is not this invocation's concern. */
  kept: KeptBreaker | null;
  /** Failures in a row after which it stops, whatever the breaker says. */
  failuresMax: number;
  failuresInRow: number;
  isStopped: boolean;
  evidence: Evidence;
  report: PostReport;
};

/**
 * Posts what is due, and what is held for endpoints that are active; hands help once something got through. If D1 does
 * not respond, claimed rows are due when their lease ends.
 */
export async function dispatch(
  run: Run,
  from: { turn: string; breaker: KeptBreaker },
  budget: Budget,
): Promise<DispatchReport> {
  const one = begin(run, budget, {
    ...{ turn: from.turn, failuresMax: Infinity },
    ...{ breaker: breakerOf(from.breaker), kept: from.breaker },
  });
  const helping: Promise<HandsReport>[] = [];
  const lend = () => {
    const { hands } = run;
    const count = Math.min(hands?.max ?? 0, budget.left() - RECORDING - 1);
    if (hands && count > 0 && helping.length === 0) helping.push(hands.help(count, one.turn));
  };
  const [posted] = await Promise.allSettled([postDue(one, lend)]);
  const [helped] = await Promise.all(helping);
  if (posted.status === "rejected") throw posted.reason;
  const { state } = kept(one.breaker, Date.now());
  return { ...one.report, breaker: state, ...(helped ? { hands: helped } : {}) };
}

/**
 * Posts what is due as a further invocation, since something got through: the breaker is not its concern.
 * @param failuresMax failures in a row after which it stops
 */
export async function postAsHand(
  run: Run,
  { turn, failuresMax }: { turn: string; failuresMax: number },
  budget: Budget,
): Promise<PostReport> {
  const breaker: Breaker = { ...breakerOf({ state: "closed", until: 0 }), isProven: true };
  const one = begin(run, budget, { turn, failuresMax, breaker, kept: null });
  await postDue(one, () => {});
  return one.report;
}

function begin(
  run: Run,
  budget: Budget,
  given: Pick<Posting, "turn" | "failuresMax" | "breaker" | "kept">,
): Posting {
  const evidence = { accepted: [], isWhole: false };
  const report = { claimed: 0, posted: 0, accepted: 0 };
  return { ...given, run, budget, failuresInRow: 0, isStopped: false, evidence, report };
}

/**
 * Claims, posts and records, again and again.
 * @param onProven called when something got through, and more may be due than is claimed
 */
async function postDue(one: Posting, onProven: () => void): Promise<void> {
  const { run, budget, report } = one;
  for (let isMore = true; isMore && !one.isStopped && one.breaker.state !== "open"; ) {
    const limit = Math.min(claimMax(one.breaker), budget.left() - 1 - RECORDING);
    if (limit < 1) break;
    const claimed = await claim(run.env.DB, { turn: one.turn, limit, now: Date.now() });
    one.turn = claimed.turn;
    isMore = claimed.more;
    report.claimed += claimed.rows.length;
    if (claimed.held > 0) report.held = (report.held ?? 0) + claimed.held;
    if (claimed.dead > 0) report.dead = (report.dead ?? 0) + claimed.dead;
    const owners = claimed.rows.map(({ owner }) => owner);
    one.breaker = withDue(one.breaker, owners);
    const { attempted, left } = await postAll(one, claimed.rows, () => isMore && onProven());
    if (claimed.rows.length > 0) await record(one, attempted, left);
  }
}

function claimMax({ isProven, state }: Breaker): number {
  if (isProven) return CLAIM_MAX;
  return state === "half-open" ? HALF_OPEN_CLAIM_MAX : UNPROVEN_CLAIM_MAX;
}

/** Posts what may be posted. `left`: what may not, or could not. */
async function postAll(one: Posting, rows: Claimed[], onProven: () => void) {
  const left = [...rows];
  const attempted: Attempted[] = [];
  await pool({
    width: () => atOnce(one.breaker),
    next() {
      if (one.isStopped || one.budget.left() <= RECORDING) return undefined;
      const at = left.findIndex(({ owner }) => mayPost(one.breaker, owner));
      return at < 0 ? undefined : left.splice(at, 1)[0];
    },
    async work(row) {
      const askedAt = Date.now();
      one.breaker = posting(one.breaker, row.owner);
      const answer = await send(one.run, row);
      if (answer.kind === "not sent") {
        one.isStopped = true;
        one.report.problem = `no more requests: ${answer.error}`;
        left.push(row);
        return;
      }
      const answeredOne = { ours: row, occurredAt: row.event.occurred_at, askedAt, answer };
      attempted.push(answeredOne);
      note(one, answeredOne);
      if (one.breaker.isProven) onProven();
    },
  });
  return { attempted, left };
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

function note(one: Posting, { ours, answer }: Attempted): void {
  const { report } = one;
  const { owner, endpoint_id } = ours;
  report.posted++;
  one.breaker = answered(one.breaker, owner, answer);
  if (answer.kind === "accepted") {
    report.accepted++;
    one.failuresInRow = 0;
    one.evidence.accepted.push({ owner, endpoint_id, at: Date.now() });
  } else if (answer.kind !== "too large" && ++one.failuresInRow >= one.failuresMax) {
    one.isStopped = true;
    report.problem ??= `${one.failuresMax} failures in a row`;
  }
}

/** Records what was posted, makes what was not due again, and keeps the breaker, in one transaction. */
async function record(one: Posting, attempted: Attempted[], left: Claimed[]): Promise<void> {
  const { env, outbox } = one.run;
  const isOwn = await ownFailures(one, attempted);
  const now = Date.now();
  const unprovenWaitMs = one.breaker.isProven ? null : NEXT_RUN_MS;
  const outcomes = attempted.map((each) =>
    outcomeOf(each, { now, unprovenWaitMs, isOwn: isOwn(each) }),
  );
  const doubted = doubtedAmong(attempted);
  await batch(env.DB, [
    recordStatement([...outcomes, ...handedBack(left, now)]),
    ...(doubted.length > 0 ? [outbox.endpoints.doubted(doubted, now)] : []),
    ...keepStatements(one, now),
  ]);
}

/** Tells whose failures are their own, after a look at what others got through if need be, and if there is room for it. */
async function ownFailures(one: Posting, attempted: Attempted[]) {
  const { evidence, budget, run } = one;
  const isOwn = ({ ours, askedAt }: Attempted) =>
    othersGotThrough(evidence, ours, ours.failed_at ?? askedAt - EVIDENCE_MS);
  const failed = attempted.filter(({ answer }) => answer.kind === "failed" && !answer.throttled);
  if (!failed.every(isOwn) && !evidence.isWhole && budget.left() > RECORDING) {
    // Without an answer, failures are nobody's.
    const newest = await all<Evidence["accepted"][number]>(run.env.DB, NEWEST).catch(() => null);
    evidence.accepted.push(...(newest ?? []));
    evidence.isWhole = newest !== null;
  }
  return isOwn;
}

function keepStatements(one: Posting, now: number): Statement[] {
  const breaker = kept(one.breaker, now);
  const { kept: last } = one;
  if (!last || (breaker.state === last.state && breaker.until === last.until)) return [];
  one.kept = breaker;
  const { state, until } = breaker;
  return [["UPDATE cron_state SET breaker = ?1, breaker_until = ?2", state, until]];
}
