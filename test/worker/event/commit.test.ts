/** The commit: lost connections, races, and the log against KV. */
import { describe, expect, test, vi } from "vitest";
import type { Bindings } from "../../../src/config.ts";
import { sleep } from "../../../src/run.ts";
import { todoKey, writeTodo } from "../../../src/todo/kv.ts";
import { around, failing, type Operation } from "../../support/operations.ts";
import {
  accepted,
  begin,
  call,
  cron,
  letTimePass,
  log,
  newEndpoint,
  newEnv,
} from "../../support/worker.ts";

const isInsert = ({ on, what }: Operation) => on === "D1" && what.includes("INSERT INTO event");
const lost = new Error("D1_ERROR: Network connection lost.");

/** Loses the connection at the first `times` inserts: before them, or after. */
function losing(env: Bindings, times: number, done: boolean): Bindings {
  let left = times;
  return failing(env, (operation) => isInsert(operation) && left-- > 0, { error: lost, done });
}

const changes = [
  { method: "POST", path: "/todo", body: { id: 2, item: "new" }, status: 201, type: "created" },
  { method: "PUT", path: "/todo/1", body: { item: "new" }, status: 200, type: "updated" },
  { method: "DELETE", path: "/todo/1", body: undefined, status: 200, type: "deleted" },
];
const cases = changes.flatMap((change) =>
  [1, 2].flatMap((times) => [true, false].map((done) => ({ ...change, times, done }))),
);

describe("with the connection to D1 lost at the commit", () => {
  test.each(cases)(
    "$times times, committed: $done, $method succeeds once",
    async ({ method, path, body, status, type, times, done }) => {
      const env = newEnv();
      await call(env, "POST", "/todo", { id: 1, item: "old" });
      const reply = await call(losing(env, times, done), method, path, body);
      expect(reply.status).toBe(status);
      const rows = (await log(env)).slice(1);
      expect(rows).toMatchObject([{ id: reply.headers.get("X-Event-Id"), type, stored: 1 }]);
      const keys = (await accepted(env)).map((event) => event.idempotency_key);
      expect(keys.filter((key) => key === rows[0]?.id)).toHaveLength(1);
    },
  );

  test.each(changes.flatMap((change) => [true, false].map((done) => ({ ...change, done }))))(
    "for good, committed: $done, $method is a 503 with X-Event-Id, and the log tells which",
    async ({ method, path, body, type, done }) => {
      const env = newEnv();
      await call(env, "POST", "/todo", { id: 1, item: "old" });
      // After the first insert nothing else reaches D1.
      let gone = false;
      const cut = around(env, async (operation, run) => {
        if (gone) throw lost;
        if (!isInsert(operation)) return run();
        gone = true;
        if (done) await run();
        throw lost;
      });
      const reply = await call(cut, method, path, body);
      const id = reply.headers.get("X-Event-Id");
      expect(reply.status).toBe(503);
      expect(reply.body.error).toContain(`GET /event/${id}`);
      expect(reply.headers.get("Retry-After")).toMatch(/^\d+$/);

      const told = await call(env, "GET", `/event/${id}`);
      expect(told.status).toBe(done ? 200 : 404);
      expect((await log(env)).slice(1)).toMatchObject(done ? [{ id, type, stored: 0 }] : []);
      // The cron finishes what was committed, like any other change.
      await letTimePass(env);
      await cron(env);
      expect(await accepted(env)).toHaveLength(done ? 2 : 1);
      expect((await log(env)).every((row) => row.stored === 1)).toBe(true);
    },
  );

  test("a missing todo's failed event is written once", async () => {
    const env = newEnv();
    const endpoint = await newEndpoint(env);
    let inserts = 0;
    const cut = failing(env, (one) => isInsert(one) && ++inserts === 2, {
      error: lost,
      done: true,
    });
    const reply = await call(cut, "DELETE", `/todo/9?endpoint=${endpoint}`);
    expect(reply.status).toBe(404);
    expect(await log(env)).toMatchObject([{ id: reply.headers.get("X-Event-Id"), type: "failed" }]);
  });

  test("it waits longer before each retry", async () => {
    await begin(losing(newEnv(), 2, false), "POST", "/todo", { item: "x" });
    expect(vi.mocked(sleep).mock.calls.slice(0, 2)).toEqual([[50], [100]]);
  });
});

