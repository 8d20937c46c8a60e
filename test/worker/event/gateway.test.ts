/** Whose fault a failure is: the event's or the gateway's. */
import { describe, expect, test } from "vitest";
import { newGateway } from "../../../src/event/gateway.ts";
import type { Outcome } from "../../../src/event/outcome.ts";
import { type Held, settlementOf } from "../../../src/event/settlement.ts";

const accepted: Outcome = { kind: "accepted" };
const dead: Outcome = { kind: "dead", error: "x" };
const failed: Outcome = { kind: "failed", error: "x", retryAfterMs: null };
const asked = (retryAfterMs: number): Outcome => ({ kind: "failed", error: "x", retryAfterMs });

type Seen = { id: string; outcome: Outcome };
const see = (...batches: Seen[][]) => {
  const gateway = newGateway();
  for (const batch of batches) gateway.see(batch);
  return gateway;
};
const a = (outcome: Outcome) => ({ id: "a", outcome });
const b = (outcome: Outcome) => ({ id: "b", outcome });
const c = (outcome: Outcome) => ({ id: "c", outcome });

type Verdict = { open: boolean; proven: boolean; suspects: string[] };
const cases: [string, Seen[][], Verdict][] = [
  ["nothing is known", [], { open: true, proven: false, suspects: [] }],
  ["one event fails", [[a(failed)]], { open: true, proven: false, suspects: [] }],
  [
    "one event fails again and again",
    [[a(failed)], [a(failed)], [a(failed)]],
    { open: true, proven: false, suspects: [] },
  ],
  [
    "two different events fail in a row",
    [[a(failed)], [b(failed)]],
    { open: false, proven: false, suspects: ["a", "b"] },
  ],
  [
    "two fail with a success in between",
    [[a(failed)], [b(accepted)], [c(failed)]],
    { open: true, proven: true, suspects: [] },
  ],
  [
    "two fail beside one that got through",
    [[a(failed), b(accepted), c(failed)]],
    { open: true, proven: true, suspects: [] },
  ],
  [
    "one gets through, then two fail in a row",
    [[c(accepted)], [a(failed)], [b(failed)]],
    { open: false, proven: true, suspects: ["a", "b"] },
  ],
  [
    "one is dead and one fails: a dead one is no failure of the gateway",
    [[a(dead)], [b(failed)]],
    { open: true, proven: false, suspects: [] },
  ],
  ["Convoy asks for time", [[a(asked(1_000))]], { open: false, proven: false, suspects: ["a"] }],
  [
    "Convoy asks for time beside a success",
    [[a(asked(1_000)), b(accepted)]],
    { open: false, proven: true, suspects: ["a"] },
  ],
];

test.each(cases)("when %s", (_, batches, { open, proven, suspects }) => {
  const gateway = see(...batches);
  expect(gateway.open()).toBe(open);
  expect(gateway.proven()).toBe(proven);
  expect(["a", "b", "c"].filter(gateway.isSuspect)).toEqual(suspects);
});

test("of several Retry-Afters the longest counts; without one there is none", () => {
  expect(see([a(failed)]).retryAfterMs()).toBeNull();
  expect(see([a(asked(2_000)), b(asked(9_000)), c(asked(1_000))]).retryAfterMs()).toBe(9_000);
});

describe("what is recorded of a failure", () => {
  const settings = {
    audit: true,
    auditDelayMs: 120_000,
    auditPatienceMs: 600_000,
    maxTries: 3,
    maxAgeMs: 1_000_000,
    retentionMs: 0,
    subrequestBudget: 45,
  };
  const held: Held & { state: "pending" } = {
    seq: 1,
    lease: 90,
    attempts: 0,
    replays: 2,
    accepted_at: null,
    occurred_at: 0,
    state: "pending",
    error: null,
  };
  const settled = (over: Partial<Held>, outcome: Outcome, blame: boolean, now = 5_000_000) =>
    settlementOf({ ...held, ...over }, outcome, { blame, retryMs: 60_000 }, settings, now);

  test("not to blame: no try is counted, however old it is", () => {
    expect(settled({ attempts: 99 }, failed, false)).toMatchObject({
      state: "pending",
      attempts: 99,
      replays: 2,
      due_at: 5_060_000,
    });
  });

  test("Convoy's Retry-After wins over ours, blamed or not", () => {
    for (const blame of [true, false]) {
      expect(settled({}, asked(7_000), blame).due_at).toBe(5_007_000);
    }
  });

  test.each([
    [0, 30_000, 60_000],
    [1, 60_000, 120_000],
    [20, 1_800_000, 3_600_000],
  ])("to blame after %d tries: it waits from %d to %d ms", (attempts, min, max) => {
    const { due_at, ...rest } = settled({ attempts }, failed, true, 1_000);
    expect(rest).toMatchObject({ state: "pending", attempts: attempts + 1 });
    expect(due_at).toBeGreaterThanOrEqual(1_000 + min);
    expect(due_at).toBeLessThanOrEqual(1_000 + max);
    expect(Number.isInteger(due_at)).toBe(true);
  });

  test.each([
    ["many tries and old enough", 2, 1_000_000, "dead"],
    ["old enough, too few tries", 1, 1_000_000, "pending"],
    ["many tries, too young", 9, 999_999, "pending"],
  ])("%s", (_, attempts, age, state) => {
    expect(settled({ attempts }, failed, true, age).state).toBe(state);
  });

  test("accepted is due for its audit, or finished where audit is off", () => {
    expect(settled({}, accepted, false)).toMatchObject({
      state: "accepted",
      accepted_at: 5_000_000,
      due_at: 5_120_000,
    });
    const off = { ...settings, audit: false };
    const verdict = settlementOf(held, accepted, { blame: false, retryMs: 0 }, off, 1);
    expect(verdict).toMatchObject({ state: "accepted", due_at: null });
  });
});
