/** The simulation behind docs/scale.md: what it must show whatever the timings. */
import { describe, expect, test } from "vitest";
import { type Load, shardOf, simulate } from "../../bench/scale/simulate.ts";

const busy = { commit: 1, settle: 1, row: 0.2, cron: 0.1 };
const load: Load = {
  ...{ owners: 100, rate: 100, databases: 1, isolates: 16, postMs: 50, settleWaitMs: 25 },
  queue: false,
};

describe("owners are spread over databases", () => {
  const owners = Array.from({ length: 4_000 }, (_, n) => `owner-${n}`);

  test("evenly", () => {
    const counts = [0, 0, 0, 0];
    for (const owner of owners) counts[shardOf(owner, 4)]!++;
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  });

  test("so that a fifth database takes a fifth of them, and no others move", () => {
    const moved = owners.filter((owner) => shardOf(owner, 4) !== shardOf(owner, 5));
    expect(moved.every((owner) => shardOf(owner, 5) === 4)).toBe(true);
    expect(Math.abs(moved.length - 800)).toBeLessThan(150);
  });
});

describe("the simulation", () => {
  test("is as busy as the sum of its statements", () => {
    const found = simulate({ ...load, isolates: 1_000 }, busy);
    // Nearly all settle alone: 100 changes a second at 2.1 ms each.
    expect(found.busy).toBeGreaterThan(0.19);
    expect(found.busy).toBeLessThan(0.23);
    expect(found.statements).toBeGreaterThan(1.9);
    expect(found.p50).toBeGreaterThanOrEqual(busy.commit);
    expect(found.p99).toBeGreaterThan(found.p50);
  });

  test("shows that an overloaded database falls behind, and that four keep up", () => {
    const over = simulate({ ...load, owners: 1_000, rate: 1_000 }, busy);
    expect(over.busy).toBeGreaterThan(1);
    expect(over.p99).toBeGreaterThan(1_000);
    const four = simulate({ ...load, owners: 1_000, rate: 1_000, databases: 4 }, busy);
    expect(four.busy).toBeLessThan(1);
    expect(four.p99).toBeLessThan(100);
  });

  test("lets requests of one isolate settle together, and those of a queue even more", () => {
    const rate = 400;
    const spread = simulate({ ...load, rate, isolates: 64 }, busy).statements;
    const close = simulate({ ...load, rate, isolates: 4 }, busy).statements;
    const queued = simulate({ ...load, rate, queue: true }, busy).statements;
    expect(close).toBeLessThan(spread);
    expect(queued).toBeLessThan(close);
    expect(queued).toBeLessThan(1.1);
  });
});
