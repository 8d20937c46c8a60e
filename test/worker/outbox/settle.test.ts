/** Settling together: one transaction for an isolate's requests, none of which depends on another. */
import { env as testEnv } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { sleep } from "../../../src/run.ts";
import type { Bindings } from "../../../src/settings.ts";
import { logCaller } from "../../support/log-caller.ts";
import { deliveryRows, eventRows, leaveEndpoints } from "../../support/log-rows.ts";
import { around } from "../../support/operations.ts";

const env = testEnv as unknown as Bindings;
const { DB, KV } = env;
// As in src/outbox/settle.ts.
const WAIT_MS = 25;
const OTHERS_MS = 5_000;

beforeEach(async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  await leaveEndpoints(DB, [{ id: "a1", owner: "a" }]);
});
afterEach(() => {
  vi.useRealTimers();
  vi.mocked(sleep).mockImplementation(async () => {});
});

/** Holds up settling until `count` requests wait for it. */
function settleTogether(count: number): void {
  const { promise, resolve } = Promise.withResolvers<void>();
  let waiting = 0;
  vi.mocked(sleep).mockImplementation(async (ms) => {
    if (ms !== WAIT_MS || waiting >= count) return;
    if (++waiting === count) resolve();
    await promise;
  });
}

/** The same bindings; `hook` decides what the n-th settling does, from 1. Commits are the other batches. */
function settling(hook: (n: number, run: () => Promise<unknown>) => unknown = (_, run) => run()) {
  let n = 0;
  let commits = 0;
  const hooked = (count: number) =>
    around(env, async ({ on, what }, run) => {
      if (on !== "D1" || what !== "batch") return run();
      return commits++ < count ? run() : hook(++n, run);
    });
  return { envOf: hooked, count: () => n };
}

const beginAll = (given: Bindings, count: number) => {
  const { begin } = logCaller(given);
  return Promise.all(
    Array.from({ length: count }, (_, id) => begin("POST", "/thing", { id, name: "x", size: 1 })),
  );
};

const isSettled = async () => {
  const [events, deliveries] = [await eventRows(DB), await deliveryRows(DB)];
  return (
    events.every(({ projected, due_at }) => projected === 1 && due_at === null) &&
    deliveries.every(({ status }) => status === "sending")
  );
};

test("changes that end at the same moment are settled by one transaction", async () => {
  settleTogether(16);
  const { envOf, count } = settling();
  for (const { done } of await beginAll(envOf(16), 16)) await done();
  expect(count()).toBe(1);
  expect(await eventRows(DB)).toHaveLength(16);
  expect(await isSettled()).toBe(true);
});

test("two changes of one thing are both settled by one transaction, and KV has the later one", async () => {
  await logCaller(env).call("POST", "/thing", { id: 1, name: "old", size: 1 });
  settleTogether(2);
  const { begin } = logCaller(env);
  const replies = await Promise.all([
    begin("PUT", "/thing/1", { name: "new" }),
    begin("PUT", "/thing/1", { size: 2 }),
  ]);
  for (const { done } of replies) await done();
  expect(await isSettled()).toBe(true);
  const [key] = (await KV.list()).keys;
  expect(JSON.parse((await KV.get(key?.name ?? "")) ?? "")).toEqual({
    id: 1,
    name: "new",
    size: 2,
  });
});

test.each([
  ["before", false],
  ["after", true],
])("a connection lost %s the transaction is done costs only one more", async (_, isDone) => {
  settleTogether(4);
  const { envOf, count } = settling(async (n, run) => {
    if (n > 1) return run();
    if (isDone) await run();
    throw new Error("D1_ERROR: Network connection lost.");
  });
  for (const { done } of await beginAll(envOf(4), 4)) await done();
  expect(count()).toBe(2);
  // What was recorded before its answer was lost is no longer ours: it is left alone, and right.
  const deliveries = await deliveryRows(DB);
  expect(deliveries.every(({ status }) => status === "sending")).toBe(true);
  expect((await eventRows(DB)).every(({ projected }) => projected === 1)).toBe(true);
});

test("a change that D1 refuses to settle does not affect the others", async () => {
  settleTogether(4);
  const refusal = new Error("D1_ERROR: CHECK constraint failed: SQLITE_CONSTRAINT");
  // The transaction for all four, then the one for a single change.
  const { envOf } = settling((n, run) => (n <= 2 ? Promise.reject(refusal) : run()));
  for (const { done } of await beginAll(envOf(4), 4)) await done();
  const statuses = (await deliveryRows(DB)).map(({ status }) => status);
  expect(statuses.toSorted()).toEqual(["pending", "sending", "sending", "sending"]);
});

describe("a request that dies while it settles for others", () => {
  test("loses none of theirs: they settle their own", async () => {
    settleTogether(4);
    const { envOf, count } = settling((n, run) => (n === 1 ? new Promise(() => {}) : run()));
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    await beginAll(envOf(4), 4);
    await vi.waitFor(() => expect(count()).toBe(1));
    await vi.advanceTimersByTimeAsync(OTHERS_MS);
    vi.useRealTimers();
    await vi.waitFor(async () => {
      const left = (await deliveryRows(DB)).filter(({ status }) => status === "pending");
      // Only the one that died: its lease brings it back.
      expect(left).toHaveLength(1);
      expect(left[0]?.due_at).toBeGreaterThan(Date.now());
    });
  });
});

test("a row that another worker has taken over meanwhile is left alone", async () => {
  const { call } = logCaller(env, {
    async post() {
      await DB.prepare("UPDATE delivery SET due_at = 4102444800000").run();
      return { kind: "accepted" };
    },
  });
  await call("POST", "/thing", { name: "x", size: 1 });
  expect(await deliveryRows(DB)).toMatchObject([{ status: "pending", due_at: 4_102_444_800_000 }]);
});
