/** What becomes of an event in waitUntil: every answer of Convoy, and whose row it is. */
import { describe, expect, test, vi } from "vitest";
import { sleep } from "../../../src/time.ts";
import { acceptance, around, refusalOf, withConvoy } from "../../support/operations.ts";
import { accepted, call, log, newEndpoint, newEnv } from "../../support/worker.ts";

const POSTGRES =
  "failed to connect to `user=convoy database=convoy`: 127.0.0.1:5432 (127.0.0.1): server error: FATAL: sorry, too many clients already (SQLSTATE 53300)";
const REDIS = "UNKNOWN: redis eval error: dial tcp 127.0.0.1:6379: connect: connection refused";

type Failure = [name: string, answer: () => Response, error: string];
const failures: Failure[] = [
  ["400 with Postgres down (recorded)", () => refusalOf(400, POSTGRES), "Convoy answered 400"],
  ["400 with Redis down (recorded)", () => refusalOf(400, REDIS), "Convoy answered 400"],
  [
    "401",
    () => refusalOf(401, "authorization failed"),
    "Convoy answered 401: authorization failed",
  ],
  ["403", () => refusalOf(403, "Access denied"), "Convoy answered 403: Access denied"],
  ["404 of a wrong project", () => refusalOf(404, "project not found"), "Convoy answered 404"],
  ["500", () => refusalOf(500, "an internal error"), "Convoy answered 500"],
  [
    "502 of a proxy",
    () => new Response("<h1>Bad gateway</h1>", { status: 502 }),
    "Convoy answered 502",
  ],
  ["200 of a captive portal", () => new Response("<h1>Log in</h1>"), "Convoy answered 200"],
  ["200 that says false", () => refusalOf(200, "no"), "Convoy answered 200"],
  ["a redirect", () => Response.redirect("http://elsewhere.test/", 302), "Convoy answered 302"],
  [
    "no connection",
    () => {
      throw new TypeError("fetch failed");
    },
    "Convoy not reachable",
  ],
  [
    "a timeout",
    () => {
      throw new DOMException("", "TimeoutError");
    },
    "Convoy did not answer in time",
  ],
];

describe("a failure that may be the gateway's", () => {
  test.each(failures)(
    "%s: three tries, then it stays pending, due at once, with no try counted",
    async (_, answer, error) => {
      const env = newEnv();
      let posts = 0;
      const broken = withConvoy(env, () => {
        posts++;
        return answer();
      });
      expect((await call(broken, "POST", "/todo", { id: 1, item: "x" })).status).toBe(201);
      expect(posts).toBe(3);
      expect(vi.mocked(sleep).mock.calls).toEqual([[1_000], [4_000]]);
      const [row] = await log(env);
      expect(row).toMatchObject({ state: "pending", attempts: 0, stored: 1, error });
      expect(row?.due_at).toBeLessThanOrEqual(Date.now());
    },
  );

  test("it is posted again under the same key, and one success ends it", async () => {
    const env = newEnv();
    const keys: string[] = [];
    const flaky = withConvoy(env, async (request) => {
      const { idempotency_key } = (await request.json()) as { idempotency_key: string };
      keys.push(idempotency_key);
      return keys.length < 3 ? refusalOf(500, "") : acceptance();
    });
    const { headers } = await call(flaky, "POST", "/todo", { id: 1, item: "x" });
    expect(keys).toEqual(Array(3).fill(headers.get("X-Event-Id")));
    expect(await log(env)).toMatchObject([{ state: "accepted", error: null, attempts: 0 }]);
  });

  test.each([
    ["in seconds", "120", 120_000],
    ["longer than an hour", "999999", 3_600_000],
  ])("Retry-After %s is honoured: one try, and due then", async (_, after, waitMs) => {
    const env = newEnv();
    let posts = 0;
    const busy = withConvoy(env, () => {
      posts++;
      return refusalOf(429, "too many requests", { "Retry-After": after });
    });
    const before = Date.now();
    await call(busy, "POST", "/todo", { id: 1, item: "x" });
    expect(posts).toBe(1);
    const [row] = await log(env);
    expect(row).toMatchObject({ state: "pending", attempts: 0 });
    expect(row?.due_at).toBeGreaterThanOrEqual(before + waitMs);
    expect(row?.due_at).toBeLessThanOrEqual(Date.now() + waitMs);
  });

  test.each(["0", "-5", "soon", "Thu, 01 Jan 1970 00:00:00 GMT", "1e3"])(
    "Retry-After %j is none",
    async (after) => {
      const env = newEnv();
      let posts = 0;
      const busy = withConvoy(env, () => {
        posts++;
        return refusalOf(503, "", { "Retry-After": after });
      });
      await call(busy, "POST", "/todo", { id: 1, item: "x" });
      expect(posts).toBe(3);
    },
  );
});

