/** KV follows the log: a request checks again after its put, and the cron puts what requests left. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Bindings, KV_WRITE_INTERVAL_MS, LEASE_MS } from "../../../src/config.ts";
import { sleep } from "../../../src/run.ts";
import { todoKey } from "../../../src/todo/kv.ts";
import { passTime } from "../../support/cut-worker.ts";
import { leaveBehind } from "../../support/events.ts";
import { around, failing, type Operation, recording } from "../../support/operations.ts";
import { accepted, call, cron, letTimePass, log, newEnv } from "../../support/worker.ts";

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "log").mockImplementation(() => {});
});
afterEach(() => {
  vi.useRealTimers();
  vi.mocked(sleep).mockImplementation(async () => {});
});

const isPut = ({ on, what }: Operation) => on === "KV" && /put|delete/.test(what);
const refused = new Error("KV PUT failed: 429 Too Many Requests");
const stored = async (env: Bindings) => (await log(env)).map((row) => row.stored);
const inKv = (env: Bindings, id: number) =>
  env.KV.get<{ item: string }>(todoKey("default", id), "json");
const waits = () =>
  vi.mocked(sleep).mock.calls.filter(([ms]) => ms === KV_WRITE_INTERVAL_MS).length;

/** The bindings, with a KV that refuses this todo's key. */
function refusing(env: Bindings, id: number): Bindings {
  const KV = new Proxy(env.KV, {
    get:
      (kv, name) =>
      (key: string, ...rest: never[]) =>
        name === "put" && key === todoKey("default", id)
          ? Promise.reject(refused)
          : Reflect.apply(Reflect.get(kv, name), kv, [key, ...rest]),
  });
  return { ...env, KV };
}

describe("a request", () => {
  test("whose todo was changed in between puts the last change a second later", async () => {
    const env = newEnv();
    let later = false;
    const racing = around(env, async (operation, run) => {
      const result = await run();
      if (isPut(operation) && !later) {
        later = true;
        const todo = '{"id":1,"item":"second","completed":false}';
        // From a worker that died after its commit, its lease still running.
        const due_at = Date.now() + LEASE_MS + 1;
        await leaveBehind(env, 1, () => ({ type: "updated", todo, stored: 0, due_at }));
      }
      return result;
    });
    await call(racing, "POST", "/todo", { id: 1, item: "first" });
    expect(await inKv(env, 1)).toMatchObject({ item: "second" });
    expect(waits()).toBe(1);
    // The second row is another worker's, whose late put could still land on top.
    expect(await stored(env)).toEqual([1, 0]);
  });

  test("whose put KV refuses tries a few times, then hands it to the cron at once", async () => {
    const env = newEnv();
    let puts = 0;
    const broken = failing(env, (operation) => isPut(operation) && ++puts > 0, { error: refused });
    const reply = await call(broken, "POST", "/todo", { id: 1, item: "x" });
    expect([reply.status, puts]).toEqual([201, 4]);
    const [row] = await log(env);
    expect(row).toMatchObject({ stored: 0, state: "accepted" });
    expect(row?.due_at).toBeLessThanOrEqual(Date.now());
    await cron(env);
    expect(await stored(env)).toEqual([1]);
    expect(await inKv(env, 1)).toMatchObject({ item: "x" });
  });

  test.each(["at its commit", "between two puts"])(
    "stuck %s for longer than its lease puts nothing, as that could overwrite another's put",
    async (where) => {
      const env = newEnv();
      const stuck = () => passTime(LEASE_MS + 1);
      let puts = 0;
      const slow = around(env, async (operation, run) => {
        if (isPut(operation) && ++puts === 1 && where === "between two puts") throw refused;
        const result = await run();
        if (operation.what.includes("INSERT INTO event") && where === "at its commit") stuck();
        return result;
      });
      vi.mocked(sleep).mockImplementation(async (ms) => {
        if (ms === KV_WRITE_INTERVAL_MS) stuck();
      });
      expect((await call(slow, "POST", "/todo", { id: 1, item: "x" })).status).toBe(201);
      expect(await inKv(env, 1)).toBeNull();
      expect(await stored(env)).toEqual([0]);
      await cron(env);
      expect(await inKv(env, 1)).toMatchObject({ item: "x" });
      expect(await stored(env)).toEqual([1]);
    },
  );
});

describe("the cron", () => {
  test("puts a todo's last change once for all of its rows", async () => {
    const env = newEnv();
    const todo = (n: number) => JSON.stringify({ id: 1, item: `change ${n}`, completed: false });
    await leaveBehind(env, 9, (n) => ({ todo_id: 1, todo: todo(n), stored: 0 }));
    const watched = recording(env);
    await cron(watched.env);
    expect(watched.operations.filter(isPut)).toHaveLength(1);
    expect(await inKv(env, 1)).toMatchObject({ item: "change 9" });
    expect(await stored(env)).toEqual(Array(9).fill(1));
  });

  test("removes the key of a todo whose last change was its deletion", async () => {
    const env = newEnv();
    await env.KV.put(todoKey("default", 1), "{}");
    await leaveBehind(env, 2, (n) => ({
      todo_id: 1,
      stored: 0,
      ...(n === 2 ? { type: "deleted", todo: null } : {}),
    }));
    await cron(env);
    expect(await inKv(env, 1)).toBeNull();
    expect(await stored(env)).toEqual([1, 1]);
  });

  test("keeps two owners' todos with the same id apart", async () => {
    const env = newEnv();
    await leaveBehind(env, 2, (n) => ({
      todo_id: 1,
      stored: 0,
      owner: n === 1 ? "default" : "you",
    }));
    await cron(env);
    expect(await env.KV.get(todoKey("you", 1))).not.toBeNull();
    expect(
      (await env.KV.getWithMetadata<{ seq: number }>(todoKey("default", 1))).metadata?.seq,
    ).toBe(1);
    expect(await stored(env)).toEqual([1, 1]);
  });

  test("stores the other todos if KV refuses one", async () => {
    const env = newEnv();
    await leaveBehind(env, 12, () => ({ stored: 0 }));
    await cron(refusing(env, 5));
    expect(await stored(env)).toEqual(Array.from({ length: 12 }, (_, i) => (i === 4 ? 0 : 1)));
  });

  test("stops putting if KV refuses everything, still posts, and puts in the next run", async () => {
    const env = newEnv();
    await leaveBehind(env, 13, () => ({ stored: 0 }));
    const watched = recording(failing(env, isPut, { error: refused }));
    await cron(watched.env);
    expect(watched.operations.filter(isPut).length).toBeLessThanOrEqual(8);
    expect(await accepted(env)).toHaveLength(13);
    const rows = await log(env);
    expect(rows.every((row) => row.stored === 0 && row.state === "accepted")).toBe(true);
    expect(Math.max(...rows.map(({ due_at }) => due_at ?? 0))).toBeLessThan(Date.now() + 60_000);
    await letTimePass(env);
    await cron(env);
    expect(await stored(env)).toEqual(Array(13).fill(1));
    expect(await accepted(env)).toHaveLength(13);
  });
});
