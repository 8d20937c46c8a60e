/** A few workers over a supply. */
import { describe, expect, test } from "vitest";
import { pool } from "../../../src/outbox/pool.ts";

/** A supply of numbers, and pieces of work that end when the test says so. */
function supply(count: number) {
  const left = Array.from({ length: count }, (_, n) => n);
  const underWay = new Map<number, { end: () => void; fail: (error: Error) => void }>();
  let most = 0;
  return {
    underWay,
    most: () => most,
    next: () => left.shift(),
    work: (piece: number) =>
      new Promise<void>((end, fail) => {
        underWay.set(piece, {
          end: () => {
            underWay.delete(piece);
            end();
          },
          fail,
        });
        most = Math.max(most, underWay.size);
      }),
  };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

describe("a pool", () => {
  test("works on as many pieces at once as it is wide, until there are no more", async () => {
    const { next, work, underWay, most } = supply(20);
    const over = pool({ width: () => 6, next, work });
    for (let n = 0; n < 20; n++) {
      await settled();
      expect(underWay.size).toBe(Math.min(6, 20 - n));
      underWay.values().next().value?.end();
    }
    await over;
    expect(most()).toBe(6);
  });

  test("grows and shrinks as it is told", async () => {
    let width = 1;
    const { next, work, underWay } = supply(20);
    const over = pool({ width: () => width, next, work });
    await settled();
    expect(underWay.size).toBe(1);
    width = 4;
    underWay.get(0)?.end();
    await settled();
    expect(underWay.size).toBe(4);
    width = 2;
    for (const { end } of [...underWay.values()].slice(0, 3)) end();
    await settled();
    expect(underWay.size).toBe(2);
    width = 0;
    for (const { end } of underWay.values()) end();
    await over;
  });

  test("asks again once work that was under way has ended", async () => {
    let given = 0;
    let isBlocked = false;
    const done: number[] = [];
    await pool({
      width: () => 3,
      next() {
        if (isBlocked || given === 5) return undefined;
        isBlocked = true;
        return given++;
      },
      async work(piece) {
        await settled();
        done.push(piece);
        isBlocked = false;
      },
    });
    expect(done).toEqual([0, 1, 2, 3, 4]);
  });

  test("begins nothing after work failed, and throws that once the rest has ended", async () => {
    const { next, work, underWay } = supply(20);
    const over = pool({ width: () => 3, next, work });
    let ended: unknown;
    over.catch((error) => {
      ended = error;
    });
    await settled();
    underWay.get(0)?.fail(new Error("lost"));
    await settled();
    expect(ended).toBeUndefined();
    underWay.get(1)?.end();
    underWay.get(2)?.end();
    await settled();
    expect(ended).toEqual(new Error("lost"));
    expect(underWay.has(3)).toBe(false);
  });

  test("without anything to do is over", async () => {
    const { work } = supply(0);
    await pool({ width: () => 3, next: () => undefined, work });
  });
});
