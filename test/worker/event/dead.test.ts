/** An event that fails: it waits longer each time, and dies only while others get through. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Bindings, GIVE_UP } from "../../../src/config.ts";
import { passTime } from "../../support/cut-worker.ts";
import { idOf, type Left, leaveBehind } from "../../support/events.ts";
import { acceptance, refusalOf } from "../../support/operations.ts";
import { scripted } from "../../support/scripted-convoy.ts";
import { accepted, call, cron, log, newEnv } from "../../support/worker.ts";

const MINUTE_MS = 60_000;

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "log").mockImplementation(() => {});
});
const usual = { ...GIVE_UP };
afterEach(() => {
  vi.useRealTimers();
  Object.assign(GIVE_UP, usual);
});

/** A Convoy that refuses these keys. */
const failingFor = (env: Bindings, fails: (key: string) => boolean) =>
  scripted(env, { post: ({ key }) => (fails(key) ? refusalOf(500, "") : acceptance()) });
const rowOf = async (env: Bindings, n: number) => (await log(env)).find(({ id }) => id === idOf(n));

describe("an event that fails while others get through", () => {
  test.each([
    [0, 30_000, 60_000],
    [1, 60_000, 120_000],
    [20, 1_800_000, 3_600_000],
  ])("after %d tries waits from %d to %d ms", async (attempts, min, max) => {
    const base = newEnv();
    await leaveBehind(base, 2, (n) => (n === 1 ? { attempts } : {}));
    const { env } = failingFor(base, (key) => key === idOf(1));
    const before = Date.now();
    await cron(env);
    expect(await rowOf(base, 2)).toMatchObject({ state: "accepted" });
    const bad = await rowOf(base, 1);
    expect(bad).toMatchObject({ state: "pending", attempts: attempts + 1 });
    expect(bad?.due_at).toBeGreaterThanOrEqual(before + min);
    expect(bad?.due_at).toBeLessThanOrEqual(Date.now() + max);
  });

  const HOUR_MS = 3_600_000;
  const nine = { attempts: 9, own_failures: 9 };
  const old: Left = { ...nine, occurred_at: 0 };
  const young: Left = { ...nine, occurred_at: Date.now() - 71 * HOUR_MS };
  const ago = (seconds: number) => Date.now() - seconds * 1_000;
  const taken = (seconds: number): Left => ({
    ...{ state: "accepted", accepted_at: ago(seconds), due_at: ago(seconds) + 600_000 },
  });
  const confirmed = (seconds: number, { takenBefore }: { takenBefore: number }): Left => ({
    ...{ state: "confirmed", accepted_at: ago(seconds + takenBefore), due_at: null },
    finished_at: ago(seconds),
  });
  test.each<[string, Left, Left, string]>([
    ["is dead once its tries and its age are spent", old, {}, "dead"],
    ["is dead if another got through just before", old, taken(40), "dead"],
    ["lives if none got through just before", old, taken(55), "pending"],
    [
      "is dead if another got through since it last failed, however long ago",
      { ...old, failed_at: ago(3_600) },
      confirmed(1_600, { takenBefore: 200 }),
      "dead",
    ],
    [
      "lives if none got through since it last failed",
      { ...old, failed_at: ago(60) },
      taken(70),
      "pending",
    ],
    // Convoy's list says that it was taken, not when.
    [
      "lives if others were only found in Convoy's list since",
      { ...old, failed_at: ago(3_600) },
      confirmed(60, { takenBefore: 0 }),
      "pending",
    ],
    ["lives while it has tries left", { ...old, own_failures: 8 }, {}, "pending"],
    ["lives if outages used up its tries", { ...old, own_failures: 0 }, {}, "pending"],
    ["lives while it is young", young, {}, "pending"],
  ])("%s", async (_, bad, other, state) => {
    const base = newEnv();
    await leaveBehind(base, 2, (n) => (n === 1 ? bad : other));
    const { env } = failingFor(base, (key) => key === idOf(1));
    await cron(env);
    const tries = (bad.attempts ?? 0) + 1;
    const row = await rowOf(base, 1);
    expect(row).toMatchObject({ state, attempts: tries, error: "Convoy answered 500" });
    expect(row?.due_at === null).toBe(state === "dead");
  });

  test("is revived by a replay, under its own key, as Convoy never took it", async () => {
    const base = newEnv();
    await leaveBehind(base, 2, (n) => (n === 1 ? old : {}));
    await cron(failingFor(base, (key) => key === idOf(1)).env);
    expect((await call(base, "POST", `/event/${idOf(1)}/replay`)).status).toBe(202);
    expect(await rowOf(base, 1)).toMatchObject({ state: "accepted", attempts: 0, error: null });
    expect((await accepted(base)).map((one) => one.idempotency_key)).toEqual([idOf(1)]);
  });
});

test("an event survives two outages with a success between them", async () => {
  Object.assign(GIVE_UP, { maxTries: 2, maxAgeMs: 0 });
  const base = newEnv();
  await leaveBehind(base, 1);
  let down = true;
  const { env } = scripted(base, { post: () => (down ? refusalOf(500, "") : acceptance()) });
  const minutes = async (count: number) => {
    for (let minute = 0; minute < count; minute++) {
      passTime(MINUTE_MS);
      await cron(env);
    }
  };
  await minutes(6);
  down = false;
  expect((await call(env, "POST", "/todo", { item: "x" })).status).toBe(201);
  down = true;
  await minutes(6);
  expect((await log(base)).map(({ state }) => state)).toEqual(["pending", "accepted"]);
});

test("an event that fails alone is never dead: it may be Convoy", async () => {
  Object.assign(GIVE_UP, { maxTries: 1, maxAgeMs: 0 });
  const base = newEnv();
  await leaveBehind(base, 1);
  const { env, keys } = failingFor(base, () => true);
  for (let minute = 0; minute < 3; minute++) {
    await cron(env);
    passTime(MINUTE_MS);
  }
  expect(keys).toHaveLength(3);
  expect(await log(base)).toMatchObject([{ state: "pending", attempts: 3 }]);
});
