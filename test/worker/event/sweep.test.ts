/** The sweeper: what was left is finished once, an outage costs two probes, one bad event stops nobody. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Bindings } from "../../../src/config.ts";
import { newSweep, sweep } from "../../../src/event/sweep.ts";
import { acceptance, failing, recording, refusalOf, withConvoy } from "../../support/operations.ts";
import { accepted, call, letTimePass, log, newEnv } from "../../support/worker.ts";

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
});

/** The id of the n-th event that was left behind. */
const idOf = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`;

/** Logs `count` created events that nobody works on and that are due, in order of `due_at`. */
async function leftBehind(env: Bindings, count: number, stored: 0 | 1 = 1) {
  const ids = Array.from({ length: count }, (_, index) => index + 1);
  await env.DB.prepare(
    `INSERT INTO event (id, owner, type, todo_id, todo, stored, occurred_at, due_at)
     SELECT printf('00000000-0000-7000-8000-%012d', value), 'default', 'created', value,
       json_object('id', value, 'item', 'x', 'completed', json('false')), ?2, 0, value
     FROM json_each(?1)`,
  )
    .bind(JSON.stringify(ids), stored)
    .run();
}

const run = (env: Bindings) => sweep(newSweep(env));
const keyOf = async (request: Request) =>
  ((await request.json()) as { idempotency_key: string }).idempotency_key;

/** A Convoy that refuses the events of these keys, and the keys that it was sent. */
function refusing(
  env: Bindings,
  refused: (key: string) => boolean,
  answer = () => refusalOf(500, ""),
) {
  const posts: string[] = [];
  const broken = withConvoy(env, async (request) => {
    const key = await keyOf(request);
    posts.push(key);
    return refused(key) ? answer() : acceptance();
  });
  return { env: broken, posts };
}

test("posts and projects what was left, once, and then has nothing to do", async () => {
  const env = newEnv();
  await leftBehind(env, 7, 0);
  expect(await run(env)).toMatchObject({ claimed: 7, posted: 7, accepted: 7, open: true });
  expect(await run(env)).toMatchObject({ claimed: 0, posted: 0 });
  expect((await accepted(env)).map((one) => one.idempotency_key)).toHaveLength(7);
  expect((await call(env, "GET", "/todo")).body.data).toHaveLength(7);
  expect((await log(env)).every((row) => row.stored === 1 && row.state === "accepted")).toBe(true);
});

test("two sweepers at the same time post each event once", async () => {
  const env = newEnv();
  await leftBehind(env, 12);
  const reports = await Promise.all([run(env), run(env)]);
  expect(reports.reduce((sum, { posted }) => sum + posted, 0)).toBe(12);
  const keys = (await accepted(env)).map((one) => one.idempotency_key);
  expect(keys).toHaveLength(12);
  expect(new Set(keys).size).toBe(12);
});

test("what is leased, or due later, is left alone", async () => {
  const env = newEnv();
  await leftBehind(env, 2);
  await env.DB.prepare("UPDATE event SET due_at = 9e15 WHERE seq = 1").run();
  expect(await run(env)).toMatchObject({ claimed: 1, posted: 1 });
});

test("posts at most five at a time", async () => {
  const env = newEnv();
  await leftBehind(env, 30);
  let [now, most] = [0, 0];
  const counting = withConvoy(env, async () => {
    most = Math.max(most, ++now);
    await new Promise((resolve) => setTimeout(resolve));
    now--;
    return acceptance();
  });
  await run(counting);
  expect(most).toBe(5);
});

describe("a gateway that is down", () => {
  test("costs two probes of different events, and no try is counted", async () => {
    const base = newEnv();
    await leftBehind(base, 20);
    const { env, posts } = refusing(base, () => true);
    const before = Date.now();
    expect(await run(env)).toMatchObject({ posted: 2, accepted: 0, open: false });
    expect(new Set(posts).size).toBe(2);
    const rows = await log(env);
    expect(rows.every((row) => row.state === "pending" && row.attempts === 0)).toBe(true);
    // The probes are due in a minute, the others before them: they probe next.
    for (const row of rows) {
      const wait = posts.includes(row.id) ? 60_000 : 50_000;
      expect(row.due_at).toBeGreaterThanOrEqual(before + wait);
      expect(row.due_at).toBeLessThanOrEqual(Date.now() + wait);
    }
  });

  test("does not keep KV from being made right", async () => {
    const base = newEnv();
    await leftBehind(base, 20, 0);
    const { env, posts } = refusing({ ...base, SUBREQUEST_BUDGET: "200" }, () => true);
    await run(env);
    expect(posts).toHaveLength(2);
    expect((await log(env)).every((row) => row.stored === 1)).toBe(true);
  });

  test("gets its whole backlog, each once, when it is back", async () => {
    const base = newEnv();
    await leftBehind(base, 20);
    const { env } = refusing(base, () => true);
    for (let minute = 0; minute < 5; minute++) {
      await run(env);
      await letTimePass(env);
    }
    expect(await run(base)).toMatchObject({ accepted: 20 });
    expect(await accepted(base)).toHaveLength(20);
    expect((await log(base)).every((row) => row.attempts === 0)).toBe(true);
  });

  test("that asks for time gets it, for all that is pending, after one post", async () => {
    const base = newEnv();
    await leftBehind(base, 60);
    const after = () => refusalOf(429, "", { "Retry-After": "600" });
    const { env, posts } = refusing(base, () => true, after);
    const before = Date.now();
    expect(await run(env)).toMatchObject({ posted: 1, open: false });
    expect(posts).toHaveLength(1);
    const rows = await log(env);
    expect(rows.every((row) => row.attempts === 0)).toBe(true);
    // What was claimed comes a little earlier than what was not: neither before 50 s.
    for (const row of rows) expect(row.due_at).toBeGreaterThanOrEqual(before + 50_000);
    const asked = rows.filter((row) => (row.due_at ?? 0) >= before + 600_000);
    expect(asked.length).toBeGreaterThanOrEqual(60 - 45);
  });
});

describe("a poisonous event", () => {
  test("does not stop the others, and its tries count with growing waits", async () => {
    const base = newEnv();
    await leftBehind(base, 10);
    const { env } = refusing(base, (key) => key === idOf(4));
    expect(await run(env)).toMatchObject({ posted: 10, accepted: 9, open: true });
    const bad = (await log(env)).find((row) => row.id === idOf(4));
    expect(bad).toMatchObject({ state: "pending", error: "Convoy answered 500" });
    // Blamed unless it was the one probe before anything had got through.
    const others = (await log(env)).filter((row) => row.id !== idOf(4));
    expect(others.every((row) => row.state === "accepted" && row.attempts === 0)).toBe(true);
  });

  test("is dead after its tries and its age, with Convoy's reason, and can be replayed", async () => {
    const base = { ...newEnv(), EVENT_MAX_TRIES: "2", EVENT_MAX_AGE_H: "0" };
    await leftBehind(base, 8);
    const { env } = refusing(base, (key) => key === idOf(8));
    for (let minute = 0; minute < 6; minute++) {
      await run(env);
      await letTimePass(env);
      // Something else has to get through for it to be blamed.
      await env.DB.prepare(
        `INSERT INTO event (id, owner, type, stored, occurred_at, due_at)
         VALUES (?1, 'default', 'ping', NULL, 0, 0), (?1 || 'b', 'default', 'ping', NULL, 0, 0)`,
      )
        .bind(`ping ${minute}`)
        .run();
    }
    const bad = (await log(env)).find((row) => row.id === idOf(8));
    expect(bad).toMatchObject({
      state: "dead",
      attempts: 2,
      due_at: null,
      error: "Convoy answered 500",
    });
    const reply = await call(base, "POST", `/event/${idOf(8)}/replay`);
    expect(reply.status).toBe(202);
    expect((await log(env)).find((row) => row.id === idOf(8))).toMatchObject({
      state: "accepted",
    });
    expect((await accepted(base)).map((one) => one.idempotency_key)).toContain(idOf(8));
  });

  test("alone is never blamed: it may be the gateway", async () => {
    const base = { ...newEnv(), EVENT_MAX_TRIES: "1", EVENT_MAX_AGE_H: "0" };
    await leftBehind(base, 1);
    const { env } = refusing(base, () => true);
    for (let minute = 0; minute < 3; minute++) {
      await run(env);
      await letTimePass(env);
    }
    expect(await log(env)).toMatchObject([{ state: "pending", attempts: 0 }]);
  });
});

describe("the budget", () => {
  test.each(["20", "45", "100"])(
    "of %s subrequests is never passed, and nothing claimed waits out its lease",
    async (budget) => {
      const base = { ...newEnv(), SUBREQUEST_BUDGET: budget };
      await leftBehind(base, 80, 0);
      const { env, operations } = recording(base);
      const before = Date.now();
      await run(env);
      expect(operations.length).toBeLessThanOrEqual(Number(budget));
      expect(operations.length).toBeGreaterThan(Number(budget) / 2);
      const leased = (await log(env)).filter((row) => (row.due_at ?? 0) >= before + 85_000);
      expect(leased.filter((row) => row.state === "pending")).toEqual([]);
    },
  );

  test("of 20 gets a backlog done in a few runs, each event once", async () => {
    const base = { ...newEnv(), SUBREQUEST_BUDGET: "20" };
    await leftBehind(base, 30);
    let runs = 0;
    while ((await log(base)).some((row) => row.state === "pending") && runs < 20) {
      await run(base);
      runs++;
    }
    expect(runs).toBeLessThan(6);
    expect(await accepted(base)).toHaveLength(30);
  });
});

test("KV that refuses everything keeps no event from Convoy, and is tried again within a minute", async () => {
  const env = newEnv();
  await leftBehind(env, 3, 0);
  await run(failing(env, ({ on }) => on === "KV"));
  expect(await accepted(env)).toHaveLength(3);
  const rows = await log(env);
  expect(rows.every((row) => row.stored === 0 && row.state === "accepted")).toBe(true);
  expect(rows.every((row) => (row.due_at ?? 9e15) <= Date.now() + 60_000)).toBe(true);
});

test("without settings for Convoy it makes KV right and posts nothing", async () => {
  const env = { ...newEnv(), CONVOY_API_KEY: "" };
  await leftBehind(env, 3, 0);
  expect(await run(env)).toMatchObject({ posted: 0 });
  expect(await log(env)).toMatchObject([
    { stored: 1, state: "pending", attempts: 0 },
    { stored: 1, state: "pending", attempts: 0 },
    { stored: 1, state: "pending", attempts: 0 },
  ]);
});
