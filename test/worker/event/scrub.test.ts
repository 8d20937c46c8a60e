/** The scrub: KV is compared with every change once, ten minutes after it. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Bindings } from "../../../src/config.ts";
import { todoKey, writeTodo } from "../../../src/todo/kv.ts";
import { passTime } from "../../support/cut-worker.ts";
import { recording } from "../../support/operations.ts";
import { call, cron, newEnv } from "../../support/worker.ts";

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "log").mockImplementation(() => {});
});
afterEach(() => void vi.useRealTimers());

const SCRUB_MS = 10 * 60_000 + 1_000;
const item = async (env: Bindings, id: number) => (await call(env, "GET", `/todo/${id}`)).body.item;
/** A put that was in flight when its worker died, and lands now. */
const landLate = (env: Bindings, id: number, seq: number) =>
  writeTodo(env.KV, "default", id, {
    seq,
    todo: JSON.stringify({ id, item: "old", completed: false }),
  });

describe("a put that landed after its lease", () => {
  async function changed(method: "PUT" | "DELETE") {
    const env = newEnv();
    await call(env, "POST", "/todo", { id: 1, item: "old" });
    await call(env, method, "/todo/1", method === "PUT" ? { item: "new" } : undefined);
    await landLate(env, 1, 1);
    return env;
  }

  test("over a later change is repaired", async () => {
    const env = await changed("PUT");
    await cron(env);
    expect(await item(env, 1)).toBe("old");
    passTime(SCRUB_MS);
    // Found in one run, put by the next.
    await cron(env);
    await cron(env);
    expect(await item(env, 1)).toBe("new");
  });

  test("over a removed todo is removed", async () => {
    const env = await changed("DELETE");
    passTime(SCRUB_MS);
    await cron(env);
    await cron(env);
    expect(await env.KV.get(todoKey("default", 1))).toBeNull();
  });
});

test("a correct todo is read once, and neither put nor read again", async () => {
  const env = newEnv();
  for (const id of [1, 2, 3]) await call(env, "POST", "/todo", { id, item: "x" });
  await call(env, "DELETE", "/todo/2");
  const { env: watched, operations } = recording(env);
  const onKv = () => operations.filter(({ on }) => on === "KV").map(({ what }) => what);
  await cron(watched);
  expect(onKv()).toEqual([]);
  passTime(SCRUB_MS);
  for (let run = 0; run < 3; run++) await cron(watched);
  expect(onKv()).toEqual(["getWithMetadata"]);
  const { results } = await env.DB.prepare("SELECT min(stored) AS stored FROM event").all();
  expect(results).toEqual([{ stored: 1 }]);
});

test("reaches the oldest of 1,200 changes in a few runs of the default budget", async () => {
  const env = newEnv();
  // Ids of one millisecond, in order: 150 todos, then many changes to one. KV lacks the first.
  await env.DB.prepare(
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
     INSERT INTO event (id, owner, type, todo_id, todo, stored, state, occurred_at, accepted_at, finished_at)
     SELECT printf('01900000-0000-7000-8000-%012d', i), 'default', 'updated', min(i, 151),
       json_object('id', min(i, 151), 'item', 'x', 'completed', json('false')), 1, 'confirmed', ?1, 1, ?1 FROM n`,
  )
    .bind(Date.now())
    .run();
  await Promise.all(
    Array.from({ length: 150 }, (_, i) => i + 2).map((id) => {
      const todo = JSON.stringify({ id, item: "x", completed: false });
      return writeTodo(env.KV, "default", id, { seq: id === 151 ? 1_200 : id, todo });
    }),
  );
  const { env: watched, operations } = recording(env);
  for (let run = 0; run < 5; run++) await cron(watched);
  expect(await item(env, 1)).toBe("x");
  // Only pages with a todo's last change read KV.
  expect(operations.filter(({ what }) => what === "getWithMetadata")).toHaveLength(3);
  expect(operations.filter(({ what }) => what === "put")).toHaveLength(1);
});
