/** POST /rebuild: KV from the log and the log from KV, by an operator, page by page. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { valueKey } from "../../src/outbox/store.ts";
import type { Bindings } from "../../src/settings.ts";
import { todo } from "../../src/todo/resource.ts";
import { recording } from "../support/operations.ts";
import { as, TEST_SECRET } from "../support/token.ts";
import {
  accepted,
  call,
  cron,
  letTimePass,
  log,
  logged,
  newEndpoint,
  newEnv,
  state,
} from "../support/worker.ts";

let env: Bindings;
let operator: Awaited<ReturnType<typeof as>>;
let alice: typeof operator;
beforeEach(async () => {
  vi.spyOn(console, "log").mockImplementation(() => {});
  env = newEnv({ AUTH: "jwt", AUTH_SECRET: TEST_SECRET });
  operator = await as("root", { scope: "operator" });
  alice = await as("alice");
});

const rebuild = (body: object, who = operator) => call(env, "POST", "/rebuild", body, who);
const todos = async (who = alice) => (await call(env, "GET", "/todo", undefined, who)).body.data;
const todoKey = (owner: string, id: number) => valueKey(todo, owner, String(id));
const add = (id: number, item = `todo ${id}`, who = alice) =>
  call(env, "POST", "/todo", { id, item }, who);

const OF_ALICE = { owner: "alice", resource: "todo" };

/** Calls until there is no cursor. */
async function all(body: object) {
  const data: unknown[] = [];
  let cursor: string | undefined;
  let pages = 0;
  do {
    const reply = await rebuild({ ...body, ...(cursor ? { cursor } : {}) });
    expect(reply.status).toBe(200);
    data.push(...reply.body.data);
    cursor = reply.body.cursor;
    pages++;
  } while (cursor !== undefined && pages < 20);
  return { data, pages };
}

describe("refuses", () => {
  test("anyone but an operator, and changes nothing", async () => {
    await add(1);
    const before = await state(env);
    for (const who of [alice, await as("alice", { scope: "portal operator" })]) {
      expect((await rebuild({ from: "log" }, who)).status).toBe(403);
    }
    expect(await state(env)).toEqual(before);
  });

  test.each([{}, { from: "disk" }, { from: "log", x: 1 }, { from: "kv", cursor: "nonsense" }])(
    "%j with a 400",
    async (body) => expect((await rebuild(body)).status).toBe(400),
  );
});

