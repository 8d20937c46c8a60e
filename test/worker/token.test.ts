/** Which settings may check tokens, and what a token opens: all that is an owner's, or only the portal's part. */
import { afterAll, describe, expect, test } from "vitest";
import { app } from "../../src/app.ts";
import { authenticate } from "../../src/auth.ts";
import { onError } from "../../src/errors.ts";
import { newApp } from "../../src/http.ts";
import type { Keys } from "../../src/keys.ts";
import { type Bindings, type SettingName, settingsOf } from "../../src/settings.ts";
import { isOwner, mintPortalToken, mintToken, verifyToken } from "../../src/token.ts";
import { as, base64Url, type Payload, signHs256, TEST_SECRET } from "../support/token.ts";
import { call, newEnv, state } from "../support/worker.ts";

const LONG = "x".repeat(31);
const OTHER = "another secret of the tests, 32 bytes or more";
const JWKS = { AUTH_JWKS_URL: "https://issuer.test/jwks.json", AUTH_AUDIENCE: "todo-api" };

const count = { settings: 0, portal: 0, letThrough: 0 };
afterAll(() => console.info(`settings and portal tokens: ${JSON.stringify(count)}`));

describe("settings that cannot keep strangers out are a 503 that says what to set:", () => {
  test.each<[name: string, settings: { [name in SettingName]?: string }, says: RegExp]>([
    ["none", {}, /set AUTH_SECRET .*AUTH_JWKS_URL/],
    ["none, AUTH empty", { AUTH: "" }, /set AUTH_SECRET/],
    ["AUTH Open", { AUTH: "Open", AUTH_SECRET: TEST_SECRET }, /AUTH must be/],
    ["AUTH none", { AUTH: "none" }, /AUTH must be/],
    ["AUTH with a leading space", { AUTH: " open" }, /AUTH must be/],
    ["a secret of one byte", { AUTH_SECRET: "a" }, /AUTH_SECRET .*32 bytes/],
    ["a secret of 31 bytes", { AUTH_SECRET: LONG }, /AUTH_SECRET .*32 bytes/],
    ["a secret of 31 bytes and spaces", { AUTH_SECRET: ` ${LONG}\n` }, /AUTH_SECRET .*32 bytes/],
    ["a secret of one space", { AUTH_SECRET: " " }, /AUTH_SECRET .*32 bytes/],
    ["a secret of 40 spaces", { AUTH_SECRET: " ".repeat(40) }, /AUTH_SECRET .*32 bytes/],
    ["the documents' placeholder", { AUTH_SECRET: "…" }, /AUTH_SECRET .*32 bytes/],
    ["a secret and JWKS", { AUTH_SECRET: TEST_SECRET, ...JWKS }, /one of the two/],
    ["JWKS without audience", { ...JWKS, AUTH_AUDIENCE: "" }, /AUTH_AUDIENCE/],
    ["JWKS over http", { ...JWKS, AUTH_JWKS_URL: "http://issuer.test/" }, /https/],
    ["JWKS at a name like localhost", { ...JWKS, AUTH_JWKS_URL: "http://localhost.test" }, /https/],
    ["JWKS in a file", { ...JWKS, AUTH_JWKS_URL: "file:///jwks.json" }, /https/],
    ["JWKS in a data URL", { ...JWKS, AUTH_JWKS_URL: 'data:,{"keys":[]}' }, /https/],
    ["JWKS at no URL", { ...JWKS, AUTH_JWKS_URL: "no url" }, /https/],
    ["a weak PORTAL_SECRET", { ...JWKS, PORTAL_SECRET: LONG }, /PORTAL_SECRET .*32 bytes/],
    ["two secrets", { AUTH_SECRET: TEST_SECRET, PORTAL_SECRET: OTHER }, /remove PORTAL_SECRET/],
  ])("%s", async (_, settings, says) => {
    const env = newEnv({ AUTH: "jwt", ...settings });
    const key = settings.AUTH_SECRET || settings.PORTAL_SECRET || "a";
    for (const sent of [{}, await as("alice", { aud: "todo-api" }, key)]) {
      count.settings++;
      const reply = await call(env, "GET", "/todo", undefined, sent);
      if (reply.status < 300) count.letThrough++;
      expect(reply).toMatchObject({ status: 503, body: { error: expect.stringMatching(says) } });
      expect(reply.headers.get("Retry-After")).toMatch(/^\d+$/);
    }
    // Nor is a token issued that would be refused.
    if (!settings.AUTH) await expect(mintToken(env, "a", { expiresInS: 9 })).rejects.toThrow(says);
  });

  test("an unset AUTH is not open", async () => {
    const { AUTH: _, ...env } = newEnv();
    expect((await call(env, "GET", "/todo")).status).toBe(503);
  });

  test.each([
    ["a secret of 32 bytes", `x${LONG}`],
    ["a secret of 32 bytes in fewer characters", "é".repeat(16)],
  ])("but %s is enough", async (_, AUTH_SECRET) => {
    const env = newEnv({ AUTH: "jwt", AUTH_SECRET });
    const reply = await call(env, "GET", "/todo", undefined, await as("alice", {}, AUTH_SECRET));
    expect(reply.status).toBe(200);
  });

  test.each(["http://localhost:9/", "http://127.0.0.1:9/jwks", "http://[::1]:9/"])(
    "and keys on this machine need no https: %s",
    async (AUTH_JWKS_URL) => {
      const env = newEnv({ AUTH: "jwt", ...JWKS, AUTH_JWKS_URL });
      expect((await call(env, "GET", "/todo")).status).toBe(401);
    },
  );
});

