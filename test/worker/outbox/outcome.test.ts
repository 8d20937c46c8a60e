/** What the log records of a post. */
import { describe, expect, test } from "vitest";
import {
  type Answered,
  type Attempted,
  backoffMs,
  doubtedAmong,
  MAX_AGE_MS,
  MAX_OWN_FAILURES,
  outcomeOf,
} from "../../../src/outbox/outcome.ts";

const FAILED: Answered = { kind: "failed", error: "500", throttled: false, retryAfterMs: null };
const THROTTLED: Answered = { ...FAILED, throttled: true, retryAfterMs: 3_600_000 };
const UNKNOWN: Answered = { kind: "unknown endpoint", error: "404" };

const attempted: Attempted = {
  event_seq: 1,
  endpoint_id: "e",
  key_version: 2,
  lease: 9,
  failures: 4,
  own_failures: MAX_OWN_FAILURES - 1,
  occurred_at: 0,
  askedAt: 500,
  answer: FAILED,
  isOwn: true,
};
const OLD = MAX_AGE_MS;
const through = (now: number) => ({ now, unprovenWaitMs: null });

describe("dead", () => {
  test("after ten failures of its own, once it is old", () => {
    expect(outcomeOf(attempted, through(OLD))).toMatchObject({
      status: "dead",
      due_at: null,
      finished_at: OLD,
      own_failures: MAX_OWN_FAILURES,
      error: "500",
    });
  });

  test.each<[string, Partial<Attempted>, number]>([
    ["it is younger", {}, OLD - 1],
    ["it has fewer failures of its own", { own_failures: MAX_OWN_FAILURES - 2 }, OLD],
    ["nothing of others got through", { isOwn: false }, OLD],
    ["the gateway asks for fewer calls", { answer: THROTTLED }, OLD],
    ["the gateway has no such endpoint", { answer: UNKNOWN }, OLD],
  ])("not while %s", (_, given, now) => {
    const outcome = outcomeOf({ ...attempted, ...given }, through(now));
    expect(outcome).toMatchObject({ status: "pending", finished_at: null, failed_at: 500 });
    expect(outcome.due_at).toBeGreaterThan(now);
  });

  test("at once if it is too large, whatever else", () => {
    const answer: Answered = { kind: "too large", error: "413" };
    const outcome = outcomeOf({ ...attempted, answer, isOwn: false, own_failures: 0 }, through(1));
    expect(outcome).toMatchObject({ status: "dead", error: "413", own_failures: 0 });
  });
});

test("accepted: sending, and all failures are forgotten", () => {
  const outcome = outcomeOf({ ...attempted, answer: { kind: "accepted" } }, through(1_000));
  expect(outcome).toEqual({
    event_seq: 1,
    endpoint_id: "e",
    key_version: 2,
    lease: 9,
    status: "sending",
    failures: 0,
    own_failures: 0,
    failed_at: null,
    error: null,
    accepted_at: 1_000,
    finished_at: null,
    due_at: 601_000,
  });
});

test("a failure that is not its own counts as none of its own", () => {
  for (const given of [{ isOwn: false }, { answer: THROTTLED }, { answer: UNKNOWN }]) {
    const { own_failures } = outcomeOf({ ...attempted, ...given }, through(1));
    expect(own_failures).toBe(MAX_OWN_FAILURES - 1);
  }
});

test("waits 30 to 60 s, doubled each time, an hour at most; Retry-After does not matter", () => {
  const waits = [1, 2, 3, 6, 7, 60].map((n) => {
    const many = Array.from({ length: 200 }, () => backoffMs(n) / 1_000);
    return [Math.min(...many), Math.max(...many)];
  });
  for (const [index, longest] of [60, 120, 240, 1_920, 3_600, 3_600].entries()) {
    const [least = 0, most = 0] = waits[index] ?? [];
    expect(least).toBeGreaterThanOrEqual(longest / 2);
    expect(most).toBeLessThanOrEqual(longest);
    expect(most - least).toBeGreaterThan(longest / 4);
  }
  const { due_at } = outcomeOf({ ...attempted, failures: 0, answer: THROTTLED }, through(0));
  expect(due_at).toBeLessThanOrEqual(60_000);
});

test("in an outage it is due in the next run, and no later wait grows", () => {
  const outcome = outcomeOf(attempted, { now: 1_000, unprovenWaitMs: 50_000 });
  expect(outcome).toMatchObject({ due_at: 51_000, failures: 4, error: "500", failed_at: 500 });
});

test("endpoints that the gateway does not know are doubted, each once", () => {
  const unknown = { ...attempted, answer: UNKNOWN };
  const other = { ...unknown, endpoint_id: "f" };
  expect(doubtedAmong([unknown, attempted, unknown, other])).toEqual(["e", "f"]);
});
