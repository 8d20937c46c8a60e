/** Rate limit, CORS, headers and methods: what every route has in common. */
import { describe, expect, test } from "vitest";
import { app } from "../../src/app.ts";
import { RATE_LIMIT_PERIOD_S } from "../../src/auth.ts";
import { BODY_MAX_BYTES } from "../../src/body.ts";
import type { Bindings } from "../../src/settings.ts";
import { as, TEST_SECRET } from "../support/token.ts";
import { call, newEnv, state } from "../support/worker.ts";

/** Every path of the API with its methods, ids filled in. */
const PATHS = [...new Set(app.routes.filter(({ method }) => method !== "ALL").map(pathOf))];
const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"];

function pathOf({ path }: { path: string }): string {
  return path.replace(/:\w+/g, "1");
}

/** Whether any route takes this, one with an id in its path included: /endpoint/sync is also /endpoint/:id. */
function takes(method: string, path: string): boolean {
  return app.routes.some(
    (route) =>
      route.method === method && new RegExp(`^${route.path.replace(/:\w+/g, "[^/]+")}$`).test(path),
  );
}

describe("rate limit", () => {
  const KEYED = PATHS.filter((path) => !/^\/(health.*)?$/.test(path));

  /** Bindings whose limit is used up for these owners, and the keys that were checked. */
  function limited(owners: string[]): { env: Bindings; asked: string[] } {
    const asked: string[] = [];
    const limit = async ({ key }: { key: string }) => {
      asked.push(key);
      return { success: !owners.includes(key) };
    };
    return { env: { ...newEnv(), RATE_LIMIT: { limit } as RateLimit }, asked };
  }

  test.each(KEYED)("%s answers 429 with Retry-After once the limit is used up", async (path) => {
    const { env, asked } = limited(["default"]);
    const method = METHODS.find((one) => takes(one, path)) ?? "GET";
    const before = await state(env);
    const reply = await call(env, method, path, method === "GET" ? undefined : {});
    expect(reply.status).toBe(429);
    expect(reply.headers.get("Retry-After")).toBe(String(RATE_LIMIT_PERIOD_S));
    expect(reply.body).toEqual({ error: expect.stringContaining("Too many requests") });
    expect(asked).toEqual(["default"]);
    expect(await state(env)).toEqual(before);
  });

  test("each owner has its own limit", async () => {
    const { env, asked } = limited(["noisy"]);
    Object.assign(env, { AUTH: "jwt", AUTH_SECRET: TEST_SECRET });
    expect((await call(env, "GET", "/todo", undefined, await as("noisy"))).status).toBe(429);
    expect((await call(env, "GET", "/todo", undefined, await as("quiet"))).status).toBe(200);
    expect(asked).toEqual(["noisy", "quiet"]);
  });

  test("a caller without a token uses up nobody's limit", async () => {
    const { env, asked } = limited([]);
    Object.assign(env, { AUTH: "jwt", AUTH_SECRET: TEST_SECRET });
    expect((await call(env, "GET", "/todo")).status).toBe(401);
    expect(asked).toEqual([]);
  });

  test("without the binding there is no limit", async () => {
    const env = newEnv();
    expect(env.RATE_LIMIT).toBeUndefined();
    expect((await call(env, "GET", "/todo")).status).toBe(200);
  });

  test("/health has no limit", async () => {
    expect((await call(limited(["default"]).env, "GET", "/health")).status).toBe(200);
  });
});

describe("CORS", () => {
  const ask = (CORS_ORIGINS: string | undefined, origin: string, method = "GET") =>
    call(newEnv(CORS_ORIGINS === undefined ? {} : { CORS_ORIGINS }), method, "/todo", undefined, {
      headers: { origin, "Access-Control-Request-Method": "POST" },
    });
  const allowed = "Access-Control-Allow-Origin";

  test.each([
    ["https://app.test", "https://app.test"],
    ["https://a.test, https://app.test", "https://app.test"],
    ["https://app.test:8443", "https://app.test:8443"],
  ])("%j lets %s read", async (setting, origin) => {
    const reply = await ask(setting, origin);
    expect(reply.headers.get(allowed)).toBe(origin);
    expect(reply.headers.get("Access-Control-Expose-Headers")).toContain("X-Event-Id");
    expect(reply.headers.get("Vary")).toContain("Origin");
  });

  test.each([
    [undefined, "https://app.test"],
    ["", "https://app.test"],
    ["", "null"],
    ["https://app.test", "https://evil.test"],
    ["https://app.test", "https://app.test.evil.test"],
    ["https://app.test", "http://app.test"],
    ["https://app.test", "https://sub.app.test"],
    ["https://app.test", "null"],
  ])("%j does not let %s read", async (setting, origin) => {
    for (const method of ["GET", "OPTIONS"]) {
      expect((await ask(setting, origin, method)).headers.has(allowed)).toBe(false);
    }
  });

  test("a preflight from a named origin needs no token", async () => {
    const env = newEnv({ AUTH: "jwt", AUTH_SECRET: TEST_SECRET, CORS_ORIGINS: "https://app.test" });
    const headers = {
      origin: "https://app.test",
      "Access-Control-Request-Method": "PUT",
      "Access-Control-Request-Headers": "authorization, content-type",
    };
    for (const path of PATHS) {
      const reply = await call(env, "OPTIONS", path, undefined, { headers });
      expect(reply.status).toBe(204);
      expect(reply.headers.get("Access-Control-Allow-Methods")).toContain("PUT");
      expect(reply.headers.get("Access-Control-Allow-Headers")).toMatch(/authorization/i);
    }
  });

  test("errors can be read, too", async () => {
    const headers = { origin: "https://app.test" };
    for (const [AUTH, method, path, status] of [
      ["jwt", "GET", "/todo", 401],
      ["open", "GET", "/nothing", 404],
      ["open", "PATCH", "/todo", 405],
      ["open", "POST", "/todo", 415],
      ["wrong", "GET", "/todo", 503],
    ] as const) {
      const env = newEnv({ AUTH, AUTH_SECRET: TEST_SECRET, CORS_ORIGINS: "https://app.test" });
      const reply = await call(env, method, path, undefined, { headers });
      expect([reply.status, reply.headers.get(allowed)]).toEqual([status, "https://app.test"]);
    }
  });
});