/** Method and path of every route, ids filled in. */
const ROUTES = [
  ...new Set(
    app.routes.filter(({ method }) => method !== "ALL").map((r) => `${r.method} ${r.path}`),
  ),
].map((route) => route.replace(/:\w+/g, "1").split(" ") as [string, string]);

const owned = ROUTES.filter(([, path]) => path !== "/health" && path !== "/").concat([
  ["GET", "/health?deep"],
]);
const inPortal = ([, path]: [string, string]) => /^\/(endpoint|event|delivery)\b/.test(path);

const secretEnv = () => newEnv({ AUTH: "jwt", AUTH_SECRET: TEST_SECRET });
const portalEnv = () => newEnv({ AUTH: "jwt", ...JWKS, PORTAL_SECRET: OTHER });
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const keysOf = (env: Bindings) => settingsOf(env).auth as Keys;
const nowS = () => Math.floor(Date.now() / 1_000);

test.each(owned)("%s %s needs a token", async (method, path) => {
  expect((await call(secretEnv(), method, path)).status).toBe(401);
});

describe.each([
  ["AUTH_SECRET", secretEnv, TEST_SECRET],
  ["PORTAL_SECRET", portalEnv, OTHER],
] as const)("a portal token signed with %s", (_, newSettings, secret) => {
  const token = (claims: Payload = {}) =>
    signHs256(
      { sub: "alice", aud: "todo-api", exp: nowS() + 60, scope: "portal", ...claims },
      { secret },
    );

  test.each(owned.filter((route) => !inPortal(route)))(
    "does not open %s %s",
    async (method, path) => {
      const env = newSettings();
      const before = await state(env);
      for (const scope of ["portal", "portal operator", "operator portal", "openid portal"]) {
        count.portal++;
        const body = method === "GET" ? undefined : { item: "x" };
        const reply = await call(env, method, path, body, bearer(await token({ scope })));
        if (reply.status !== 403) count.letThrough++;
        expect(reply).toMatchObject({
          status: 403,
          body: { error: expect.stringContaining("/endpoint, /event and /delivery") },
        });
      }
      expect(await state(env)).toEqual(before);
    },
  );

  test.each(owned.filter(inPortal))("opens %s %s", async (method, path) => {
    const env = newSettings();
    const made = await mintPortalToken(env, "alice", 60);
    const { status } = await call(env, method, path, undefined, bearer(made));
    expect([401, 403]).not.toContain(status);
  });

  test.each([
    "/endpoint/../todo",
    "/endpoint/%2e%2e/todo",
    "/event/..%2ftodo",
    "//endpoint/",
    "/endpoints",
  ])("opens nothing else by way of %s", async (path) => {
    count.portal++;
    const { status } = await call(newSettings(), "GET", path, undefined, bearer(await token()));
    if (status < 300) count.letThrough++;
    expect([403, 404]).toContain(status);
  });

  test("is never an operator's, whatever else its scope says", async () => {
    for (const scope of ["portal operator", "operator portal"]) {
      const caller = await verifyToken(keysOf(newSettings()), await token({ scope }));
      expect(caller).toEqual({ owner: "alice", portal: true, operator: false });
    }
  });

  test("is its owner's, and expires on time", async () => {
    const env = newSettings();
    const claims = JSON.parse(atob((await mintPortalToken(env, "alice", 90)).split(".")[1] ?? ""));
    expect(claims).toMatchObject({ sub: "alice", scope: "portal" });
    expect(claims.exp - claims.iat).toBe(90);
    expect(Math.abs(claims.iat - nowS())).toBeLessThan(5);
    const late = await token({ exp: nowS() - 61 });
    expect((await call(env, "GET", "/event", undefined, bearer(late))).body.error).toMatch(
      /expired/,
    );
  });

  test("cannot be altered to name another subject", async () => {
    const [header, , signature] = (await token()).split(".");
    const payload = base64Url(JSON.stringify({ sub: "bob", exp: nowS() + 60 }));
    const sent = bearer(`${header}.${payload}.${signature}`);
    expect((await call(newSettings(), "GET", "/event", undefined, sent)).status).toBe(401);
  });
});