describe("from the log", () => {
  test("repairs todos that KV lost, has in another version, or has although they were removed", async () => {
    await newEndpoint(env, undefined, alice);
    for (const id of [1, 2, 3, 4]) await add(id);
    await call(env, "DELETE", "/todo/3", undefined, alice);
    await env.KV.delete(todoKey("alice", 1));
    const wrong = { id: 2, item: "another time", completed: true };
    const put = { metadata: { seq: 1, todo: wrong } };
    await env.KV.put(todoKey("alice", 2), JSON.stringify(wrong), put);
    await env.KV.put(todoKey("alice", 3), "{}", { metadata: { seq: 3 } });
    const dry = await all({ from: "log", dry_run: true });
    expect(dry.data).toEqual([
      { ...OF_ALICE, resource_id: "1", log: 1, kv: null },
      { ...OF_ALICE, resource_id: "2", log: 2, kv: 1 },
      { ...OF_ALICE, resource_id: "3", log: 5, kv: 3 },
    ]);
    expect(await env.KV.get(todoKey("alice", 1))).toBeNull();

    expect((await all({ from: "log" })).data).toEqual(dry.data);
    expect(await todos()).toEqual(
      [1, 2, 4].map((id) => ({ id, item: `todo ${id}`, completed: false })),
    );
    expect((await all({ from: "log" })).data).toEqual([]);
    // Repairing KV sends no events.
    expect(await accepted(env)).toHaveLength(5);
  });

  test("leaves alone a todo that the log has forgotten", async () => {
    await add(1);
    await env.DB.prepare("DELETE FROM event").run();
    expect(await all({ from: "log" })).toMatchObject({ data: [] });
    expect(await todos()).toHaveLength(1);
  });

  test("restores 250 lost todos of several owners, each call within its budget", async () => {
    const fill = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250)
      INSERT INTO event (id, owner, type, occurred_at, resource, resource_id, change, data, projected)
      SELECT printf('0%07x-0000-7000-8000-%012x', i, i), 'o' || (i % 3), 'created', 1, 'todo', i, 'create',
        json_object('id', i, 'item', 'x', 'completed', json('false')), 1 FROM n`;
    await env.DB.prepare(fill).run();
    const { env: watched, operations } = recording(env);
    let found = 0;
    let cursor: string | undefined;
    do {
      operations.length = 0;
      const body = { from: "log", ...(cursor ? { cursor } : {}) };
      const reply = await call(watched, "POST", "/rebuild", body, operator);
      expect(operations.length).toBeLessThanOrEqual(50);
      found += reply.body.data.length;
      cursor = reply.body.cursor;
    } while (cursor !== undefined);
    expect(found).toBe(250);
    // The cron does what a call's budget was too small for.
    env.SUBREQUEST_BUDGET = "5000";
    await cron(env);
    expect((await env.KV.list()).keys).toHaveLength(250);
    expect((await all({ from: "log", dry_run: true })).data).toEqual([]);
  });
});

describe("from KV", () => {
  /** Takes the database back to before `lose`, as Time Travel does; KV and Convoy stay as they are. */
  async function timeTravel(lose: () => Promise<void>) {
    const rows = (await env.DB.prepare("SELECT * FROM event").all()).results;
    const sequence = await env.DB.prepare("SELECT seq FROM sqlite_sequence").first("seq");
    await lose();
    await env.DB.prepare("DELETE FROM event").run();
    await env.DB.prepare("UPDATE sqlite_sequence SET seq = ? WHERE name = 'event'")
      .bind(sequence)
      .run();
    for (const row of rows) {
      const columns = Object.keys(row);
      const sql = `INSERT INTO event (${columns}) VALUES (${columns.map(() => "?")})`;
      await env.DB.prepare(sql)
        .bind(...Object.values(row))
        .run();
    }
  }

  test("takes over what the log lost, in events with sequences above all that Convoy has seen", async () => {
    const bob = await as("bob");
    for (const who of [alice, bob]) await newEndpoint(env, undefined, who);
    for (const id of [1, 2, 3]) await add(id);
    await call(env, "DELETE", "/todo/3", undefined, alice);
    await add(9, "old", bob);
    const large = "ü".repeat(1_500);
    await timeTravel(async () => {
      await call(env, "PUT", "/todo/1", { item: large }, alice);
      await call(env, "PUT", "/todo/1", { completed: true }, alice);
      await add(3, "again");
      await add(4, "new");
    });
    const lost = (await accepted(env)).map(({ body }) => JSON.parse(body).sequence);
    const before = await todos();
    const dry = await all({ from: "kv", dry_run: true });
    expect(dry.data).toEqual([
      { ...OF_ALICE, resource_id: "1", log: 1, kv: 7 },
      { ...OF_ALICE, resource_id: "3", log: 4, kv: 8 },
      { ...OF_ALICE, resource_id: "4", log: null, kv: 9 },
    ]);
    expect((await all({ from: "kv" })).data).toEqual(dry.data);
    await letTimePass(env);
    await cron(env);
    const written = (await log(env)).slice(5);
    expect(written.map(({ type, resource_id }) => [type, resource_id])).toEqual([
      ["updated", "1"],
      ["created", "3"],
      ["updated", "4"],
    ]);
    expect(written.every(({ seq }) => seq > Math.max(...lost))).toBe(true);
    expect(JSON.parse(written[0]?.data ?? "")).toEqual({ id: 1, item: large, completed: true });
    expect(await todos()).toEqual(before);
    expect(await accepted(env)).toHaveLength(lost.length + 3);
    const sent = (await logged(env)).filter(({ event_seq }) => event_seq > Math.max(...lost));
    expect(sent.map(({ status }) => status)).toEqual(Array(3).fill("sending"));
    // Once is enough, and the log now agrees with KV.
    expect((await all({ from: "kv" })).data).toEqual([]);
    expect((await all({ from: "log" })).data).toEqual([]);
  });

  test("takes over nothing that the log knows, or has purged in due course", async () => {
    for (const id of [1, 2, 3]) await add(id);
    await env.DB.prepare("DELETE FROM event WHERE seq < 3").run();
    expect((await all({ from: "kv" })).data).toEqual([]);
    expect(await log(env)).toHaveLength(1);
  });

  test("does not undo a change made between its read and its write", async () => {
    await add(1);
    await timeTravel(async () => void (await call(env, "PUT", "/todo/1", { item: "lost" }, alice)));
    let asked = false;
    const batch: D1Database["batch"] = async (statements) => {
      // Before the one that writes, and after all that read.
      if (!asked) {
        asked = true;
        await call(env, "PUT", "/todo/1", { item: "mine" }, alice);
      }
      return env.DB.batch(statements);
    };
    const DB = new Proxy(env.DB, {
      get(target, name) {
        const member = name === "batch" ? batch : Reflect.get(target, name);
        return typeof member === "function" ? member.bind(target) : member;
      },
    });
    await call({ ...env, DB } as Bindings, "POST", "/rebuild", { from: "kv" }, operator);
    expect(asked).toBe(true);
    expect((await log(env)).at(-1)).toMatchObject({
      type: "updated",
      data: '{"id":1,"item":"mine","completed":false}',
    });
  });

  test("goes through several pages of KV", async () => {
    await Promise.all(
      Array.from({ length: 50 }, (_, id) => {
        const value = { id, item: "x", completed: false };
        return env.KV.put(todoKey("alice", id), JSON.stringify(value), {
          metadata: { seq: id + 1, todo: value },
        });
      }),
    );
    const { KV } = env;
    const list: typeof KV.list = (options) => KV.list({ ...options, limit: 20 });
    env.KV = new Proxy(KV, {
      get: (_, name) => (name === "list" ? list : Reflect.get(KV, name).bind(KV)),
    });
    const { data, pages } = await all({ from: "kv" });
    expect(pages).toBe(3);
    expect(data).toHaveLength(50);
    expect(await log(env)).toHaveLength(50);
  });
});
