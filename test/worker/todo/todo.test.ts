/** /todo: the tutorial's calls and what they answer. */
import { describe, expect, test } from "vitest";
import {
  call,
  foreignEndpoint,
  log,
  logged,
  newEndpoint,
  newEnv,
  state,
} from "../../support/worker.ts";

const ITEM = "Setup a convoy webhook project and publish my first webhook";

describe("without an endpoint", () => {
  test("the tutorial's POST adds a todo that GET, PUT and DELETE then find", async () => {
    const env = newEnv();
    const added = await call(env, "POST", "/todo", `{\n    "id": 1,\n    "item": "${ITEM}"\n    }`);
    expect(added).toMatchObject({
      status: 201,
      body: { data: "Todo added", todo: { id: 1, item: ITEM, completed: false } },
    });
    expect(added.headers.get("Location")).toBe("/todo/1");

    const one = await call(env, "GET", "/todo/1");
    expect(one).toMatchObject({ status: 200, body: { id: 1, item: ITEM, completed: false } });

    const updated = await call(env, "PUT", "/todo/1", { completed: true });
    expect(updated).toMatchObject({
      status: 200,
      body: { data: "Todo with id 1 has been updated." },
    });
    const all = await call(env, "GET", "/todo");
    expect(all).toMatchObject({ status: 200 });
    expect(all.body).toEqual({ data: [{ id: 1, item: ITEM, completed: true }] });

    const removed = await call(env, "DELETE", "/todo/1");
    expect(removed).toMatchObject({
      status: 200,
      body: { data: "Todo with id 1 has been removed." },
    });
    expect((await call(env, "GET", "/todo")).body).toEqual({ data: [] });
  });

  test("a todo without an id gets a unique safe integer", async () => {
    const env = newEnv();
    const ids = [];
    for (const item of ["a", "b", "c"]) {
      const { status, body, headers } = await call(env, "POST", "/todo", { item });
      expect(status).toBe(201);
      expect(headers.get("Location")).toBe(`/todo/${body.todo.id}`);
      expect((await call(env, "GET", `/todo/${body.todo.id}`)).body).toEqual(body.todo);
      ids.push(body.todo.id);
    }
    expect(ids.every(Number.isSafeInteger)).toBe(true);
    expect(new Set(ids).size).toBe(3);
  });

  test.each([0, Number.MAX_SAFE_INTEGER])("the id %d works everywhere", async (id) => {
    const env = newEnv();
    expect((await call(env, "POST", "/todo", { id, item: "edge" })).status).toBe(201);
    expect((await call(env, "GET", `/todo/${id}`)).body.id).toBe(id);
    expect((await call(env, "PUT", `/todo/${id}`, { item: "moved" })).status).toBe(200);
    expect((await call(env, "DELETE", `/todo/${id}`)).status).toBe(200);
  });

  test("an id that is taken is a 409, and free again once the todo is removed", async () => {
    const env = newEnv();
    const add = () => call(env, "POST", "/todo", { id: 1, item: "x" });
    expect((await add()).status).toBe(201);
    const before = await state(env);
    const second = await add();
    expect(second).toMatchObject({
      status: 409,
      body: { error: "Todo with id 1 already exists. Use PUT /todo/1 to change it." },
    });
    expect(second.headers.has("X-Event-Id")).toBe(false);
    expect(await state(env)).toEqual(before);
    await call(env, "DELETE", "/todo/1");
    expect((await add()).status).toBe(201);
  });

  test.each([
    ["PUT", { item: "x" }],
    ["DELETE", undefined],
  ])(
    "%s of a missing todo is a 404 in the tutorial's words, and makes no event",
    async (method, body) => {
      const env = newEnv();
      const { status, headers, body: answer } = await call(env, method, "/todo/9", body);
      expect(status).toBe(404);
      expect(answer).toEqual({ data: "Todo with id 9 not found.", error: "Todo not found" });
      expect(headers.has("X-Event-Id")).toBe(false);
      expect(await log(env)).toEqual([]);
    },
  );

  test("GET of a missing todo is a 404 in the tutorial's words", async () => {
    const { status, body } = await call(newEnv(), "GET", "/todo/9");
    expect({ status, body }).toEqual({ status: 404, body: { error: "Todo not found" } });
  });

  test("PUT changes only the fields it is given", async () => {
    const env = newEnv();
    await call(env, "POST", "/todo", { id: 1, item: "first", completed: true });
    await call(env, "PUT", "/todo/1", { item: "second" });
    expect((await call(env, "GET", "/todo/1")).body).toEqual({
      id: 1,
      item: "second",
      completed: true,
    });
  });

  test("the list is paged in id order, and ends without a cursor", async () => {
    const env = newEnv();
    for (const id of [10, 9, 100, 2]) await call(env, "POST", "/todo", { id, item: `${id}` });
    const first = await call(env, "GET", "/todo?limit=3");
    expect(first.body.data.map((todo: { id: number }) => todo.id)).toEqual([2, 9, 10]);
    const cursor = encodeURIComponent(first.body.cursor);
    const second = await call(env, "GET", `/todo?limit=3&cursor=${cursor}`);
    expect(second.body).toEqual({ data: [{ id: 100, item: "100", completed: false }] });
  });
});

