/** Rate limit, CORS, headers and methods: what every route has in common. */
import { sign } from "hono/jwt";
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { app } from "../../src/app.ts";
import { type Bindings, BODY_MAX_BYTES, RATE_LIMIT_PERIOD_S } from "../../src/config.ts";
import { around } from "../support/operations.ts";
import { begin, call, cron, newEndpoint, newEnv, setFaults, state } from "../support/worker.ts";

/** Every path of the API with its methods, ids filled in. */
const PATHS = [...new Set(app.routes.filter(({ method }) => method !== "ALL").map(pathOf))];
const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"];

function pathOf({ path }: { path: string }): string {
  return path.replace(/:\w+/g, "1");
}

/** Whether a route takes this, one with an id in its path too: /endpoint/sync is also /endpoint/:id. */
function takes(method: string, path: string): boolean {
  return app.routes.some(
    (route) =>
      route.method === method && new RegExp(`^${route.path.replace(/:\w+/g, "[^/]+")}$`).test(path),
  );
}

describe("rate limit", () => {
  const KEYED = PATHS.filter((path) => !/^\/(health|openapi\.json|docs)/.test(path));

  /** Bindings whose limit is used up for the named owners, and the keys that it was asked for. */
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

  test("each owner has a limit of its own", async () => {
    const { env, asked } = limited(["noisy"]);
    Object.assign(env, { AUTH: "jwt", AUTH_SECRET: "s" });
    const exp = Math.floor(Date.now() / 1_000) + 60;
    const as = async (sub: string) => ({
      headers: { authorization: `Bearer ${await sign({ sub, exp }, "s", "HS256")}` },
    });
    expect((await call(env, "GET", "/todo", undefined, await as("noisy"))).status).toBe(429);
    expect((await call(env, "GET", "/todo", undefined, await as("quiet"))).status).toBe(200);
    expect(asked).toEqual(["noisy", "quiet"]);
  });

  test("a caller without a token uses up nobody's limit", async () => {
    const { env, asked } = limited([]);
    Object.assign(env, { AUTH: "jwt", AUTH_SECRET: "s" });
    expect((await call(env, "GET", "/todo")).status).toBe(401);
    expect(asked).toEqual([]);
  });

  test("without the binding there is no limit", async () => {
    const env = newEnv();
    expect(env.RATE_LIMIT).toBeUndefined();
    expect((await call(env, "GET", "/todo")).status).toBe(200);
  });

  test("/health is answered however many ask", async () => {
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
    ["*", "https://app.test"],
  ])("%j does not let %s read", async (setting, origin) => {
    for (const method of ["GET", "OPTIONS"]) {
      expect((await ask(setting, origin, method)).headers.has(allowed)).toBe(false);
    }
  });

  test("a preflight of a named origin is answered without a token", async () => {
    const env = newEnv({ AUTH: "jwt", AUTH_SECRET: "s", CORS_ORIGINS: "https://app.test" });
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

  test("an error can be read too", async () => {
    const headers = { origin: "https://app.test" };
    for (const [AUTH, method, path, status] of [
      ["jwt", "GET", "/todo", 401],
      ["open", "GET", "/nothing", 404],
      ["open", "PATCH", "/todo", 405],
      ["open", "POST", "/todo", 415],
      ["wrong", "GET", "/todo", 503],
    ] as const) {
      const env = newEnv({ AUTH, AUTH_SECRET: "s", CORS_ORIGINS: "https://app.test" });
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
    "%s %s (%d) has a request id and is safe in a browser",
    async (method, path, status) => {
      const reply = await call(newEnv(), method, path);
      expect(reply.status).toBe(status);
      expect(reply.headers.get("X-Request-Id")).toMatch(/^[\w-]{8,255}$/);
      expect(reply.headers.get("X-Content-Type-Options")).toBe("nosniff");
      expect(reply.headers.get("X-Frame-Options")).toBe("SAMEORIGIN");
      expect(reply.headers.get("Referrer-Policy")).toBe("no-referrer");
      expect(reply.headers.get("Strict-Transport-Security")).toMatch(/max-age/);
      expect(reply.headers.has("X-Powered-By")).toBe(false);
    },
  );

  test.each(["abc-123", "0198f1c6-7d1b-7aa0-8000-000000000000", "a".repeat(255)])(
    "the caller's request id %s comes back",
    async (id) => {
      const reply = await call(newEnv(), "GET", "/todo/1", undefined, {
        headers: { "X-Request-Id": id },
      });
      expect(reply.headers.get("X-Request-Id")).toBe(id);
    },
  );

  test.each(["a".repeat(256), "a b", "<script>", "a;b"])(
    "a request id that is none (%s) is replaced",
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
  const wrong = PATHS.flatMap((path) =>
    METHODS.filter((method) => !takes(method, path)).map((method) => [method, path] as const),
  );

  test.each(wrong)("%s %s is a 405 that names what the path takes", async (method, path) => {
    const reply = await call(newEnv(), method, path, method === "GET" ? undefined : {});
    expect(reply.status).toBe(405);
    const allow = (reply.headers.get("Allow") ?? "").split(", ");
    for (const one of METHODS) expect([one, allow.includes(one)]).toEqual([one, takes(one, path)]);
    expect(reply.body.error).toContain(reply.headers.get("Allow"));
  });

  test.each(["/", "/nothing", "/todos", "/todo/1/2", "/endpoint/1/nothing", "/event/1/2"])(
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

describe("what must not be seen", () => {
  /** Every secret of the run; none is a part of a word that may be shown. */
  const SECRETS = {
    CONVOY_API_KEY: "key-3f9a1c77e2",
    AUTH_SECRET: "auth-5b2d8e41aa",
    endpoint: "whsec-7c1e90d3bb",
    rotated: "whsec-a84f26c0dd",
  };
  const lines: string[] = [];
  let seen = 0;
  afterAll(() => console.info(`answers and log lines searched for secrets and stacks: ${seen}`));
  beforeEach(() => {
    lines.length = 0;
    for (const level of ["log", "info", "warn", "error", "debug"] as const) {
      vi.spyOn(console, level).mockImplementation((...said) => {
        lines.push(said.map(text).join(" "));
      });
    }
  });

  function text(value: unknown): string {
    if (value instanceof Error) return String(value.stack);
    return typeof value === "string" ? value : JSON.stringify(value);
  }

  function expectClean(what: string, written: string) {
    seen++;
    for (const [name, secret] of Object.entries(SECRETS)) {
      expect(written.includes(secret), `${what} shows ${name}: ${written}`).toBe(false);
    }
    expect(written, what).not.toMatch(/(\n|\\n)\s+at |\.[jt]s:\d+|\b(SELECT|INSERT|UPDATE) \w/);
  }

  /** Each route once, well and badly, by the owner of `id`. */
  async function walk(env: Bindings, headers: Record<string, string>, id: string) {
    const event = (await begin(env, "POST", "/todo", { item: "x" }, { headers })).headers;
    const ids = [id, event.get("X-Event-Id") ?? "none", "missing", "%00", "'", "a".repeat(300)];
    const bodies = [undefined, {}, "{", "null", { item: "x" }, { name: "n", url: "ftp://x" }];
    for (const { method, path } of app.routes.filter((route) => route.method !== "ALL")) {
      for (const [at, one] of ids.entries()) {
        // Rotation by the owner gives a secret: it has a test of its own.
        if (path.endsWith("/rotate-secret") && one === id) continue;
        const url = path.replace(/:\w+/g, one);
        const body = method === "GET" ? undefined : bodies[at];
        const reply = await call(env, method, `${url}?endpoint=${one}&deep`, body, { headers });
        if (reply.status === 500)
          throw new Error(`${method} ${url}: ${JSON.stringify(reply.body)}`);
        expectClean(`${method} ${url}`, JSON.stringify([...reply.headers, reply.body]));
      }
    }
  }

  async function makeEnv() {
    const { CONVOY_API_KEY: _, ...env } = newEnv({ AUTH: "jwt", AUTH_SECRET: SECRETS.AUTH_SECRET });
    const exp = Math.floor(Date.now() / 1_000) + 60;
    const token = await sign({ sub: "alice", exp }, SECRETS.AUTH_SECRET, "HS256");
    const headers = { authorization: `Bearer ${token}` };
    const fields = { name: "n", url: "https://receiver.example/", secret: SECRETS.endpoint };
    const made = await call({ ...env, CONVOY_API_KEY: "local" }, "POST", "/endpoint", fields, {
      headers,
    });
    expect(made.body.secret).toBe(SECRETS.endpoint);
    const id = made.body["Endpoint ID"] as string;
    const rotation = { secret: SECRETS.rotated };
    const path = `/endpoint/${id}/rotate-secret`;
    const rotated = await call({ ...env, CONVOY_API_KEY: "local" }, "POST", path, rotation, {
      headers,
    });
    expect(rotated.body.secret).toBe(SECRETS.rotated);
    expect(JSON.stringify(rotated.body)).not.toContain(SECRETS.endpoint);
    return { env, headers, id, token };
  }

  // The local Convoy's key is fixed: the Worker has another, which is put right on the way.
  function withKey(env: Bindings): Bindings {
    return {
      ...env,
      CONVOY_API_KEY: SECRETS.CONVOY_API_KEY,
      CONVOY: {
        fetch: (async (request: Request) => {
          expect(request.headers.get("Authorization")).toBe(`Bearer ${SECRETS.CONVOY_API_KEY}`);
          const right = new Request(request);
          right.headers.set("Authorization", "Bearer local");
          return fetch(right);
        }) as Fetcher["fetch"],
      },
    };
  }

  test("no answer and no log line of any route holds a secret, a token, a stack or a query", async () => {
    const { env, headers, id, token } = await makeEnv();
    await walk(withKey(env), headers, id);
    await cron(withKey(env));
    for (const line of lines) expectClean("the log", line);
    expect(lines.join("\n")).not.toContain(token);
  });

  test("nor where the key is refused, with a Convoy that repeats it", async () => {
    const { env, headers, id } = await makeEnv();
    await walk({ ...env, CONVOY_API_KEY: SECRETS.CONVOY_API_KEY }, headers, id);
    const repeats = `dial postgres://convoy:${SECRETS.CONVOY_API_KEY}@db ${SECRETS.endpoint}`;
    for (const status of [400, 401, 403, 404, 409, 500, 503]) {
      await setFaults(env, { status, message: repeats });
      const at = newEndpoint(withKey({ ...env, AUTH: "open" }));
      await expect(at).rejects.toThrow(/^50[23]/);
      expectClean(String(status), String(await at.catch(String)));
      await cron(withKey(env));
    }
    for (const line of lines) expectClean("the log", line);
  });

  test("nor where a store breaks in the middle, with a message that repeats it", async () => {
    const { env, headers, id } = await makeEnv();
    const message = `D1_ERROR: near "${SECRETS.AUTH_SECRET}" at SELECT x\n    at run (index.ts:1:1)`;
    const broken = around(withKey(env), async ({ on }, run) => {
      if (on === "Convoy") return run();
      throw new Error(message);
    });
    for (const path of ["/todo", "/todo/1", `/endpoint/${id}`, "/event", "/health?deep"]) {
      const reply = await call(broken, "GET", path, undefined, { headers });
      expect(reply.status).toBe(503);
      expectClean(path, JSON.stringify([...reply.headers, reply.body]));
    }
  });
});