describe("headers", () => {
  test.each([
    ["GET", "/todo", 200],
    ["GET", "/todo/1", 404],
    ["GET", "/nothing", 404],
    ["PATCH", "/todo", 405],
    ["POST", "/todo", 415],
    ["GET", "/health", 200],
  ] as const)(
    "%s %s (%d) has a request id and the browser's safety headers",
    async (method, path, status) => {
      const reply = await call(newEnv(), method, path);
      expect(reply.status).toBe(status);
      expect(reply.headers.get("X-Request-Id")).toMatch(/^[\w-]{8,255}$/);
      expect(reply.headers.get("X-Content-Type-Options")).toBe("nosniff");
      expect(reply.headers.get("X-Frame-Options")).toBe("SAMEORIGIN");
      expect(reply.headers.get("Referrer-Policy")).toBe("no-referrer");
      expect(reply.headers.has("X-Powered-By")).toBe(false);
    },
  );

  const wanted = PATHS.filter((path) => path !== "/health" && path !== "/");
  test.each([...wanted, "/health?deep", "/nothing"])(
    "no answer of %s may be cached, good or bad",
    async (path) => {
      const env = newEnv({ AUTH: "jwt", AUTH_SECRET: TEST_SECRET });
      const good = await as("alice");
      for (const method of new Set(["GET", METHODS.find((one) => takes(one, path)) ?? "PATCH"])) {
        for (const reply of [
          await call(env, method, path, method === "GET" ? undefined : {}, good),
          await call(env, method, path, method === "GET" ? undefined : "{", good),
          await call(env, method, path),
          await call({ ...env, AUTH_SECRET: "" }, method, path),
        ]) {
          const { status, headers } = reply;
          expect([status, headers.get("Cache-Control")]).toEqual([status, "no-store"]);
        }
      }
    },
  );

  test.each(["abc-123", "0198f1c6-7d1b-7aa0-8000-000000000000", "a".repeat(255)])(
    "the caller's request id %s is returned",
    async (id) => {
      const reply = await call(newEnv(), "GET", "/todo/1", undefined, {
        headers: { "X-Request-Id": id },
      });
      expect(reply.headers.get("X-Request-Id")).toBe(id);
    },
  );

  test.each(["a".repeat(256), "a b", "<script>", "a;b"])(
    "an invalid request id (%s) is replaced",
    async (id) => {
      const reply = await call(newEnv(), "GET", "/todo/1", undefined, {
        headers: { "X-Request-Id": id },
      });
      expect(reply.headers.get("X-Request-Id")).not.toBe(id);
      expect(reply.headers.get("X-Request-Id")).toMatch(/^[\w-]{8,255}$/);
    },
  );
});

describe("methods", () => {
  test.each(PATHS)("%s answers any other than its own with a 405 that names them", async (path) => {
    for (const method of METHODS.filter((one) => !takes(one, path))) {
      const reply = await call(newEnv(), method, path, method === "GET" ? undefined : {});
      expect([method, reply.status]).toEqual([method, 405]);
      const allow = (reply.headers.get("Allow") ?? "").split(", ");
      for (const one of METHODS)
        expect([one, allow.includes(one)]).toEqual([one, takes(one, path)]);
      expect(reply.body.error).toContain(reply.headers.get("Allow"));
    }
  });

  test.each(["/nothing", "/todos", "/todo/1/2", "/endpoint/1/nothing", "/event/1/2"])(
    "%s is a 404 for every method",
    async (path) => {
      for (const method of METHODS) {
        expect((await call(newEnv(), method, path)).status).toBe(404);
      }
    },
  );
});

describe("bodies", () => {
  const posts = app.routes.filter(({ method }) => method === "POST" || method === "PUT");

  test.each([...new Set(posts.map((route) => `${route.method} ${pathOf(route)}`))])(
    "%s answers 413 to a body over the limit",
    async (route) => {
      const [method = "", path = ""] = route.split(" ");
      const body = JSON.stringify({ item: "a".repeat(BODY_MAX_BYTES) });
      const reply = await call(newEnv(), method, path, body);
      expect(reply.status).toBe(413);
      expect(reply.body.error).toContain(String(BODY_MAX_BYTES));
    },
  );
});
