/** Publishing in waitUntil: every kind of answer from Convoy, and who may settle the row. */
import { describe, expect, test, vi } from "vitest";
import { SETTLE_WAIT_MS } from "../../../src/config.ts";
import { sleep } from "../../../src/run.ts";
import { acceptance, failing, recording, refusalOf, withConvoy } from "../../support/operations.ts";
import { accepted, call, log, newEndpoint, newEnv } from "../../support/worker.ts";

const POSTGRES =
  "failed to connect to `user=convoy database=convoy`: 127.0.0.1:5432 (127.0.0.1): server error: FATAL: sorry, too many clients already (SQLSTATE 53300)";
const REDIS = "UNKNOWN: redis eval error: dial tcp 127.0.0.1:6379: connect: connection refused";

const noConvoy = (status: number) =>
  `What is at CONVOY_BASE_URL is no Convoy, or something in front of it answered ${status}: is the address right, up to /api?`;

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
  ["404 for a wrong project", () => refusalOf(404, "project not found"), "Convoy answered 404"],
  ["500", () => refusalOf(500, "an internal error"), "Convoy answered 500"],
  [
    "502 from a proxy",
    () => new Response("<h1>Bad gateway</h1>", { status: 502 }),
    "Convoy answered 502",
  ],
  ["200 from a captive portal", () => new Response("<h1>Log in</h1>"), noConvoy(200)],
  ["200 that says false", () => refusalOf(200, "no"), "Convoy answered 200"],
  ["a redirect", () => Response.redirect("http://elsewhere.test/", 302), noConvoy(302)],
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

/** The waits between posts. */
const waits = () =>
  vi.mocked(sleep).mock.calls.flatMap(([ms]) => (ms === SETTLE_WAIT_MS ? [] : [ms]));

/** A Convoy that gives every post this answer; `posts` counts them. */
function answering(answer: () => Response | Promise<Response>) {
  const base = newEnv();
  const counted = { posts: 0 };
  const env = withConvoy(base, () => {
    counted.posts++;
    return answer();
  });
  return { base, env, counted };
}

const create = (env: Parameters<typeof call>[0], query = "") =>
  call(env, "POST", `/todo${query}`, { id: 1, item: "x" });

test("a change costs two statements: its commit, and one that settles all the rest", async () => {
  const { env, operations } = recording(newEnv());
  await create(env);
  expect(operations.map(({ on }) => on)).toEqual(["KV", "D1", "KV", "Convoy", "D1"]);
  expect(await log(env)).toMatchObject([{ state: "accepted", stored: 1, attempts: 0 }]);
});

describe("a failure of any kind", () => {
  test.each(failures)(
    "%s: three posts count as one try, and the event is due at once",
    async (_, answer, error) => {
      const { env, counted } = answering(answer);
      expect((await create(env)).status).toBe(201);
      expect(counted.posts).toBe(3);
      expect(waits()).toEqual([1_000, 4_000]);
      const [row] = await log(env);
      expect(row).toMatchObject({ state: "pending", attempts: 1, stored: 1, error });
      expect(row?.due_at).toBeLessThanOrEqual(Date.now());
    },
  );

  test("is posted again under the same key, and one success ends it", async () => {
    const keys: string[] = [];
    const flaky = withConvoy(newEnv(), async (request) => {
      const { idempotency_key } = (await request.json()) as { idempotency_key: string };
      keys.push(idempotency_key);
      return keys.length < 3 ? refusalOf(500, "") : acceptance();
    });
    const { headers } = await create(flaky);
    expect(keys).toEqual(Array(3).fill(headers.get("X-Event-Id")));
    expect(await log(flaky)).toMatchObject([{ state: "accepted", error: null, attempts: 0 }]);
  });

  const inSeconds = (s: number) => String(Math.floor(Date.now() / 1_000) + s);
  test.each([
    ["in seconds", () => "120", 120_000],
    ["longer than an hour", () => "999999", 3_600_000],
    ["a date", () => new Date(Date.now() + 120_000).toUTCString(), 120_000],
    ["a UNIX time (recorded)", () => inSeconds(120), 120_000],
  ])("with Retry-After %s is posted once, and due then", async (_, after, waitMs) => {
    const { env, counted } = answering(() => refusalOf(429, "", { "Retry-After": after() }));
    const before = Date.now();
    await create(env);
    expect(counted.posts).toBe(1);
    const [row] = await log(env);
    expect(row).toMatchObject({ state: "pending", attempts: 1 });
    // A date has whole seconds.
    expect(row?.due_at).toBeGreaterThan(before + waitMs - 1_000);
    expect(row?.due_at).toBeLessThanOrEqual(Date.now() + waitMs);
  });

  test.each(["0", "-5", "soon", "Thu, 01 Jan 1970 00:00:00 GMT", inSeconds(-1)])(
    "with Retry-After %j is treated as one without",
    async (after) => {
      const { env, counted } = answering(() => refusalOf(503, "", { "Retry-After": after }));
      await create(env);
      expect(counted.posts).toBe(3);
    },
  );
});