describe("a failure that is the event's", () => {
  test("413 is dead at once", async () => {
    const env = newEnv();
    let posts = 0;
    const small = withConvoy(env, () => {
      posts++;
      return refusalOf(413, "request body too large");
    });
    await call(small, "POST", "/todo", { id: 1, item: "x" });
    expect(posts).toBe(1);
    expect(await log(env)).toMatchObject([
      { state: "dead", due_at: null, stored: 1, error: "Convoy answered 413" },
    ]);
  });

  const missing = () => refusalOf(400, "endpoint not found");

  test("an endpoint that neither Convoy nor D1 knows is dead at once", async () => {
    const env = newEnv();
    const endpoint = await newEndpoint(env);
    const gone = withConvoy(env, async () => {
      await env.DB.prepare("DELETE FROM endpoint").run();
      return missing();
    });
    await call(gone, "POST", `/todo?endpoint=${endpoint}`, { id: 1, item: "x" });
    expect(await log(env)).toMatchObject([
      { state: "dead", due_at: null, error: "Convoy answered 400: endpoint not found" },
    ]);
  });

  test("an endpoint that D1 has on record points to a wrong key or project: it stays pending, and says so", async () => {
    const env = newEnv();
    const endpoint = await newEndpoint(env);
    await call(withConvoy(env, missing), "POST", `/todo?endpoint=${endpoint}`, {
      id: 1,
      item: "x",
    });
    expect(await log(env)).toMatchObject([
      {
        state: "pending",
        attempts: 0,
        error: expect.stringMatching(/on record here: wrong CONVOY_API_KEY or CONVOY_PROJECT_ID/),
      },
    ]);
  });

  test("a fan-out that is told so is not dead: it names no endpoint", async () => {
    const env = newEnv();
    await call(withConvoy(env, missing), "POST", "/todo", { id: 1, item: "x" });
    expect(await log(env)).toMatchObject([{ state: "pending" }]);
  });
});

test("what Convoy says that may hold a secret is neither stored nor shown nor logged", async () => {
  const lines: unknown[] = [];
  for (const level of ["log", "warn", "error"] as const) {
    vi.spyOn(console, level).mockImplementation((...line) => void lines.push(line));
  }
  const env = newEnv();
  const leaky = withConvoy(env, () => refusalOf(400, "dial postgres://convoy:hunter2@db"));
  const { headers } = await call(leaky, "POST", "/todo", { id: 1, item: "x" });
  const told = await call(leaky, "GET", `/event/${headers.get("X-Event-Id")}`);
  expect(JSON.stringify([await log(env), told.body, lines])).not.toContain("hunter2");
});

test("a row that somebody else has taken over is not settled", async () => {
  const env = newEnv();
  const late = withConvoy(env, async () => {
    await env.DB.prepare("UPDATE event SET due_at = 4102444800000").run();
    return acceptance();
  });
  await call(late, "POST", "/todo", { id: 1, item: "x" });
  expect(await log(env)).toMatchObject([{ state: "pending", due_at: 4_102_444_800_000 }]);
});

test("a D1 that fails at the settling rejects nothing; the lease brings the row back", async () => {
  const env = newEnv();
  const broken = around(env, (operation, run) =>
    operation.what.includes("SET state = s.state") ? Promise.reject(new Error("lost")) : run(),
  );
  const { status } = await call(broken, "POST", "/todo", { id: 1, item: "x" });
  expect(status).toBe(201);
  const [row] = await log(env);
  expect(row?.state).toBe("pending");
  expect(row?.due_at).toBeGreaterThan(Date.now());
  expect(await accepted(env)).toHaveLength(1);
});

test("an event of a read is posted once, and a failure leaves no trace", async () => {
  const env = newEnv();
  const endpoint = await newEndpoint(env);
  let posts = 0;
  const broken = withConvoy(env, () => {
    posts++;
    return refusalOf(500, "");
  });
  await call(broken, "GET", `/todo?endpoint=${endpoint}`);
  expect(posts).toBe(1);
  expect(await log(env)).toEqual([]);
});
