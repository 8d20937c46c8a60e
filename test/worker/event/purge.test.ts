/** The purge: finished events go after the retention, and no old change becomes a todo's latest. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Bindings } from "../../../src/config.ts";
import { type Left, leaveBehind } from "../../support/events.ts";
import { recording } from "../../support/operations.ts";
import { call, cron, log, newEnv } from "../../support/worker.ts";

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "log").mockImplementation(() => {});
});

const DAY_MS = 86_400_000;
const finished = (days: number): Left => {
  const at = Date.now() - days * DAY_MS;
  return { state: "confirmed", occurred_at: at, finished_at: at, accepted_at: at, due_at: null };
};
const OLD = finished(8);
const YOUNG = finished(6);
/** Old, but unfinished. */
const STUCK: Left = { occurred_at: Date.now() - 8 * DAY_MS, due_at: Date.now() + DAY_MS };
const PING: Left = { type: "ping", todo_id: null, todo: null, stored: null };
const seqs = async (env: Bindings) => (await log(env)).map(({ seq }) => seq);

test.each<[what: string, rows: Left[], left: number[]]>([
  ["old finished rows go, the others stay", [OLD, YOUNG, OLD, STUCK], [2, 4]],
  ["a ping goes, whatever comes before it", [STUCK, { ...OLD, ...PING }], [1]],
  ["many rows of one todo go at once", Array(9).fill({ ...OLD, todo_id: 1 }), []],
  [
    "a todo's unfinished row keeps the todo's later ones",
    [OLD, STUCK, OLD, { ...OLD, todo_id: 9 }].map((row) => ({ todo_id: 1, ...row })),
    [2, 3],
  ],
  [
    "a row that finished late keeps the todo's later ones",
    [{ ...OLD, finished_at: Date.now() }, OLD].map((row) => ({ ...row, todo_id: 1 })),
    [1, 2],
  ],
  [
    "another owner's todo with the same id keeps nothing",
    [{ ...STUCK, owner: "you" }, OLD].map((row) => ({ ...row, todo_id: 1 })),
    [1],
  ],
])("%s", async (_, rows, left) => {
  const env = newEnv();
  await leaveBehind(env, rows.length, (n) => rows[n - 1] ?? {});
  await cron(env);
  expect(await seqs(env)).toEqual(left);
});

test("RETENTION_DAYS sets the retention", async () => {
  const env = newEnv({ RETENTION_DAYS: "9" });
  await leaveBehind(env, 2, (n) => (n === 1 ? finished(10) : OLD));
  await cron(env);
  expect(await seqs(env)).toEqual([2]);
});

test("a todo whose events are all purged still exists, and can be changed", async () => {
  const env = newEnv();
  await call(env, "POST", "/todo", { id: 1, item: "old" });
  await env.DB.prepare("UPDATE event SET occurred_at = 1, finished_at = 1, due_at = NULL").run();
  await cron(env);
  expect(await log(env)).toEqual([]);
  expect((await call(env, "PUT", "/todo/1", { item: "new" })).status).toBe(200);
  expect((await call(env, "GET", "/todo/1")).body.item).toBe("new");
});

describe("with many rows", () => {
  test("5,000 rows of one todo go in one run of the default budget, behind another todo's stuck row", async () => {
    const env = newEnv();
    await leaveBehind(env, 5_002, (n) => {
      if (n === 1) return { ...STUCK, todo_id: 7 };
      return n === 5_002 ? { ...YOUNG, todo_id: 1 } : { ...OLD, todo_id: 1 };
    });
    const { env: watched, operations } = recording(env);
    await cron(watched);
    expect(await seqs(env)).toEqual([1, 5_002]);
    expect(operations.length).toBeLessThanOrEqual(45);
  });

  test("a stuck row keeps its todo's later ones, however far behind it", async () => {
    const env = newEnv();
    await leaveBehind(env, 1_300, (n) => (n === 2 ? STUCK : { ...OLD, todo_id: n % 650 }));
    await env.DB.prepare("UPDATE event SET todo_id = 2 WHERE seq = 2").run();
    for (let run = 0; run < 3; run++) await cron(env);
    expect(await seqs(env)).toEqual([2, 652]);
    await env.DB.prepare(
      "UPDATE event SET state = 'confirmed', finished_at = 1, due_at = NULL WHERE seq = 2",
    ).run();
    await cron(env);
    expect(await seqs(env)).toEqual([]);
  });

  test("it continues where its budget ended, beside a backlog that uses all it can get", async () => {
    const env = newEnv({ SUBREQUEST_BUDGET: "20" });
    await leaveBehind(env, 3_100, (n) => (n <= 3_000 ? { ...OLD } : {}));
    let runs = 0;
    const old = () =>
      env.DB.prepare("SELECT count(*) AS n FROM event WHERE seq <= 3000").first<number>("n");
    while ((await old()) !== 0 && runs < 12) {
      await cron(env);
      runs++;
    }
    expect(runs).toBeLessThan(12);
  });
});
