/** KV follows the log: after a put it looks again, and marks only what it holds. */
import { expect, test, vi } from "vitest";
import { budgetOf } from "../../../src/budget.ts";
import type { Bindings } from "../../../src/config.ts";
import { project, type Unstored } from "../../../src/event/project.ts";
import { sleep } from "../../../src/time.ts";
import { todoKey } from "../../../src/todo/kv.ts";
import { around, failing } from "../../support/operations.ts";
import { log, newEnv } from "../../support/worker.ts";

const LEASE = 4_102_444_800_000; // the year 2100
const plenty = () => budgetOf(Number.POSITIVE_INFINITY, LEASE);

/** Logs a change of todo 1 that is not stored, held until `lease`. @returns its row as project takes it */
async function change(env: Bindings, item: string | null, lease = LEASE): Promise<Unstored> {
  const todo = item === null ? null : JSON.stringify({ id: 1, item, completed: false });
  const row = await env.DB.prepare(
    `INSERT INTO event (id, owner, type, todo_id, todo, stored, occurred_at, due_at)
     VALUES (hex(randomblob(8)), 'me', iif(?1 IS NULL, 'deleted', 'updated'), 1, ?1, 0, 0, ?2) RETURNING seq`,
  )
    .bind(todo, lease)
    .first<{ seq: number }>();
  return { seq: row?.seq ?? 0, lease, owner: "me", todo_id: 1, put: null };
}

const inKv = async (env: Bindings) => {
  const { value, metadata } = await env.KV.getWithMetadata<{ item: string }, { seq: number }>(
    todoKey("me", 1),
    "json",
  );
  return value && { item: value.item, seq: metadata?.seq };
};
const stored = async (env: Bindings) => (await log(env)).map((row) => row.stored);

test("puts the last word, not the row's own, and marks all rows that are held", async () => {
  const env = newEnv();
  const rows = [await change(env, "old"), await change(env, "new")];
  await project(env, rows, plenty());
  expect(await inKv(env)).toEqual({ item: "new", seq: 2 });
  expect(await stored(env)).toEqual([1, 1]);
});

test("a last word that is a removal removes the key", async () => {
  const env = newEnv();
  await env.KV.put(todoKey("me", 1), "{}");
  await project(env, [await change(env, "old"), await change(env, null)], plenty());
  expect(await inKv(env)).toBeNull();
  expect(await stored(env)).toEqual([1, 1]);
});

test("a change that comes in between put and check is put as well, a second later", async () => {
  const env = newEnv();
  const row = await change(env, "first");
  let later = false;
  const racing = around(env, async ({ on, what }, run) => {
    const result = await run();
    if (on === "KV" && what === "put" && !later) {
      later = true;
      await change(env, "second", LEASE + 1);
    }
    return result;
  });
  await project(racing, [row], plenty());
  expect(await inKv(env)).toEqual({ item: "second", seq: 2 });
  // The second row is somebody else's: its late put could still land on top.
  expect(await stored(env)).toEqual([1, 0]);
  expect(vi.mocked(sleep).mock.calls).toEqual([[1_100]]);
});

test("what is put already is only checked", async () => {
  const env = newEnv();
  const row = await change(env, "x");
  const noPut = failing(env, ({ on }) => on === "KV");
  await project(noPut, [{ ...row, put: row.seq }], plenty());
  expect(await stored(env)).toEqual([1]);
});

test("what KV refuses is tried a few times, and left unmarked", async () => {
  const env = newEnv();
  let puts = 0;
  const broken = failing(env, ({ on }) => on === "KV" && ++puts > 0);
  await project(broken, [await change(env, "x")], plenty());
  expect(puts).toBe(3);
  expect(await stored(env)).toEqual([0]);
});

test("one todo that KV refuses does not keep the others from being stored", async () => {
  const env = newEnv();
  const mine = await change(env, "x");
  const other = { ...(await change(env, "y")), todo_id: 2 };
  await env.DB.prepare("UPDATE event SET todo_id = 2 WHERE seq = ?").bind(other.seq).run();
  const KV = new Proxy(env.KV, {
    get:
      (kv, name) =>
      (key: string, ...rest: never[]) =>
        key === todoKey("me", 1)
          ? Promise.reject(new Error("429"))
          : Reflect.apply(Reflect.get(kv, name), kv, [key, ...rest]),
  });
  await project({ ...env, KV }, [mine, other], plenty());
  expect(await stored(env)).toEqual([0, 1]);
});

test("a row whose lease somebody else has is put, never marked", async () => {
  const env = newEnv();
  const row = await change(env, "x", LEASE + 5);
  await project(env, [{ ...row, lease: LEASE }], plenty());
  expect(await stored(env)).toEqual([0]);
});

test("once the lease is over nothing is put: it could land on somebody else's", async () => {
  const env = newEnv();
  await project(env, [await change(env, "x", 1_000)], plenty());
  expect(await inKv(env)).toBeNull();
  expect(await stored(env)).toEqual([0]);
});

test.each([0, 1, 2, 3])(
  "with a budget of %d it does at most so much, and never half",
  async (n) => {
    const env = newEnv();
    let operations = 0;
    const counted = around(env, (_, run) => {
      operations++;
      return run();
    });
    await project(counted, [await change(env, "x")], budgetOf(n, LEASE));
    expect(operations).toBeLessThanOrEqual(n);
    expect(await stored(env)).toEqual([n === 3 ? 1 : 0]);
  },
);
