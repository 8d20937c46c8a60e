/** /health: is the Worker up; with ?deep: is everything it needs. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { progressOf } from "../../src/outbox/progress.ts";
import type { Bindings } from "../../src/settings.ts";
import { failing, recording, withConvoy } from "../support/operations.ts";
import { countRows } from "../support/row-count.ts";
import { as, TEST_SECRET } from "../support/token.ts";
import { call, cron, newEndpoint, newEnv, setFaults } from "../support/worker.ts";

beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}));

const settings = { AUTH: "jwt", AUTH_SECRET: TEST_SECRET };
const deep = async (env: Bindings, owner?: string, claims = {}) =>
  call(env, "GET", "/health?deep", undefined, owner ? await as(owner, claims) : {});
const asOperator = (env: Bindings) => deep(env, "root", { scope: "operator" });

/** Creates endpoints of these owners. */
async function furnish(env: Bindings, ...owners: string[]): Promise<void> {
  for (const owner of owners) await newEndpoint(env, undefined, await as(owner));
}

async function add(env: Bindings, owner: string, times = 1): Promise<void> {
  for (let n = 0; n < times; n++) {
    const { status } = await call(env, "POST", "/todo", { item: "x" }, await as(owner));
    expect(status).toBe(201);
  }
}

test("answers anyone, without using KV, D1 or Convoy", async () => {
  const watched = recording(newEnv(settings));
  const reply = await call(watched.env, "GET", "/health");
  expect(reply).toMatchObject({ status: 200, body: { status: "ok" } });
  expect(watched.operations).toEqual([]);
});

describe("with ?deep", () => {
  test("says that all is well and nothing waits", async () => {
    const counts = { pending: 0, sending: 0, held: 0, failed: 0, dead: 0 };
    expect(await deep(newEnv())).toMatchObject({
      status: 200,
      body: {
        ...{ status: "ok", d1: "ok", kv: "ok", convoy: "ok", owners: "caller" },
        backlog: { ...counts, oldest_pending_ms: null, errors: [] },
        unprojected: { changes: 0, oldest_ms: null },
        lost_last_day: 0,
        ...{ walk_lag_ms: null, breaker: null, breaker_until: null, last_run: null },
      },
    });
  });

  test.each(["?deep", "?deep=", "?deep=1", "?deep=false"])("%s needs a token", async (query) => {
    expect((await call(newEnv(settings), "GET", `/health${query}`)).status).toBe(401);
  });

  test("is subject to the rate limit, unlike /health alone", async () => {
    const limit = async () => ({ success: false });
    const env = { ...newEnv(), RATE_LIMIT: { limit } as RateLimit };
    const watched = recording(env);
    expect((await deep(watched.env)).status).toBe(429);
    expect(watched.operations).toEqual([]);
    expect((await call(watched.env, "GET", "/health")).status).toBe(200);
  });

  test("tells each owner how many deliveries wait, since when and why, and how many were lost", async () => {
    const env = newEnv(settings);
    await furnish(env, "alice", "bob");
    await setFaults(env, { status: 413 });
    await add(env, "alice");
    await setFaults(env, { status: 500, message: "pq: do-not-show" });
    await add(env, "alice", 3);
    const ago = Date.now() - 90_000;
    await env.DB.prepare("UPDATE event SET occurred_at = ? WHERE seq = 2").bind(ago).run();
    await setFaults(env, {});

    const { body } = await deep(env, "alice");
    expect(body.backlog).toMatchObject({
      pending: 3,
      dead: 1,
      errors: [{ error: "Convoy answered 500", deliveries: 3 }],
    });
    expect(body.backlog.oldest_pending_ms).toBeGreaterThanOrEqual(90_000);
    expect(body.backlog.oldest_pending_ms).toBeLessThan(150_000);
    expect(body.lost_last_day).toBe(1);
    const others = await deep(env, "bob");
    expect(others.body.backlog).toMatchObject({ pending: 0, dead: 0, errors: [] });
    expect(others.body.lost_last_day).toBe(0);
  });

  test("counts as lost only what was in the last day", async () => {
    const env = newEnv(settings);
    await furnish(env, "alice");
    await setFaults(env, { status: 413 });
    await add(env, "alice", 2);
    const sql = "UPDATE delivery SET finished_at = ? WHERE event_seq = 1";
    await env.DB.prepare(sql)
      .bind(Date.now() - 86_400_001)
      .run();
    const { body } = await deep(env, "alice");
    expect([body.lost_last_day, body.backlog.dead]).toEqual([1, 2]);
  });
});

