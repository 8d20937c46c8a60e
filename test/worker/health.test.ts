/** /health: is the Worker there, and ?deep: is everything that it needs. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Bindings } from "../../src/config.ts";
import { failing, recording, withConvoy } from "../support/operations.ts";
import { as, TEST_SECRET } from "../support/token.ts";
import { call, newEnv, setFaults } from "../support/worker.ts";

beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}));

const deep = (env: Bindings) => call(env, "GET", "/health?deep");

test("is answered to everybody, and asks nobody", async () => {
  const watched = recording(newEnv({ AUTH: "jwt", AUTH_SECRET: TEST_SECRET }));
  const reply = await call(watched.env, "GET", "/health");
  expect(reply).toMatchObject({ status: 200, body: { status: "ok" } });
  expect(watched.operations).toEqual([]);
});

describe("with ?deep", () => {
  test("says that all is well, and that nothing waits", async () => {
    expect(await deep(newEnv())).toMatchObject({
      status: 200,
      body: {
        status: "ok",
        d1: "ok",
        kv: "ok",
        convoy: "ok",
        backlog: { pending: 0, oldest_pending_ms: null, dead: 0, errors: [] },
      },
    });
  });

  test.each(["?deep", "?deep=", "?deep=1", "?deep=false"])("%s wants a token", async (query) => {
    const env = newEnv({ AUTH: "jwt", AUTH_SECRET: TEST_SECRET });
    expect((await call(env, "GET", `/health${query}`)).status).toBe(401);
  });

  test("uses up the caller's rate limit, since it costs what any call costs", async () => {
    const limit = async () => ({ success: false });
    const env = { ...newEnv(), RATE_LIMIT: { limit } as RateLimit };
    const watched = recording(env);
    expect((await deep(watched.env)).status).toBe(429);
    expect(watched.operations).toEqual([]);
    expect((await call(watched.env, "GET", "/health")).status).toBe(200);
  });

  test("counts what waits and what is dead, says since when and why; each owner its own", async () => {
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
      "a page in front of Convoy",
      (env) => withConvoy(env, () => new Response("<html>")),
      { convoy: /200/ },
    ],
    ["no key", (env) => ({ ...env, CONVOY_API_KEY: "" }), { convoy: /CONVOY_API_KEY not set/ }],
    [
      "no address",
      (env) => ({ ...env, CONVOY_BASE_URL: "nowhere" }),
      { convoy: /CONVOY_BASE_URL/ },
    ],
  ])("names %s as what is wrong, with a 503", async (_, breakIt, body) => {
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