describe("PORTAL_SECRET beside AUTH_JWKS_URL", () => {
  test.each([
    ["without scope", undefined],
    ["with another scope", "operator"],
    ["with a scope that starts alike", "portals"],
    ["with an empty scope", ""],
  ])("signs only portal tokens: one %s is refused", async (_, scope) => {
    count.portal++;
    const sent = await as("alice", { aud: "todo-api", scope }, OTHER);
    const { status } = await call(portalEnv(), "GET", "/event", undefined, sent);
    if (status < 300) count.letThrough++;
    expect(status).toBe(401);
  });

  test("if unset, no portal token is made or accepted, and an error says what to set", async () => {
    const env = newEnv({ AUTH: "jwt", ...JWKS });
    await expect(mintPortalToken(env, "alice", 60)).rejects.toThrow(/PORTAL_SECRET/);
    for (const secret of ["", TEST_SECRET, OTHER].filter(Boolean)) {
      const sent = await as("alice", { aud: "todo-api", scope: "portal" }, secret);
      expect((await call(env, "GET", "/event", undefined, sent)).status).toBe(401);
    }
  });
});

/** What a route added later would see. */
async function later(env: Bindings, token: string): Promise<{ status: number; body: unknown }> {
  const late = newApp()
    .use(async (c, next) => {
      await authenticate(c);
      await next();
    })
    .get("/later", (c) => c.json({ owner: c.get("owner"), operator: c.get("operator") }));
  late.onError(onError);
  const reply = await late.request("http://localhost/later", bearer(token), env);
  return { status: reply.status, body: await reply.json() };
}

describe("a route added later", () => {
  test.each<[scope: unknown, operator: boolean]>([
    [undefined, false],
    ["operator", true],
    ["openid operator", true],
    ["operators", false],
    ["read:operator", false],
    ["", false],
    [7, false],
    [{ operator: true }, false],
  ])("is open to a token with scope %j; operator: %s", async (scope, operator) => {
    const token = await mintToken(secretEnv(), "alice", { expiresInS: 60, scope: scope as string });
    expect(await later(secretEnv(), token)).toEqual({
      status: 200,
      body: { owner: "alice", operator },
    });
  });

  test("is closed to portal tokens", async () => {
    const token = await mintPortalToken(secretEnv(), "alice", 60);
    expect((await later(secretEnv(), token)).status).toBe(403);
  });

  test("sees no operator while AUTH is open", async () => {
    expect(await later(newEnv({ AUTH: "open" }), "none")).toMatchObject({
      body: { owner: "default", operator: false },
    });
  });
});

test.each([
  ["alice", true],
  ["a b", true],
  ["a".repeat(255), true],
  ["", false],
  ["a".repeat(256), false],
  [" a", false],
  ["a\u0085", false],
  [undefined, false],
  [["alice"], false],
])("%j may be an owner: %s", (sub, may) => {
  expect(isOwner(sub)).toBe(may);
});