describe("with another owner's or an unknown endpoint", () => {
  const endpoints = { "another owner's": foreignEndpoint, unknown: async () => "01UNKNOWN" };
  const changes = [
    ["POST", "/todo", { id: 2, item: "x" }],
    ["PUT", "/todo/1", { item: "y" }],
    ["PUT", "/todo/3", { item: "y" }],
    ["DELETE", "/todo/1", undefined],
    ["DELETE", "/todo/3", undefined],
  ] as const;
  const cases = Object.entries(endpoints).flatMap(([whose, make]) =>
    changes.map(([method, path, body]) => ({ whose, make, method, path, body })),
  );
  test.each(cases)(
    "$method $path with $whose endpoint is a 404 and changes nothing",
    async ({ make, method, path, body }) => {
      const env = newEnv();
      await call(env, "POST", "/todo", { id: 1, item: "x" });
      const endpoint = await make(env);
      const before = await state(env);
      const reply = await call(env, method, `${path}?endpoint=${endpoint}`, body);
      expect(reply).toMatchObject({ status: 404, body: { error: "Endpoint not found" } });
      expect(reply.headers.has("X-Event-Id")).toBe(false);
      expect(await state(env)).toEqual(before);
    },
  );
});

describe("with the caller's own endpoint", () => {
  test.each([
    ["PUT", { item: "x" }],
    ["DELETE", undefined],
  ])(
    "%s of a missing todo is a 404 that carries the id of its failed event",
    async (method, body) => {
      const env = newEnv();
      const endpoint = await newEndpoint(env);
      const reply = await call(env, method, `/todo/9?endpoint=${endpoint}`, body);
      expect(reply.status).toBe(404);
      expect(reply.body).toEqual({ data: "Todo with id 9 not found.", error: "Todo not found" });
      const rows = await log(env);
      const about = { resource: "todo", resource_id: "9", change: null, data: null };
      expect(rows).toMatchObject([{ type: "failed", ...about }]);
      expect(await logged(env)).toMatchObject([{ type: "failed", endpoint_id: endpoint }]);
      expect(reply.headers.get("X-Event-Id")).toBe(rows[0]?.id);
      expect((await env.KV.list()).keys).toEqual([]);
    },
  );

  test("POST of a taken id is a 409 and makes no event", async () => {
    const env = newEnv();
    const endpoint = await newEndpoint(env);
    await call(env, "POST", "/todo", { id: 1, item: "x" });
    const before = await state(env);
    const reply = await call(env, "POST", `/todo?endpoint=${endpoint}`, { id: 1, item: "y" });
    expect(reply.status).toBe(409);
    expect(await state(env)).toEqual(before);
  });
});
