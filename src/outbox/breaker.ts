/**
 * The breaker keeps the cron from posting to a gateway that takes nothing, and one owner's failures from keeping the
 * cron from posting another's. Closed: the gateway takes deliveries. Open: it took none. Half-open: one probe at a time.
 */
import type { Posted } from "./gateway.ts";

/** As kept between runs: not before `until` (ms), if the gateway asked us to wait. */
export type KeptBreaker = { state: "closed" | "open"; until: number };

/** As one run sees it. */
export type Breaker = {
  readonly state: "closed" | "open" | "half-open";
  /** Something got through in this run: it does not open any more. */
  readonly isProven: boolean;
  /** Owners with something due, those that this run posted for, and those whose posts failed. */
  readonly due: ReadonlySet<string>;
  readonly probed: ReadonlySet<string>;
  readonly failed: ReadonlySet<string>;
  readonly failures: number;
  /** The gateway's longest Retry-After. */
  readonly retryAfterMs: number;
};

// Failures before it opens, and of how many owners, if so many have something due.
const FAILURES = 5;
const OWNERS = 5;
/** Longest Retry-After that is honoured. */
export const HOLD_MAX_MS = 5 * 60_000;
// A Worker may have six connections waiting for headers.
const AT_ONCE = 6;

const NONE: ReadonlySet<string> = new Set();
const NOTHING = { due: NONE, probed: NONE, failed: NONE, failures: 0, retryAfterMs: 0 };

/** At the beginning of a run: open becomes half-open. */
export function breakerOf({ state }: KeptBreaker): Breaker {
  return { ...NOTHING, state: state === "open" ? "half-open" : state, isProven: false };
}

/** Owners with something due: as many of them must have failed before it opens. */
export function withDue(breaker: Breaker, owners: Iterable<string>): Breaker {
  return breaker.isProven ? breaker : { ...breaker, due: new Set([...breaker.due, ...owners]) };
}

/** How many posts may be under way at once. */
export function atOnce({ state }: Breaker): number {
  return state === "closed" ? AT_ONCE : 1;
}

/** Whether something of this owner may be posted: an owner that was not probed yet gets one probe in any case. */
export function mayPost({ state, probed }: Breaker, owner: string): boolean {
  return state !== "open" || !probed.has(owner);
}

/** Something of this owner is being posted. */
export function posting(breaker: Breaker, owner: string): Breaker {
  return breaker.isProven ? breaker : { ...breaker, probed: new Set([...breaker.probed, owner]) };
}

/** The answer to a post for this owner. What says nothing of the gateway, such as a 413, changes nothing. */
export function answered(breaker: Breaker, owner: string, answer: Posted): Breaker {
  if (answer.kind === "accepted") {
    return breaker.isProven ? breaker : { ...NOTHING, state: "closed", isProven: true };
  }
  if (breaker.isProven || (answer.kind !== "failed" && answer.kind !== "unknown endpoint")) {
    return breaker;
  }
  const failures = breaker.failures + 1;
  const failed = new Set([...breaker.failed, owner]);
  const opens = failures >= FAILURES && failed.size >= Math.min(OWNERS, breaker.due.size);
  const asked = answer.kind === "failed" ? (answer.retryAfterMs ?? 0) : 0;
  return {
    ...breaker,
    state: opens ? "open" : breaker.state,
    failures,
    failed,
    retryAfterMs: Math.max(breaker.retryAfterMs, asked),
  };
}

/** What is kept at the end of a run. Retry-After counts only if the breaker opened. */
export function kept({ state, retryAfterMs }: Breaker, now: number): KeptBreaker {
  if (state === "closed") return { state, until: 0 };
  const holdMs = state === "open" ? Math.min(retryAfterMs, HOLD_MAX_MS) : 0;
  return { state: "open", until: holdMs > 0 ? now + holdMs : 0 };
}
