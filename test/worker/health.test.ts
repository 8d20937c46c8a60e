/** /health: is the Worker up; with ?deep: is everything it needs. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Bindings } from "../../src/config.ts";
import { progress, STATEMENTS } from "../../src/event/cron-state.ts";
import { failing, recording, withConvoy } from "../support/operations.ts";
import { as, TEST_SECRET } from "../support/token.ts";
import { call, newEnv, setFaults } from "../support/worker.ts";

beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}));

const deep = (env: Bindings) => call(env, "GET", "/health?deep");

test("answers anyone, without using KV, D1 or Convoy", async () => {
  const watched = recording(newEnv({ AUTH: "jwt", AUTH_SECRET: TEST_SECRET }));
  const reply = await call(watched.env, "GET", "/health");
  expect(reply).toMatchObject({ status: 200, body: { status: "ok" } });
  expect(watched.operations).toEqual([]);
});

describe("with ?deep", () => {
  test("says that all is well and nothing waits", async () => {
    expect(await deep(newEnv())).toMatchObject({
      status: 200,
      body: {
        status: "ok",
        d1: "ok",
        kv: "ok",
        convoy: "ok",
        owners: "caller",
        backlog: { pending: 0, oldest_pending_ms: null, dead: 0, errors: [] },
        unstored: { changes: 0, oldest_ms: null },
        walk_lag_ms: null,
        closed_until: null,
      },
    });
  });

  test.each(["?deep", "?deep=", "?deep=1", "?deep=false"])("%s needs a token", async (query) => {
    const env = newEnv({ AUTH: "jwt", AUTH_SECRET: TEST_SECRET });
    expect((await call(env, "GET", `/health${query}`)).status).toBe(401);
  });

  test("is subject to the rate limit, unlike /health alone", async () => {
    const limit = async () => ({ success: false });
    const env = { ...newEnv(), RATE_LIMIT: { limit } as RateLimit };
    const watched = recording(env);
    expect((await deep(watched.env)).status).toBe(429);
    expect(watched.operations).toEqual([]);
    expect((await call(watched.env, "GET", "/health")).status).toBe(200);
  });

  test("tells each owner how many of its events wait, since when and why, and how many are dead", async () => {
    const env = newEnv({ AUTH: "jwt", AUTH_SECRET: TEST_SECRET });
    const alice = await as("alice");
    await setFaults(env, { status: 413 });
    await call(env, "POST", "/todo", { item: "x" }, alice);
    await setFaults(env, { status: 500, message: "pq: do-not-show" });
    for (let i = 0; i < 3; i++) await call(env, "POST", "/todo", { item: "x" }, alice);
    await env.DB.prepare("UPDATE event SET occurred_at = ? WHERE seq = 2")
      .bind(Date.now() - 90_000)
      .run();
    await setFaults(env, {});

    const told = await call(env, "GET", "/health?deep", undefined, alice);
    expect(told.body.backlog).toEqual({
      pending: 3,
      oldest_pending_ms: expect.any(Number),
      dead: 1,
      errors: [{ error: "Convoy answered 500", events: 3 }],
    });
    expect(told.body.backlog.oldest_pending_ms).toBeGreaterThanOrEqual(90_000);
    expect(told.body.backlog.oldest_pending_ms).toBeLessThan(150_000);
    const others = await call(env, "GET", "/health?deep", undefined, await as("bob"));
    expect(others.body.backlog).toMatchObject({ pending: 0, dead: 0, errors: [] });
  });

  describe("to an operator", () => {
    const settings = { AUTH: "jwt", AUTH_SECRET: TEST_SECRET };
    const operator = () => as("alice", { scope: "operator" });

    test("sums up all owners; anyone else sees only their own", async () => {
      const env = newEnv(settings);
      await setFaults(env, { status: 413 });
      await call(env, "POST", "/todo", { item: "x" }, await as("alice"));
      await call(env, "POST", "/todo", { item: "x" }, await as("bob"));
      await setFaults(env, { status: 500 });
      for (const owner of ["bob", "bob", "carol"]) {
        await call(env, "POST", "/todo", { item: "x" }, await as(owner));
      }
      const ago = env.DB.prepare("UPDATE event SET occurred_at = ? WHERE seq = ?");
      await ago.bind(Date.now() - 90_000, 4).run();
      await env.DB.prepare(
        "UPDATE event SET stored = 0, due_at = 1, finished_at = NULL WHERE seq IN (2, 3)",
      ).run();
      await setFaults(env, {});

      const { body } = await call(env, "GET", "/health?deep", undefined, await operator());
      expect(body).toMatchObject({
        owners: "all",
        backlog: { pending: 3, dead: 2, errors: [{ error: "Convoy answered 500", events: 3 }] },
        unstored: { changes: 2 },
      });
      expect(body.backlog.oldest_pending_ms).toBeGreaterThanOrEqual(90_000);
      const bobs = await call(env, "GET", "/health?deep", undefined, await as("bob"));
      expect(bobs.body).toMatchObject({
        owners: "caller",
        backlog: { pending: 2, dead: 1 },
        unstored: { changes: 2 },
      });
      const carols = await call(env, "GET", "/health?deep", undefined, await as("carol"));
      expect(carols.body).toMatchObject({
        backlog: { pending: 1, dead: 0 },
        unstored: { changes: 0 },
      });
    });

    test("says how far behind the walk is, and until when Convoy asked us to wait", async () => {
      const env = newEnv(settings);
      const now = Date.now();
      const set = env.DB.prepare("UPDATE cron_state SET walk_since = ?, closed_until = ?");
      await set.bind(now - 3_600_000, now + 60_000).run();
      const { body } = await call(env, "GET", "/health?deep", undefined, await operator());
      expect(body.walk_lag_ms).toBeGreaterThanOrEqual(3_600_000);
      expect(body.closed_until).toBe(new Date(now + 60_000).toISOString());
      const owners = await call(env, "GET", "/health?deep", undefined, await as("alice"));
      expect(owners.body).toMatchObject({ walk_lag_ms: null, closed_until: null });
      await set.bind(now, now - 1).run();
      const later = await call(env, "GET", "/health?deep", undefined, await operator());
      expect(later.body.closed_until).toBeNull();
    });

    test("reads few rows of a long log", async () => {
      const env = newEnv();
      const fill = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        INSERT INTO event (id, owner, type, occurred_at, todo_id, todo, stored, state, finished_at, due_at)
        SELECT printf('%036d', i), 'o' || (i % 50), 'updated', i, i, '{}', 1,
          iif(i % 1000 = 0, 'pending', iif(i % 1000 = 1, 'dead', 'confirmed')),
          iif(i % 1000 = 0, NULL, 1), iif(i % 1000 = 0, 1, NULL) FROM n`;
      await env.DB.prepare(fill).run();
      expect((await progress(env.DB, null, Date.now())).backlog).toMatchObject({
        pending: 20,
        dead: 20,
      });
      for (const [sql, ...values] of STATEMENTS) {
        const { meta } = await env.DB.prepare(sql)
          .bind(...values)
          .all();
        expect(meta.rows_read, sql).toBeLessThan(200);
      }
    });
  });

  const is = (store: string) => (operation: { on: string }) => operation.on === store;
  test.each<[what: string, env: (env: Bindings) => Bindings | Promise<Bindings>, body: object]>([
    ["D1", (env) => failing(env, is("D1")), { d1: /D1 does not answer/, kv: "ok", backlog: null }],
    ["KV", (env) => failing(env, is("KV")), { kv: /KV does not answer/, d1: "ok" }],
    [
      "Convoy",
      (env) => failing(env, is("Convoy")),
      { convoy: /not reachable/, d1: "ok", kv: "ok" },
    ],
    [
      "a Convoy that fails",
      async (env) => {
        await setFaults(env, { status: 500, message: "pq: do-not-show" });
        return env;
      },
      { convoy: /^Convoy answered 500$/ },
    ],
    [
      "a web page in front of Convoy",
      (env) => withConvoy(env, () => new Response("<html>")),
      { convoy: /200/ },
    ],
  ])("is a 503 that names what is wrong: %s", async (_, breakIt, body) => {
    const reply = await deep(await breakIt(newEnv()));
    expect(reply).toMatchObject({ status: 503, body: { status: "degraded" } });
    for (const [field, expected] of Object.entries(body)) {
      if (expected instanceof RegExp) expect(reply.body[field]).toMatch(expected);
      else expect(reply.body[field]).toEqual(expected);
    }
    expect(JSON.stringify(reply.body)).not.toContain("do-not-show");
  });

  test("says that the tables are missing", async () => {
    const env = newEnv();
    await env.DB.prepare("DROP TABLE event").run();
    const reply = await deep(env);
    expect(reply).toMatchObject({ status: 503, body: { d1: expect.stringMatching(/no tables/) } });
  });
});