test("a 413 makes the event dead at once", async () => {
  const { env, counted } = answering(() => refusalOf(413, "request body too large"));
  await create(env);
  expect(counted.posts).toBe(1);
  expect(await log(env)).toMatchObject([
    { state: "dead", due_at: null, stored: 1, error: "Convoy answered 413" },
  ]);
});

describe("an endpoint that Convoy does not know", () => {
  const missing = () => refusalOf(400, "endpoint not found");

  test("and D1 does not either: the event is dead at once", async () => {
    const { base, env, counted } = answering(async () => {
      await base.DB.prepare("DELETE FROM endpoint").run();
      return missing();
    });
    await create(env, `?endpoint=${await newEndpoint(base)}`);
    expect(counted.posts).toBe(1);
    expect(await log(env)).toMatchObject([
      { state: "dead", due_at: null, error: "Convoy answered 400: endpoint not found" },
    ]);
  });

  test("but D1 does: the record becomes missing, and the event is retried within a minute", async () => {
    const { base, env, counted } = answering(missing);
    const endpoint = await newEndpoint(base);
    const before = Date.now();
    await create(env, `?endpoint=${endpoint}`);
    expect(counted.posts).toBe(1);
    const [row] = await log(env);
    expect(row).toMatchObject({
      state: "pending",
      attempts: 1,
      error: expect.stringMatching(/on record here: .*CONVOY_API_KEY or CONVOY_PROJECT_ID/),
    });
    expect(row?.due_at).toBeGreaterThanOrEqual(before + 30_000);
    expect(row?.due_at).toBeLessThanOrEqual(Date.now() + 60_000);
    expect((await call(base, "GET", `/endpoint/${endpoint}`)).body.status).toBe("missing");
  });

  test("reported for a fan-out, which names no endpoint, is a failure like any other", async () => {
    const { env } = answering(missing);
    await create(env);
    expect(await log(env)).toMatchObject([{ state: "pending", attempts: 1 }]);
  });
});

test("a message from Convoy that may contain a secret is not stored, shown or logged", async () => {
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

test("a row that another worker has taken over is not settled", async () => {
  const env = newEnv();
  const late = withConvoy(env, async () => {
    await env.DB.prepare("UPDATE event SET due_at = 4102444800000").run();
    return acceptance();
  });
  await call(late, "POST", "/todo", { id: 1, item: "x" });
  expect(await log(env)).toMatchObject([{ state: "pending", due_at: 4_102_444_800_000 }]);
});

test("if D1 fails while settling, the request still succeeds and the row keeps its lease", async () => {
  const env = newEnv();
  const broken = failing(env, ({ what }) => what.includes("UPDATE event"));
  expect((await create(broken)).status).toBe(201);
  const [row] = await log(env);
  expect(row).toMatchObject({ state: "pending", stored: 0 });
  expect(row?.due_at).toBeGreaterThan(Date.now());
  expect(await accepted(env)).toHaveLength(1);
});

test("a read's event is posted once, and a failure leaves no row", async () => {
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
