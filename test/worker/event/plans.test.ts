/** No statement that a route or the cron sends to D1 reads the whole log. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Bindings } from "../../../src/config.ts";
import { todoKey } from "../../../src/todo/kv.ts";
import { passTime } from "../../support/cut-worker.ts";
import { idOf, leaveBehind } from "../../support/events.ts";
import { acceptance, refusalOf } from "../../support/operations.ts";
import { scripted } from "../../support/scripted-convoy.ts";
import { call, cron, newEndpoint, newEnv } from "../../support/worker.ts";

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "log").mockImplementation(() => {});
});
afterEach(() => void vi.useRealTimers());

type Sent = { sql: string; values: unknown[]; rowsRead: number };

/** The bindings, and each statement on the log with its values and how many rows it read. */
function spied(env: Bindings): { env: Bindings; sent: Sent[] } {
  const sent: Sent[] = [];
  type Traced = { sql: string; values: unknown[]; made: D1PreparedStatement };
  const keep = ({ sql, values }: Traced, { meta }: D1Result) => {
    if (/\bevent\b/.test(sql)) sent.push({ sql, values, rowsRead: meta.rows_read });
  };
  const prepare = (sql: string): D1PreparedStatement =>
    traced({ sql, values: [], made: env.DB.prepare(sql) });
  const traced = (one: Traced): D1PreparedStatement =>
    ({
      one,
      bind: (...values: unknown[]) => traced({ ...one, values, made: one.made.bind(...values) }),
      async all() {
        const result = await one.made.all();
        keep(one, result);
        return result;
      },
      run: () => traced(one).all(),
      // D1's own first returns no meta.
      first: async () => (await traced(one).all()).results[0] ?? null,
    }) as unknown as D1PreparedStatement;
  const batch = async (all: { one: Traced }[]) => {
    const results = await env.DB.batch(all.map(({ one }) => one.made));
    for (const [index, { one }] of all.entries()) keep(one, results[index] as D1Result);
    return results;
  };
  return { env: { ...env, DB: { prepare, batch } as unknown as D1Database }, sent };
}

const DAY_MS = 86_400_000;
const BUDGET = { SUBREQUEST_BUDGET: "1000" };

/** Empties the log and resets the cron. */
async function empty(env: Bindings): Promise<void> {
  await env.DB.batch(
    [
      "DELETE FROM event",
      "DELETE FROM sqlite_sequence",
      "DELETE FROM cron_state",
      "INSERT INTO cron_state (id) VALUES (1)",
    ].map((sql) => env.DB.prepare(sql)),
  );
}

/** A log of `size` events, nearly all confirmed; of each other kind, ten are among the oldest and ten among the newest. */
async function logOf(env: Bindings, size: number): Promise<void> {
  const now = Date.now();
  const due_at = now + DAY_MS;
  const done = { state: "confirmed", accepted_at: now - DAY_MS, finished_at: now, due_at: null };
  await leaveBehind(env, size, (n) => {
    const owner = n % 10 ? "default" : "other";
    const todo = { todo_id: n % 500, occurred_at: now, owner };
    const place = n <= size / 2 ? n : size - n + 1;
    if (place <= 10) return { ...todo, attempts: place, due_at };
    if (place <= 20) return { ...todo, state: "accepted", accepted_at: now, due_at };
    if (place <= 30) return { ...todo, ...done, state: "dead" };
    if (place <= 40) return { ...todo, ...done, stored: 0, due_at, finished_at: null };
    return { ...todo, ...done };
  });
}

const FILTERS = [
  ...["", "limit=1", "state=pending", "state=accepted", "state=confirmed", "state=dead"],
  ...["type=ping", "type=created&state=dead", "endpoint=none", "state=dead&limit=2"],
];

/** Calls every route that uses the log, and the cron: idle, with all kinds of work, failing, purging. */
async function useAll(base: Bindings): Promise<Sent[]> {
  const endpoint = await newEndpoint(base);
  let works = true;
  const convoy = scripted(base, {
    post: () => (works ? acceptance() : refusalOf(500, "")),
    list: (query) => ({
      events: query.has("idempotencyKey") ? [] : [{ idempotency_key: idOf(12) }],
    }),
  });
  const { env, sent } = spied(convoy.env);
  await call(env, "POST", "/todo", { id: 9_998, item: "x" });
  await base.KV.delete(todoKey("default", 9_998));
  await call(env, "POST", "/todo", { id: 9_999, item: "x" });
  await call(env, "PUT", "/todo/9999", { item: "y" });
  await call(env, "PUT", "/todo/77777", { item: "y" });
  await call(env, "PUT", `/todo/77777?endpoint=${endpoint}`, { item: "y" });
  await call(env, "DELETE", "/todo/9999");
  await call(env, "POST", `/endpoint/${endpoint}/ping`);
  for (const query of FILTERS) {
    for (const cursor of ["", "&cursor=400"]) {
      expect((await call(env, "GET", `/event?${query}${cursor}`)).status).toBe(200);
    }
  }
  await call(env, "GET", `/event/${idOf(1)}`);
  await call(env, "GET", "/health?deep");
  await call(env, "POST", `/event/${idOf(25)}/replay`);
  await call(env, "POST", "/event/replay", { state: "dead" });
  await cron(env);
  const makeDue = base.DB.prepare(
    `UPDATE event SET due_at = 1, occurred_at = 1, attempts = 20, lookups = seq % 2
     WHERE (state IN ('pending', 'accepted') OR stored = 0) AND seq <= 40`,
  );
  await makeDue.run();
  await cron({ ...env, WALK_DELAY_S: "0" });
  works = false;
  await makeDue.run();
  await cron(env);
  passTime(9 * DAY_MS);
  for (let run = 0; run < 2; run++) await cron(env);
  vi.useRealTimers();
  return sent;
}

test("no statement reads much more of a log of 12,000 events than of one of 3,000", async () => {
  const most = new Map<string, { small: number; large: number }>();
  for (const [size, count] of [
    ["small", 3_000],
    ["large", 12_000],
  ] as const) {
    const env = newEnv(BUDGET);
    await empty(env);
    await logOf(env, count);
    for (const { sql, rowsRead } of await useAll(env)) {
      const seen = most.get(sql) ?? { small: 0, large: 0 };
      most.set(sql, { ...seen, [size]: Math.max(seen[size], rowsRead) });
    }
  }
  // A statement that is not sent proves nothing.
  expect(most.size).toBeGreaterThanOrEqual(30);
  const growing = [...most].filter(([, { small, large }]) => large > small * 1.2 + 10);
  expect(growing).toEqual([]);
});

test("no statement scans the log, except up to a LIMIT", async () => {
  const env = newEnv(BUDGET);
  await logOf(env, 100);
  const statements = new Map((await useAll(env)).map(({ sql, values }) => [sql, values]));
  const scanning: string[] = [];
  for (const [sql, values] of statements) {
    const explained = env.DB.prepare(`EXPLAIN QUERY PLAN ${sql}`).bind(...values);
    const plan = (await explained.all<{ detail: string }>()).results.map(({ detail }) => detail);
    const names = [...sql.matchAll(/\bevent AS (\w+)/g)].map(([, name]) => name);
    const scans = plan.filter((step) =>
      [...names, "event"].some((name) => step === `SCAN ${name}`),
    );
    const ended = sql.match(/FROM event ORDER BY seq (DESC )?LIMIT/g) ?? [];
    if (scans.length > ended.length) scanning.push(sql);
  }
  expect(statements.size).toBeGreaterThanOrEqual(30);
  expect(scanning).toEqual([]);
});
