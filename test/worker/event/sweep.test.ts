/** The cron's posting: what was left is posted once, an outage costs two posts, no endpoint holds up another. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Bindings } from "../../../src/config.ts";
import { passTime } from "../../support/cut-worker.ts";
import { idOf, leaveBehind } from "../../support/events.ts";
import { acceptance, around, recording, refusalOf } from "../../support/operations.ts";
import { type Posted, scripted } from "../../support/scripted-convoy.ts";
import { accepted, call, cron, log, newEnv } from "../../support/worker.ts";

const MINUTE_MS = 60_000;

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "log").mockImplementation(() => {});
});
afterEach(() => void vi.useRealTimers());

/** A Convoy that refuses these posts. */
const failingFor = (
  env: Bindings,
  fails: (posted: Posted) => boolean,
  answer = refusalOf(500, ""),
) => scripted(env, { post: (posted) => (fails(posted) ? answer.clone() : acceptance()) });
const down = (env: Bindings) => failingFor(env, () => true);

/** Records an endpoint that Convoy does not have. */
async function recordEndpoint(env: Bindings, id: string): Promise<void> {
  await env.DB.prepare(
    `INSERT INTO endpoint (id, owner, name, url, description, http_timeout_s, status, created_at, updated_at)
     VALUES (?, 'default', 'x', 'https://x.example/', '', 10, 'active', 0, 0)`,
  )
    .bind(id)
    .run();
}

test("posts and projects what was left, once, and then has nothing to do", async () => {
  const env = newEnv();
  await leaveBehind(env, 7, () => ({ stored: 0 }));
  await cron(env);
  const watched = recording(env);
  await cron(watched.env);
  expect(watched.operations.filter(({ on }) => on !== "D1")).toEqual([]);
  expect(await accepted(env)).toHaveLength(7);
  expect((await call(env, "GET", "/todo")).body.data).toHaveLength(7);
  expect((await log(env)).every((row) => row.stored === 1 && row.state === "accepted")).toBe(true);
});

test("two concurrent runs post each event once", async () => {
  const env = newEnv();
  await leaveBehind(env, 30);
  await Promise.all([cron(env), cron(env)]);
  const keys = (await accepted(env)).map((one) => one.idempotency_key);
  expect(keys).toHaveLength(30);
  expect(new Set(keys).size).toBe(30);
});

test("events that are leased or due later are left alone", async () => {
  const env = newEnv();
  await leaveBehind(env, 3, (n) => ({ due_at: Date.now() + [-1, 1_000, 90_000][n - 1]! }));
  await cron(env);
  expect((await accepted(env)).map((one) => one.idempotency_key)).toEqual([idOf(1)]);
});

test("posts one at a time until one gets through, then six", async () => {
  const base = newEnv({ SUBREQUEST_BUDGET: "100" });
  await leaveBehind(base, 30);
  let [now, first, most] = [0, 0, 0];
  const { promise: sixAtOnce, resolve } = Promise.withResolvers<void>();
  const { env, keys } = scripted(base, {
    async post() {
      most = Math.max(most, ++now);
      if (keys.length === 1) {
        // Any concurrent post would have begun by then.
        await new Promise((later) => setTimeout(later));
        first = now;
      } else {
        if (now === 6) resolve();
        await sixAtOnce;
      }
      now--;
      return acceptance();
    },
  });
  await cron(env);
  expect({ first, most, posted: keys.length }).toEqual({ first: 1, most: 6, posted: 30 });
});

describe("a Convoy that is down", () => {
  test("costs two posts a run, and what was not tried counts no attempt", async () => {
    const base = newEnv();
    await leaveBehind(base, 20);
    const { env, keys } = down(base);
    const before = Date.now();
    await cron(env);
    expect(new Set(keys).size).toBe(2);
    for (const row of await log(env)) {
      const tried = keys.includes(row.id);
      expect(row).toMatchObject({ state: "pending", attempts: tried ? 1 : 0 });
      // The next run begins a minute later.
      const wait = (row.due_at ?? 0) - before;
      if (tried) expect(wait).toBeGreaterThanOrEqual(50_000);
      expect(wait).toBeLessThan(55_000);
    }
    passTime(MINUTE_MS);
    await cron(env);
    // Those with fewer failures first.
    expect(new Set(keys).size).toBe(4);
  });

  test("gets its whole backlog, each event once, in the first run after it is back", async () => {
    const base = newEnv();
    await leaveBehind(base, 6, () => ({ attempts: 9 }));
    const { env } = down(base);
    for (let minute = 0; minute < 5; minute++) {
      await cron(env);
      passTime(MINUTE_MS);
    }
    await cron(base);
    expect(await accepted(base)).toHaveLength(6);
  });

  test("gets five posts if all events are for one endpoint", async () => {
    const base = newEnv();
    const endpoint = "01ONE";
    await recordEndpoint(base, endpoint);
    await leaveBehind(base, 12, () => ({ endpoint_id: endpoint }));
    const { env, keys } = down(base);
    await cron(env);
    expect(keys).toHaveLength(5);
  });
});

test("failures with successes in between do not end a run", async () => {
  const base = newEnv({ SUBREQUEST_BUDGET: "200" });
  await leaveBehind(base, 30);
  const { env, keys } = scripted(base, {
    post: () => (keys.length % 5 === 3 ? refusalOf(500, "") : acceptance()),
  });
  await cron(env);
  expect(new Set(keys).size).toBe(30);
});

