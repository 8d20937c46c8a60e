/** What a cron run logs: one line of JSON, whose fields docs/operate.md explains. */
import { beforeEach, expect, test, vi } from "vitest";
import { leaveBehind } from "../support/events.ts";
import { failing } from "../support/operations.ts";
import { call, cron, letTimePass, newEnv, setFaults } from "../support/worker.ts";

let said: { level: string; cron: Record<string, unknown> }[] = [];
beforeEach(() => {
  said = [];
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "log").mockImplementation((line) => void said.push(JSON.parse(line)));
});

test("a run logs what it did, how long it took and how many subrequests it used", async () => {
  const env = newEnv();
  await setFaults(env, { status: 500 });
  await call(env, "POST", "/todo", { item: "x" });
  await setFaults(env, {});
  await letTimePass(env);
  await cron(env);
  expect(said).toEqual([
    {
      level: "info",
      cron: expect.objectContaining({
        ms: expect.any(Number),
        subrequests: expect.any(Number),
        failed: [],
        post: { claimed: 1, posted: 1, accepted: 1, open: true },
      }),
    },
  ]);
  const used = said[0]?.cron.subrequests;
  expect(used).toBeGreaterThan(3);
  expect(used).toBeLessThanOrEqual(45);
});

test.each([
  ["a task", "project", /^\s*UPDATE event SET due_at[\s\S]*stored = 0/],
  ["the agenda itself", "agenda", /AS to_post/],
])("a run in which D1 does not answer %s fails, and logs its name", async (_, task, sql) => {
  const base = newEnv();
  // The task only runs if there is something to put into KV; Convoy has the event already.
  await leaveBehind(base, 1, () => ({ stored: 0, state: "confirmed", accepted_at: 1, due_at: 1 }));
  const env = failing(base, ({ on, what }) => on === "D1" && sql.test(what));
  await expect(cron(env)).rejects.toThrow("D1");
  expect(said).toEqual([{ level: "error", cron: expect.objectContaining({ failed: [task] }) }]);
});
