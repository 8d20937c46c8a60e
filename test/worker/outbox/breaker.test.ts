/** The breaker: when it opens, whom it lets through, and when it closes. */
import { describe, expect, test } from "vitest";
import {
  answered,
  atOnce,
  type Breaker,
  breakerOf,
  HOLD_MAX_MS,
  kept,
  mayPost,
  posting,
  withDue,
} from "../../../src/outbox/breaker.ts";
import type { Posted } from "../../../src/outbox/gateway.ts";

const ACCEPTED: Posted = { kind: "accepted" };
const FAILED: Posted = { kind: "failed", error: "500", throttled: false, retryAfterMs: null };
const busy = (retryAfterMs: number): Posted => ({ ...FAILED, throttled: true, retryAfterMs });
const NOW = 1_000;

/** A run that begins with the breaker so, and these owners with something due. */
function begin(state: "closed" | "open", owners: string): Breaker {
  return withDue(breakerOf({ state, until: 0 }), owners);
}

/** Posts for these owners, one after the other, with the same answer. */
function post(breaker: Breaker, owners: string, answer: Posted = FAILED): Breaker {
  return [...owners].reduce(
    (before, owner) => answered(posting(before, owner), owner, answer),
    breaker,
  );
}

describe("opens after five failures", () => {
  test.each([
    ["one owner, alone", "a", "aaaaa"],
    ["two, if two have something due", "ab", "aaaab"],
    ["five of six", "abcdef", "abcde"],
    ["five of a thousand", "abcdefghij".repeat(100), "aaaabcde"],
  ])("of %s", (_, due, posts) => {
    const before = post(begin("closed", due), posts.slice(0, -1));
    expect(before.state).toBe("closed");
    expect(post(before, posts.slice(-1)).state).toBe("open");
  });

  test.each([
    ["of one owner, however many, while another has something due", "ab", "aaaaaaaaaaaaaaaa"],
    ["of four owners of five", "abcde", "abcdabcdabcd"],
    ["of fewer", "ab", "abab"],
  ])("not after failures %s", (_, due, posts) => {
    expect(post(begin("closed", due), posts).state).toBe("closed");
  });

  test("counting owners that turn out to have something due later in the run", () => {
    const breaker = post(begin("closed", "ab"), "aaab");
    expect(post(withDue(breaker, "c"), "aab").state).toBe("closed");
    expect(post(withDue(breaker, "c"), "c").state).toBe("open");
  });

  test("counting endpoints that the gateway says it does not know", () => {
    const unknown: Posted = { kind: "unknown endpoint", error: "404" };
    expect(post(begin("closed", "a"), "aaaaa", unknown).state).toBe("open");
  });

  test("not counting what says nothing of the gateway", () => {
    for (const kind of ["too large", "not sent"] as const) {
      expect(post(begin("closed", "a"), "aaaaaaaa", { kind, error: "" }).state).toBe("closed");
    }
  });

  test("not if something got through in the run, before or after", () => {
    const proven = post(begin("closed", "ab"), "b", ACCEPTED);
    expect(post(proven, "aaaaaaaaaaabbbbbbbbb")).toMatchObject({ state: "closed", isProven: true });
    const late = post(post(begin("closed", "a"), "aaaaa"), "a", ACCEPTED);
    expect(late).toMatchObject({ state: "closed", isProven: true });
    expect(atOnce(late)).toBe(6);
  });
});

describe("open", () => {
  const open = post(begin("closed", "abcdefg"), "abcde");

  test("an owner that was not probed yet gets one probe, one at a time", () => {
    expect(atOnce(open)).toBe(1);
    expect([..."abcdefg"].filter((owner) => mayPost(open, owner))).toEqual(["f", "g"]);
    const probing = posting(open, "f");
    expect(mayPost(probing, "f")).toBe(false);
    const failed = answered(probing, "f", FAILED);
    expect([mayPost(failed, "f"), mayPost(failed, "g")]).toEqual([false, true]);
  });

  test("a success closes it, for all", () => {
    const closed = post(open, "f", ACCEPTED);
    expect([..."abcdefg"].every((owner) => mayPost(closed, owner))).toBe(true);
    expect(kept(closed, NOW)).toEqual({ state: "closed", until: 0 });
  });

  test("is kept", () => {
    expect(kept(open, NOW)).toEqual({ state: "open", until: 0 });
  });
});

describe("the run after is half-open", () => {
  test("one probe at a time, of anyone, until one succeeds", () => {
    const breaker = begin("open", "ab");
    expect(breaker.state).toBe("half-open");
    expect(atOnce(breaker)).toBe(1);
    const failed = post(breaker, "a");
    expect([mayPost(failed, "a"), mayPost(failed, "b"), atOnce(failed)]).toEqual([true, true, 1]);
    const closed = post(failed, "b", ACCEPTED);
    expect([closed.state, atOnce(closed)]).toEqual(["closed", 6]);
  });

  test("opens again as it opened", () => {
    expect(post(begin("open", "ab"), "aaaa").state).toBe("half-open");
    expect(post(begin("open", "ab"), "aaaab").state).toBe("open");
  });

  test("stays open for the next run if nothing got through, or nothing was posted", () => {
    expect(kept(begin("open", ""), NOW)).toEqual({ state: "open", until: 0 });
    expect(kept(post(begin("open", "a"), "a"), NOW)).toEqual({ state: "open", until: 0 });
  });
});

describe("Retry-After", () => {
  test("counts when it opens: the longest, and five minutes at most", () => {
    const failing = (ms: number) => post(post(begin("closed", "a"), "a", busy(ms)), "aaaa");
    expect(kept(failing(20_000), NOW)).toEqual({ state: "open", until: NOW + 20_000 });
    expect(kept(failing(3_600_000), NOW)).toEqual({ state: "open", until: NOW + HOLD_MAX_MS });
    expect(HOLD_MAX_MS).toBe(300_000);
    const again = post(post(begin("open", "a"), "a", busy(20_000)), "aaaa");
    expect(kept(again, NOW).until).toBe(NOW + 20_000);
  });

  test("does not count otherwise, or once something got through", () => {
    const one = post(begin("closed", "ab"), "a", busy(3_600_000));
    expect(kept(one, NOW)).toEqual({ state: "closed", until: 0 });
    expect(kept(post(begin("open", "ab"), "a", busy(9_000)), NOW).until).toBe(0);
    const proven = post(post(one, "b", ACCEPTED), "aaaaaaaa", busy(9_000));
    expect(kept(proven, NOW)).toEqual({ state: "closed", until: 0 });
  });
});