describe("a Convoy that asks us to wait", () => {
  const later = (seconds: number) => refusalOf(429, "", { "Retry-After": String(seconds) });

  test("gets one post, and no waiting event is written to", async () => {
    const base = newEnv();
    await leaveBehind(base, 60);
    const { env, keys } = failingFor(base, () => true, later(600));
    await cron(env);
    expect(keys).toHaveLength(1);
    const before = await log(base);
    expect(before.filter(({ attempts }) => attempts > 0)).toHaveLength(1);
    for (let minute = 1; minute < 10; minute++) {
      passTime(MINUTE_MS);
      await cron(env);
    }
    expect(keys).toHaveLength(1);
    expect(await log(base)).toEqual(before);
    passTime(MINUTE_MS);
    await cron(base);
    expect((await accepted(base)).length).toBeGreaterThan(20);
  });

  test("in answer to several posts gets the longest time it asked for", async () => {
    const base = newEnv();
    await leaveBehind(base, 30);
    const { promise: sixAtOnce, resolve } = Promise.withResolvers<void>();
    const { env, keys } = scripted(base, {
      async post() {
        const n = keys.length;
        if (n === 1) return acceptance();
        if (n === 7) resolve();
        await sixAtOnce;
        return n === 3 ? later(600) : later(60);
      },
    });
    await cron(env);
    expect(keys).toHaveLength(7);
    passTime(2 * MINUTE_MS);
    await cron(env);
    expect(keys).toHaveLength(7);
  });
});

describe("endpoints that Convoy does not know", () => {
  const missing = refusalOf(400, "endpoint not found");

  test("hold up no others, however many there are, and their events back off", async () => {
    const base = newEnv({ SUBREQUEST_BUDGET: "2000" });
    for (let n = 0; n < 50; n++) await recordEndpoint(base, `01GONE${n}`);
    await leaveBehind(base, 520, (n) => (n <= 500 ? { endpoint_id: `01GONE${n % 50}` } : {}));
    const { env, keys } = failingFor(base, ({ endpoint }) => endpoint !== null, missing);
    const before = Date.now();
    await cron(env);
    expect(new Set(keys).size).toBe(520);
    const rows = await log(base);
    expect(rows.slice(500).every(({ state }) => state === "accepted")).toBe(true);
    for (const row of rows.slice(0, 500)) {
      expect(row).toMatchObject({ state: "pending", attempts: 1 });
      expect(row.due_at).toBeGreaterThanOrEqual(before + 30_000);
    }
    const known = await base.DB.prepare("SELECT DISTINCT status FROM endpoint").all();
    expect(known.results).toEqual([{ status: "missing" }]);
  });

  test("come after events that failed less, if the budget is small", async () => {
    const base = newEnv();
    await recordEndpoint(base, "01GONE");
    await leaveBehind(base, 300, (n) =>
      n <= 295 ? { endpoint_id: "01GONE", attempts: 2 } : { attempts: 1, due_at: 2 },
    );
    const { env } = failingFor(base, ({ endpoint }) => endpoint !== null, missing);
    await cron(env);
    expect((await log(base)).slice(295).every(({ state }) => state === "accepted")).toBe(true);
  });
});

describe("the budget", () => {
  test.each(["20", "45", "200"])(
    "of %s subrequests ends a run midway, and what it could not try is due at once",
    async (budget) => {
      const base = newEnv({ SUBREQUEST_BUDGET: budget });
      await leaveBehind(base, 220, () => ({ stored: 0 }));
      const { env, operations } = recording(base);
      await cron(env);
      // Results are recorded outside of it.
      expect(operations.length).toBeLessThanOrEqual(Number(budget) + 5);
      expect(operations.length).toBeGreaterThan(Number(budget) / 2);
      expect((await accepted(base)).length).toBeGreaterThan(Number(budget) / 3);
      const pending = (await log(base)).filter(({ state }) => state === "pending");
      expect(pending.every((row) => (row.due_at ?? 0) <= Date.now())).toBe(true);
    },
  );

  test("of 20 clears a backlog in a few runs, each event once", async () => {
    const base = newEnv({ SUBREQUEST_BUDGET: "20" });
    await leaveBehind(base, 30);
    let runs = 0;
    while ((await log(base)).some(({ state }) => state === "pending") && runs < 20) {
      await cron(base);
      runs++;
    }
    expect(runs).toBeLessThan(6);
    expect(await accepted(base)).toHaveLength(30);
  });
});

test("losing D1 while more is claimed loses nothing that was posted", async () => {
  const base = newEnv({ SUBREQUEST_BUDGET: "1000" });
  await leaveBehind(base, 220);
  const { env: convoy, keys } = scripted(base, {});
  let claims = 0;
  const env = around(convoy, (operation, run) =>
    operation.what.includes("WITH RECURSIVE") &&
    operation.what.startsWith("UPDATE") &&
    ++claims === 2
      ? Promise.reject(new Error("D1_ERROR: Network connection lost."))
      : run(),
  );
  await expect(cron(env)).rejects.toThrow(/Network connection lost/);
  const taken = (await log(base)).filter(({ state }) => state === "accepted");
  expect(taken.map(({ id }) => id).toSorted()).toEqual(keys.toSorted());
});
