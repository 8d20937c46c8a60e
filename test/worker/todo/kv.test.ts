/** Todos in KV: keys, metadata, and how few operations a read costs. */
import { describe, expect, test } from "vitest";
import { listTodos, readTodo, todoKey, writeTodo } from "../../../src/todo/kv.ts";
import { failing, recording } from "../../support/operations.ts";
import { newEnv } from "../../support/worker.ts";

const made = (id: number, item = "x") => JSON.stringify({ id, item, completed: false });

describe("keys", () => {
  test("sort like ids, and fit KV's 512 bytes for the longest owner and id", () => {
    const ids = [0, 2, 9, 10, 11, 100, Number.MAX_SAFE_INTEGER];
    const keys = ids.map((id) => todoKey("me", id));
    expect(keys.toSorted()).toEqual(keys);
    expect(todoKey("é".repeat(127), Number.MAX_SAFE_INTEGER).length).toBeLessThanOrEqual(512);
  });

  test.each([
    ["a", "a:"],
    ["a", "aa"],
    ["a:b", "a"],
    ["", ":"],
    ["A", "a"],
    ["é", "e"],
  ])("of the owners %j and %j are never in each other's list", async (one, other) => {
    const { KV } = newEnv();
    await writeTodo(KV, one, 1, { seq: 1, todo: made(1, "one") });
    await writeTodo(KV, other, 1, { seq: 1, todo: made(1, "other") });
    expect((await listTodos(KV, one, { limit: 9 })).todos).toMatchObject([{ item: "one" }]);
    expect(JSON.parse((await readTodo(KV, other, 1)) ?? "{}")).toMatchObject({ item: "other" });
  });
});

describe("a list", () => {
  test("of 1,000 small todos is one KV operation", async () => {
    const { env, operations } = recording(newEnv());
    const ids = Array.from({ length: 1_000 }, (_, id) => id);
    await Promise.all(ids.map((id) => writeTodo(env.KV, "me", id, { seq: id, todo: made(id) })));
    operations.length = 0;
    const page = await listTodos(env.KV, "me", { limit: 1_000 });
    expect(page.todos.map(({ id }) => id)).toEqual(ids);
    expect(page.cursor).toBeUndefined();
    expect(operations).toEqual([{ on: "KV", what: "list" }]);
  });

  test("reads large todos in bulk, 100 at a time, and keeps the order", async () => {
    const { env, operations } = recording(newEnv());
    const large = "🚀".repeat(2_000);
    const ids = Array.from({ length: 110 }, (_, id) => id);
    const item = (id: number) => (id % 20 === 0 ? `small ${id}` : `${large} ${id}`);
    await Promise.all(
      ids.map((id) => writeTodo(env.KV, "me", id, { seq: id, todo: made(id, item(id)) })),
    );
    operations.length = 0;
    const { todos } = await listTodos(env.KV, "me", { limit: 1_000 });
    expect(todos.map((todo) => todo.item)).toEqual(ids.map(item));
    // 104 large ones.
    expect(operations.map(({ what }) => what)).toEqual(["list", "get", "get"]);
  });

  test.each([
    ["just fits metadata", 1_024, true],
    ["is a byte too large for metadata", 1_025, false],
  ])("with a todo that %s has it whole", async (_, bytes, inMetadata) => {
    const { KV } = newEnv();
    const around = JSON.stringify({ seq: 1, todo: { id: 1, item: "", completed: false } }).length;
    const item = `é${"x".repeat(bytes - around - 2)}`;
    await writeTodo(KV, "me", 1, { seq: 1, todo: made(1, item) });
    const [key] = (await KV.list()).keys;
    expect(JSON.stringify(key?.metadata).includes(item)).toBe(inMetadata);
    expect((await listTodos(KV, "me", { limit: 9 })).todos).toMatchObject([{ item }]);
  });

  test("has only the owner's todos, wherever a cursor leads", async () => {
    const { KV } = newEnv();
    const large = "x".repeat(2_000);
    for (const [owner, item] of [
      ["me", "mine"],
      ["me:", "not mine"],
      ["others", "theirs"],
      ["others", large],
    ] as const) {
      await writeTodo(KV, owner, item.length, { seq: 1, todo: made(item.length, item) });
    }
    // The platform does not promise that another list's cursor is refused, or keeps to the prefix.
    const careless = new Proxy(KV, {
      get: (kv, name) =>
        name === "list" ? () => kv.list({ limit: 9 }) : Reflect.get(kv, name).bind(kv),
    });
    const page = await listTodos(careless, "me", { limit: 9, cursor: "of another list" });
    expect(page).toEqual({ todos: [{ id: 4, item: "mine", completed: false }] });
  });

  test("leaves out a todo removed between list and read", async () => {
    const env = newEnv();
    const large = "x".repeat(2_000);
    for (const id of [1, 2]) await writeTodo(env.KV, "me", id, { seq: 1, todo: made(id, large) });
    const racing = new Proxy(env.KV, {
      get: (kv, name) =>
        name !== "get"
          ? Reflect.get(kv, name).bind(kv)
          : async (...given: never[]) => {
              await kv.delete(todoKey("me", 1));
              return Reflect.apply(kv.get, kv, given);
            },
    });
    expect((await listTodos(racing, "me", { limit: 9 })).todos).toMatchObject([{ id: 2 }]);
  });

  const refused = new Error("KV LIST failed: 400 Invalid cursor");
  test.each([
    ["a cursor that KV refuses is the caller's mistake", "made up", refused, "BadCursor"],
    ["an outage with a cursor is an outage", "c", new Error("KV LIST failed: 503"), "StorageError"],
    ["a refusal without a cursor is an outage", undefined, refused, "StorageError"],
  ])("%s", async (_, cursor, error, name) => {
    const { KV } = failing(newEnv(), ({ what }) => what === "list", { error });
    await expect(listTodos(KV, "me", { limit: 9, cursor })).rejects.toMatchObject({ name });
  });
});