describe("concurrently", () => {
  test("of 50 POSTs of one id, one wins, 49 are a 409, and there is one created event", async () => {
    const env = newEnv();
    const items = Array.from({ length: 50 }, (_, index) => `todo ${index}`);
    const replies = await Promise.all(
      items.map((item) => call(env, "POST", "/todo", { id: 7, item })),
    );
    const won = replies.filter(({ status }) => status === 201);
    expect(won).toHaveLength(1);
    expect(replies.filter(({ status }) => status === 409)).toHaveLength(49);
    expect((await call(env, "GET", "/todo")).body.data).toEqual([won[0]?.body.todo]);
    expect(await log(env)).toMatchObject([{ type: "created", stored: 1 }]);
    expect(await accepted(env)).toHaveLength(1);
  });

  test("100 POSTs of different ids leave 100 todos and 100 events", async () => {
    const env = newEnv();
    const ids = Array.from({ length: 100 }, (_, index) => index);
    const replies = await Promise.all(
      ids.map((id) => call(env, "POST", "/todo", { id, item: `todo ${id}` })),
    );
    expect(replies.every(({ status }) => status === 201)).toBe(true);
    const { data } = (await call(env, "GET", "/todo")).body;
    expect(data.map((todo: { id: number }) => todo.id)).toEqual(ids);
    const keys = (await accepted(env)).map((event) => event.idempotency_key);
    expect(keys.sort()).toEqual(replies.map((r) => r.headers.get("X-Event-Id")).sort());
  });

  test("PUTs of item and of completed on one todo lose neither field", async () => {
    const env = newEnv();
    await call(env, "POST", "/todo", { id: 1, item: "old" });
    await Promise.all([
      ...Array.from({ length: 5 }, () => call(env, "PUT", "/todo/1", { item: "new" })),
      ...Array.from({ length: 5 }, () => call(env, "PUT", "/todo/1", { completed: true })),
    ]);
    expect((await call(env, "GET", "/todo/1")).body).toEqual({
      id: 1,
      item: "new",
      completed: true,
    });
    expect(await log(env)).toHaveLength(11);
  });

  test("of 20 DELETEs of one todo, one wins", async () => {
    const env = newEnv();
    await call(env, "POST", "/todo", { id: 1, item: "x" });
    const replies = await Promise.all(
      Array.from({ length: 20 }, () => call(env, "DELETE", "/todo/1")),
    );
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(replies.filter(({ status }) => status === 404)).toHaveLength(19);
    expect((await log(env)).map(({ type }) => type)).toEqual(["created", "deleted"]);
  });
});

describe("the log against what KV says", () => {
  const inKv = (env: Bindings) =>
    writeTodo(env.KV, "default", 1, { seq: 9, todo: '{"id":1,"item":"kv","completed":false}' });

  test("without a row in the log, KV decides", async () => {
    const env = newEnv();
    expect((await call(env, "PUT", "/todo/1", { completed: true })).status).toBe(404);
    await inKv(env);
    expect((await call(env, "POST", "/todo", { id: 1, item: "x" })).status).toBe(409);
    expect((await call(env, "PUT", "/todo/1", { completed: true })).status).toBe(200);
    const whole = { id: 1, item: "kv", completed: true };
    expect((await call(env, "GET", "/todo/1")).body).toEqual(whole);
  });

  test("with a row, the log wins over a stale KV", async () => {
    const env = newEnv();
    await call(env, "POST", "/todo", { id: 1, item: "x" });
    await env.KV.delete(todoKey("default", 1));
    expect((await call(env, "POST", "/todo", { id: 1, item: "x" })).status).toBe(409);
    await call(env, "DELETE", "/todo/1");
    await inKv(env);
    expect((await call(env, "PUT", "/todo/1", { completed: true })).status).toBe(404);
    expect((await call(env, "POST", "/todo", { id: 1, item: "new" })).status).toBe(201);
  });

  test("an update of a todo that others keep creating and deleting is a 503 and leaves no event", async () => {
    const env = newEnv();
    await call(env, "POST", "/todo", { id: 1, item: "x" });
    let flips = 0;
    // Just before each statement, somebody changes the state again.
    const racing = around(env, async (operation, run) => {
      if (operation.on === "D1") {
        const type = flips++ % 2 === 0 ? "deleted" : "created";
        await env.DB.prepare(
          `INSERT INTO event (id, owner, type, todo_id, todo, stored, occurred_at, due_at)
           VALUES (?, 'default', ?, 1, iif(?2 = 'deleted', NULL, '{}'), 0, 0, 9e15)`,
        )
          .bind(`race ${flips}`, type)
          .run();
      }
      return run();
    });
    const reply = await call(racing, "PUT", "/todo/1", { item: "y" });
    expect(reply.status).toBe(503);
    expect(reply.headers.has("Retry-After")).toBe(true);
    expect((await log(env)).filter(({ type }) => type === "updated")).toEqual([]);
  });
});
