/** POST /portal-link, and what the token in a link gives access to. */
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { app } from "../../src/app.ts";
import type { Bindings } from "../../src/settings.ts";
import { as, newPair, publicJwk, signWith, TEST_SECRET } from "../support/token.ts";
import { call, newEndpoint, newEnv, setFaults } from "../support/worker.ts";

beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}));

const jwtEnv = (more = {}) => newEnv({ AUTH: "jwt", AUTH_SECRET: TEST_SECRET, ...more });
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

/** Asks for a link as alice. */
async function ask(env: Bindings, body?: unknown, sent: object = {}) {
  return call(env, "POST", "/portal-link", body, { ...(await as("alice")), ...sent });
}

/** The token of alice's link. */
async function linked(env: Bindings): Promise<string> {
  return tokenOf((await ask(env)).body.url);
}

function tokenOf(url: string): string {
  return /#token=(.+)$/.exec(url)?.[1] ?? "";
}

describe("a link", () => {
  test("leads to the portal at the origin that was called, with its token only in the fragment", async () => {
    const { status, body, headers } = await ask(jwtEnv(), undefined, {
      at: "https://api.example.com",
    });
    expect([status, Object.keys(body)]).toEqual([201, ["url", "expires_at"]]);
    const { origin, pathname, search, hash } = new URL(body.url);
    expect([origin + pathname, search]).toEqual(["https://api.example.com/portal/", ""]);
    expect(hash).toMatch(/^#token=[\w-]+\.[\w-]+\.[\w-]+$/);
    expect(headers.get("Cache-Control")).toBe("no-store");
  });

  test.each([
    [undefined, 60],
    [{}, 60],
    [{ expires_in_minutes: 1 }, 1],
    [{ expires_in_minutes: 1_440 }, 1_440],
  ])("asked for with %j is valid for %d minutes", async (body, minutes) => {
    const before = Date.now();
    const link = (await ask(jwtEnv(), body)).body;
    const { exp, sub } = JSON.parse(atob(tokenOf(link.url).split(".")[1] ?? ""));
    const ends = Date.parse(link.expires_at);
    expect(sub).toBe("alice");
    expect(Math.abs(exp * 1_000 - ends)).toBeLessThan(2_000);
    expect(ends).toBeGreaterThanOrEqual(before + minutes * 60_000);
    expect(ends).toBeLessThan(before + minutes * 60_000 + 30_000);
  });

  test.each([0, -1, 1_441, 1.5, "60", null])("for %j minutes is refused", async (minutes) => {
    expect(await ask(jwtEnv(), { expires_in_minutes: minutes })).toMatchObject({
      status: 400,
      body: { details: [{ path: "expires_in_minutes" }] },
    });
  });

  test("needs no Convoy, which may be down", async () => {
    const env = jwtEnv({ CONVOY_BASE_URL: "http://nowhere.test" });
    expect((await ask(env)).status).toBe(201);
  });

  test("has no token while AUTH is open", async () => {
    expect(await call(newEnv(), "POST", "/portal-link")).toMatchObject({
      status: 201,
      body: { url: "http://localhost/portal/", expires_at: null },
    });
  });

  test("is signed with PORTAL_SECRET if an issuer makes the tokens; without it, a 503 says so", async () => {
    const pair = await newPair("ES256");
    const keys = { keys: [await publicJwk(pair)] };
    vi.spyOn(globalThis, "fetch").mockImplementation(async () => Response.json(keys));
    const jwks = { AUTH: "jwt", AUTH_JWKS_URL: "https://issuer.test/portal.json" };
    const env = newEnv({ ...jwks, AUTH_AUDIENCE: "todo" });
    const exp = Math.floor(Date.now() / 1_000) + 600;
    const theirs = bearer(await signWith(pair, { sub: "alice", aud: "todo", exp }));
    expect(await call(env, "POST", "/portal-link", undefined, theirs)).toMatchObject({
      status: 503,
      body: { error: expect.stringContaining("PORTAL_SECRET") },
    });
    const set = { ...env, PORTAL_SECRET: TEST_SECRET };
    const made = await call(set, "POST", "/portal-link", undefined, theirs);
    const ours = bearer(tokenOf(made.body.url));
    expect((await call(set, "GET", "/endpoint", undefined, ours)).status).toBe(200);
    expect((await call(set, "GET", "/todo", undefined, ours)).status).toBe(403);
  });
});

describe("with PORTAL=off", () => {
  test("no link is given, and existing ones are refused", async () => {
    const env = jwtEnv();
    const sent = bearer(await linked(env));
    const off = { ...env, PORTAL: "off" };
    expect(await ask(off)).toMatchObject({
      status: 404,
      body: { error: expect.stringContaining("turned off") },
    });
    expect(await call(off, "GET", "/endpoint", undefined, sent)).toMatchObject({
      status: 401,
      body: { error: expect.stringContaining("turned off") },
    });
    expect((await call(env, "GET", "/endpoint", undefined, sent)).status).toBe(200);
    expect((await call(off, "GET", "/endpoint", undefined, await as("alice"))).status).toBe(200);
  });

  test("anything but on or off is a 503 that names the setting", async () => {
    expect(await ask(jwtEnv({ PORTAL: "no" }))).toMatchObject({
      status: 503,
      body: { error: 'PORTAL must be "on" or "off".' },
    });
  });
});

describe("the token of a link", () => {
  /** Every route of the Worker, ids filled in. */
  const ROUTES = [...new Set(app.routes.map(({ method, path }) => `${method} ${path}`))]
    .filter((route) => !route.startsWith("ALL "))
    .map((route) => route.replace(/:\w+/g, "1"));
  const OPEN = ["GET /health", "GET /"];
  const isInside = (route: string) => /^\w+ \/(endpoint|event|delivery)(\/|$)/.test(route);
  const outside = ROUTES.filter((route) => !isInside(route) && !OPEN.includes(route));
  /** Other spellings of what it does not open, and what might be mistaken for what it does. */
  const DISGUISED = [
    ...["/todo/", "//todo", "/./todo", "/TODO", "/todo/1/", "/todo?x=/endpoint", "/todo/%31"],
    ...["/endpoint/../todo", "/endpoint/%2e%2e/todo", "/event/..%2ftodo", "/endpoint/..;/todo"],
    ...[
      "/endpoints",
      "/endpoint-x",
      "/eventual",
      "/delivery-x",
      "/deliverys",
      "/health?deep",
      "/health?deep=/event",
      "/portal-link/",
    ],
  ].flatMap((path) => ["GET", "POST", "PUT", "DELETE"].map((method) => `${method} ${path}`));
  const count = { inside: 0, outside: 0, letThrough: 0 };
  afterAll(() => console.info(`portal token: ${JSON.stringify(count)}`));

  test("opens every route under /endpoint, /event and /delivery", async () => {
    const env = jwtEnv();
    const sent = bearer(await linked(env));
    for (const route of ROUTES.filter(isInside)) {
      const [method = "", path = ""] = route.split(" ");
      const { status } = await call(env, method, path, method === "GET" ? undefined : {}, sent);
      count.inside++;
      expect({ route, status }).not.toEqual({ route, status: 401 });
      expect({ route, status }).not.toEqual({ route, status: 403 });
    }
    expect(count.inside).toBeGreaterThanOrEqual(16);
  });

  test("opens no other route, however it is spelled", async () => {
    const env = jwtEnv();
    await call(env, "POST", "/todo", { id: 1, item: "of alice alone" }, await as("alice"));
    const sent = bearer(await linked(env));
    expect(outside).toEqual(
      expect.arrayContaining(["POST /todo", "GET /todo/1", "POST /portal-link"]),
    );
    for (const route of [...outside, ...DISGUISED]) {
      const [method = "", path = ""] = route.split(" ");
      const body = method === "POST" || method === "PUT" ? { item: "by link" } : undefined;
      const reply = await call(env, method, path, body, sent);
      count.outside++;
      if (reply.status < 300) count.letThrough++;
      const shut = outside.includes(route) ? [403] : [403, 404, 405];
      expect({ route, shut, status: shut.includes(reply.status) ? "shut" : reply.status }).toEqual({
        route,
        shut,
        status: "shut",
      });
      expect(JSON.stringify(reply.body)).not.toContain("of alice alone");
    }
    const { body } = await call(env, "GET", "/todo", undefined, await as("alice"));
    expect(body.data).toEqual([{ id: 1, item: "of alice alone", completed: false }]);
    expect(count.letThrough).toBe(0);
  });

  test("shows nothing that belongs to another owner", async () => {
    const env = jwtEnv();
    const bob = await as("bob");
    await newEndpoint(env, undefined, bob);
    await call(env, "POST", "/todo", { item: "of bob" }, bob);
    const sent = bearer(await linked(env));
    for (const list of ["/event", "/delivery", "/endpoint"]) {
      const { body } = await call(env, "GET", list, undefined, bob);
      expect(body.data).toHaveLength(1);
      expect((await call(env, "GET", list, undefined, sent)).body).toEqual({ data: [] });
      const at = `${list}/${body.data[0].id}`;
      expect((await call(env, "GET", at, undefined, bob)).status).toBe(200);
      expect((await call(env, "GET", at, undefined, sent)).status).toBe(404);
      const action = { "/event": "replay", "/delivery": "resend", "/endpoint": "pause" }[list];
      expect((await call(env, "POST", `${at}/${action}`, undefined, sent)).status).toBe(404);
    }
  });

  test("lists no other owner's rows, whatever its scopes", async () => {
    const env = jwtEnv();
    for (const scope of ["portal", "portal operator"]) {
      const sent = await as("alice", { scope });
      for (const list of ["/event", "/delivery", "/endpoint"]) {
        const reply = await call(env, "GET", `${list}?owner=*`, undefined, sent);
        expect({ list, scope, status: reply.status }).toEqual({ list, scope, status: 403 });
      }
    }
  });
});

test("GET /event/summary says how many deliveries wait, since when and why, and how many are lost", async () => {
  const env = newEnv();
  const endpoint = await newEndpoint(env);
  await setFaults(env, { status: 500 });
  for (const id of [1, 2, 3]) await call(env, "POST", "/todo", { id, item: "x" });
  await setFaults(env, {});
  await env.DB.batch([
    env.DB.prepare("UPDATE event SET occurred_at = occurred_at - 60000 WHERE seq = 1"),
    env.DB.prepare(
      "UPDATE delivery SET status = 'dead', due_at = NULL, finished_at = 1 WHERE event_seq = 3",
    ),
  ]);
  await call(env, "POST", `/endpoint/${endpoint}/pause`);
  await call(env, "POST", "/todo", { id: 4, item: "x" });
  const { status, body } = await call(env, "GET", "/event/summary");
  expect(status).toBe(200);
  expect(body).toMatchObject({ pending: 2, sending: 0, held: 1, failed: 0, dead: 1 });
  expect(body.oldest_pending_ms).toBeGreaterThanOrEqual(60_000);
  expect(body.errors).toEqual([{ error: "Convoy answered 500", deliveries: 2 }]);
});