describe("to an operator, with ?deep", () => {
  test("sums up all owners; anyone else sees only their own", async () => {
    const env = newEnv(settings);
    await furnish(env, "alice", "bob", "carol");
    await setFaults(env, { status: 413 });
    await add(env, "alice");
    await add(env, "bob");
    await setFaults(env, { status: 500 });
    await add(env, "bob", 2);
    await add(env, "carol");
    const ago = Date.now() - 90_000;
    await env.DB.prepare("UPDATE event SET occurred_at = ? WHERE seq = 4").bind(ago).run();
    const sql = "UPDATE event SET projected = 0, due_at = 1 WHERE seq IN (2, 3)";
    await env.DB.prepare(sql).run();
    await setFaults(env, {});

    const { body } = await asOperator(env);
    expect(body).toMatchObject({
      owners: "all",
      backlog: { pending: 3, dead: 2, errors: [{ error: "Convoy answered 500", deliveries: 3 }] },
      unprojected: { changes: 2 },
      lost_last_day: 2,
    });
    expect(body.backlog.oldest_pending_ms).toBeGreaterThanOrEqual(90_000);
    expect((await deep(env, "bob")).body).toMatchObject({
      owners: "caller",
      backlog: { pending: 2, dead: 1 },
      unprojected: { changes: 2 },
      lost_last_day: 1,
    });
    expect((await deep(env, "carol")).body).toMatchObject({
      backlog: { pending: 1, dead: 0 },
      unprojected: { changes: 0 },
      lost_last_day: 0,
    });
  });

  test("says how far behind the walk is, how the breaker is, and until when Convoy asked us to wait", async () => {
    const env = newEnv(settings);
    const now = Date.now();
    const set = env.DB.prepare(
      "UPDATE cron_state SET walk_since = ?, breaker = ?, breaker_until = ?",
    );
    await set.bind(now - 3_600_000, "open", now + 60_000).run();
    const { body } = await asOperator(env);
    expect(body.walk_lag_ms).toBeGreaterThanOrEqual(3_600_000);
    const until = new Date(now + 60_000).toISOString();
    expect(body).toMatchObject({ breaker: "open", breaker_until: until });
    const nothing = { walk_lag_ms: null, breaker: null, breaker_until: null, last_run: null };
    expect((await deep(env, "alice")).body).toMatchObject(nothing);
    await set.bind(now, "closed", now - 1).run();
    const later = await asOperator(env);
    expect(later.body).toMatchObject({ breaker: "closed", breaker_until: null });
  });

  test("shows the cron's last report; nobody else sees it", async () => {
    const said: string[] = [];
    vi.spyOn(console, "log").mockImplementation((line) => void said.push(line));
    const env = newEnv(settings);
    await furnish(env, "alice");
    await setFaults(env, { status: 500 });
    await add(env, "alice");
    await setFaults(env, {});
    await cron(env);
    const { body } = await asOperator(env);
    expect(body.last_run).toMatchObject({ dispatch: { posted: 1, accepted: 1 } });
    expect(body.last_run).toEqual(JSON.parse(said[0] ?? "").cron);
    expect((await deep(env, "alice")).body.last_run).toBeNull();
  });

  test("reads few rows of a long log", async () => {
    const env = newEnv();
    const N = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)`;
    await env.DB.batch([
      env.DB.prepare(`${N} INSERT INTO event (seq, id, owner, type, occurred_at)
        SELECT i, printf('%036d', i), 'o' || (i % 50), 'ping', i FROM n`),
      env.DB.prepare(`${N} INSERT INTO delivery (event_seq, endpoint_id, owner, type, status, due_at, finished_at)
        SELECT i, 'e', 'o' || (i % 50), 'ping',
          CASE i % 1000 WHEN 0 THEN 'pending' WHEN 1 THEN 'dead' ELSE 'delivered' END,
          iif(i % 1000 = 0, 1, NULL), iif(i % 1000 = 0, NULL, 1) FROM n`),
    ]);
    for (const owner of [null, "o0"]) {
      const { db, rowsRead } = countRows(env.DB);
      const { backlog } = await progressOf(db, owner, Date.now());
      expect(backlog).toMatchObject({ pending: 20, dead: owner === null ? 20 : 0 });
      // Some for each of the forty that are counted; a scan reads 20,000.
      expect(rowsRead()).toBeLessThan(600);
    }
  });
});

const is = (store: string) => (operation: { on: string }) => operation.on === store;
test.each<[what: string, env: (env: Bindings) => Bindings | Promise<Bindings>, body: object]>([
  ["D1", (env) => failing(env, is("D1")), { d1: /D1 does not answer/, kv: "ok", backlog: null }],
  ["KV", (env) => failing(env, is("KV")), { kv: /KV does not answer/, d1: "ok" }],
  ["Convoy", (env) => failing(env, is("Convoy")), { convoy: /not reachable/, d1: "ok", kv: "ok" }],
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
  [
    "another project's key",
    (env) => ({ ...env, CONVOY_PROJECT_ID: "other" }),
    { convoy: /belongs to another project/ },
  ],
])("?deep is a 503 that names what is wrong: %s", async (_, breakIt, body) => {
  const reply = await deep(await breakIt(newEnv()));
  expect(reply).toMatchObject({ status: 503, body: { status: "degraded" } });
  for (const [field, expected] of Object.entries(body)) {
    if (expected instanceof RegExp) expect(reply.body[field]).toMatch(expected);
    else expect(reply.body[field]).toEqual(expected);
  }
  expect(JSON.stringify(reply.body)).not.toContain("do-not-show");
});

test("?deep says that the tables are missing", async () => {
  const env = newEnv();
  await env.DB.prepare("DROP TABLE event").run();
  const reply = await deep(env);
  expect(reply).toMatchObject({ status: 503, body: { d1: expect.stringMatching(/no tables/) } });
});
