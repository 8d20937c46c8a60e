/** Settling together: one statement for an isolate's requests, none of which depends on another. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Bindings, SETTLE_PATIENCE_MS, SETTLE_WAIT_MS } from "../../../src/config.ts";
import { sleep } from "../../../src/run.ts";
import { around, type Operation } from "../../support/operations.ts";
import { accepted, begin, call, log, newEnv } from "../../support/worker.ts";

beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}));
afterEach(() => void vi.useRealTimers());

const isSettling = ({ on, what }: Operation) => on === "D1" && what.includes("UPDATE event");

/** Holds up settling until `count` requests wait for it. */
function settleTogether(count: number): void {
  const { promise, resolve } = Promise.withResolvers<void>();
  let waiting = 0;
  vi.mocked(sleep).mockImplementation(async (ms) => {
    if (ms !== SETTLE_WAIT_MS || waiting >= count) return;
    if (++waiting === count) resolve();
    await promise;
  });
}

afterEach(() => void vi.mocked(sleep).mockImplementation(async () => {}));

/** Begins `count` changes to different todos. */
const beginAll = (env: Bindings, count: number) =>
  Promise.all(
    Array.from({ length: count }, (_, id) => begin(env, "POST", "/todo", { id, item: "x" })),
  );

/** The same bindings; `hook` decides what the n-th settling does, from 1. */
function settling(env: Bindings, hook: (n: number, run: () => Promise<unknown>) => unknown) {
  let n = 0;
  const hooked = around(env, async (operation, run) =>
    isSettling(operation) ? hook(++n, run) : run(),
  );
  return { env: hooked, count: () => n };
}

test("changes that end at the same moment are settled by one statement", async () => {
  settleTogether(16);
  const { env, count } = settling(newEnv(), (_, run) => run());
  for (const { done } of await beginAll(env, 16)) await done();
  expect(count()).toBe(1);
  const rows = await log(env);
  expect(rows).toHaveLength(16);
  expect(rows.every((row) => row.state === "accepted" && row.stored === 1)).toBe(true);
});

test("two changes to one todo are both settled by one statement, and KV has the later one", async () => {
  const env = newEnv();
  await call(env, "POST", "/todo", { id: 1, item: "old" });
  settleTogether(2);
  const replies = await Promise.all([
    begin(env, "PUT", "/todo/1", { item: "new" }),
    begin(env, "PUT", "/todo/1", { completed: true }),
  ]);
  for (const { done } of replies) await done();
  expect((await log(env)).map(({ stored }) => stored)).toEqual([1, 1, 1]);
  const whole = { id: 1, item: "new", completed: true };
  expect((await call(env, "GET", "/todo/1")).body).toEqual(whole);
});

test.each([
  ["before", false],
  ["after", true],
])("a connection lost %s the statement is done costs only one more", async (_, done) => {
  settleTogether(4);
  const { env, count } = settling(newEnv(), async (n, run) => {
    if (n > 1) return run();
    if (done) await run();
    throw new Error("D1_ERROR: Network connection lost.");
  });
  for (const reply of await beginAll(env, 4)) await reply.done();
  expect(count()).toBe(2);
  const rows = await log(env);
  expect(rows.every((row) => row.state === "accepted" && row.stored === 1)).toBe(true);
});

test("a change that D1 refuses to settle does not affect the others", async () => {
  settleTogether(4);
  const refusal = new Error("D1_ERROR: CHECK constraint failed: SQLITE_CONSTRAINT");
  // The statement for all four, then the one for a single change.
  const { env } = settling(newEnv(), (n, run) => (n <= 2 ? Promise.reject(refusal) : run()));
  for (const reply of await beginAll(env, 4)) await reply.done();
  const states = (await log(env)).map(({ state }) => state);
  expect(states.toSorted()).toEqual(["accepted", "accepted", "accepted", "pending"]);
});

describe("a request that dies while it settles for others", () => {
  test("loses none of theirs: they settle their own", async () => {
    settleTogether(4);
    const base = newEnv();
    const { env, count } = settling(base, (n, run) => (n === 1 ? new Promise(() => {}) : run()));
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    await beginAll(env, 4);
    await vi.waitFor(() => expect(count()).toBe(1));
    await vi.advanceTimersByTimeAsync(SETTLE_PATIENCE_MS);
    vi.useRealTimers();
    await vi.waitFor(async () => {
      const left = (await log(base)).filter(({ state }) => state === "pending");
      // Only the one that died: its lease brings it back.
      expect(left).toHaveLength(1);
      expect(left[0]?.due_at).toBeGreaterThan(Date.now());
    });
    expect(await accepted(base)).toHaveLength(4);
  });
});
