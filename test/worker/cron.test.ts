/** The cron of the whole Worker: every task has its share, none stops another, and a run keeps to its limits. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { cronTasks } from "../../src/app.ts";
import type { Report } from "../../src/outbox/cron.ts";
import { TASKS } from "../../src/outbox/tasks.ts";
import type { Bindings } from "../../src/settings.ts";
import { StorageError } from "../../src/storage.ts";
import { passTime } from "../support/cut-worker.ts";
import { delivered, publish, walkingNow } from "../support/events.ts";
import {
  deliveryRows,
  eventRows,
  leaveChanges,
  leaveDeliveries,
  leaveEndpoints,
} from "../support/log-rows.ts";
import {
  acceptance,
  failing,
  type Operation,
  recording,
  refusalOf,
  withConvoy,
} from "../support/operations.ts";
import { call, cron, newEndpoint, newEnv } from "../support/worker.ts";

let said: { level: string; cron: Report }[] = [];
beforeEach(() => {
  said = [];
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "log").mockImplementation((line) => void said.push(JSON.parse(line)));
});
afterEach(() => void vi.useRealTimers());

const DAY_MS = 86_400_000;
const isPost = ({ on, what }: Operation) => on === "Convoy" && what === "POST /events";
const todoOf = (id: number) => JSON.stringify({ id, item: "x", completed: false });

/** Something to do for each task. */
async function leaveWork(env: Bindings): Promise<{ endpoint: string }> {
  const endpoint = await newEndpoint(env);
  const mine = { owner: "default", endpoint_id: endpoint };
  const now = Date.now();
  // One that Convoy does not have, and one that was removed long ago.
  await leaveEndpoints(env.DB, [
    { id: "lacking", owner: "somebody" },
    { id: "removed", owner: "somebody" },
  ]);
  await env.DB.batch([
    env.DB.prepare(
      "UPDATE endpoint SET wanted = 'removed', there = 'missing' WHERE id = 'removed'",
    ),
    env.DB.prepare("UPDATE endpoint SET due_at = 1 WHERE id = ?").bind(endpoint),
  ]);
  await leaveDeliveries(env.DB, [
    { ...mine, status: "delivered", occurred_at: now - 10 * DAY_MS },
    { ...mine, status: "held", endpoint_id: "paused", occurred_at: now - 31 * DAY_MS },
    { ...mine, status: "sending", accepted_at: now - 3_600_000, looks: 1, occurred_at: now },
    { ...mine, occurred_at: now },
  ]);
  const todo = { owner: "default", resource: "todo", resource_id: "7", occurred_at: now };
  await leaveChanges(
    env.DB,
    [{ ...todo, change: "create", type: "created", data: todoOf(7) }],
    100,
  );
  await publish(env);
  await delivered(env, 1);
  return { endpoint };
}

/** What each task says once it has done what was left. */
const DONE: Record<string, object> = {
  dispatch: { accepted: 1 },
  project: { projected: 1 },
  scrub: expect.any(Object),
  walk: { pages: 1 },
  lookUp: { again: 1 },
  purge: { events: 1 },
  held: { dead: 1 },
  drift: { differing: expect.any(Number) },
  reconcile: { done: expect.any(Number) },
  forget: { endpoints: 1 },
};
const ALL = [...TASKS, ...cronTasks];

test("there is work for every task", () => {
  expect(Object.keys(DONE)).toEqual(ALL.map(({ name }) => name));
});

test("an idle run is one statement, and logs that it ran", async () => {
  const env = newEnv();
  await newEndpoint(env);
  await cron(env);
  await cron(env);
  said = [];
  const { env: watched, operations } = recording(env);
  const before = await env.DB.prepare("SELECT * FROM cron_state").first();
  await cron(watched);
  expect(operations.map(({ on }) => on)).toEqual(["D1"]);
  expect(await env.DB.prepare("SELECT * FROM cron_state").first()).toEqual(before);
  const report = { at: expect.any(String), ms: expect.any(Number), subrequests: 1, failed: [] };
  expect(said).toEqual([{ level: "info", cron: report }]);
});

test("one run does what every task has to do, and its report says so", async () => {
  const env = newEnv({ SUBREQUEST_BUDGET: "200" });
  await leaveWork(env);
  await cron(walkingNow(env));
  expect(said[0]?.cron).toMatchObject({ failed: [], ...DONE });
  const statuses = (await deliveryRows(env.DB)).map(({ status }) => status);
  // What is sent now may have arrived by the time of the walk; the one that Convoy has no more is posted again.
  const sent = expect.stringMatching(/^(sending|delivered)$/);
  expect(statuses).toEqual(["dead", "pending", sent, "delivered"]);
});

test("the free plan's budget is enough for each task to progress", async () => {
  const env = newEnv();
  await leaveWork(env);
  const { env: watched, operations } = recording(walkingNow(env));
  await cron(watched);
  expect(operations.length).toBeLessThanOrEqual(45);
  expect(said[0]?.cron).toMatchObject({ failed: [], ...DONE });
});

test("a Convoy that takes no events holds up no other task", async () => {
  const env = newEnv({ SUBREQUEST_BUDGET: "200" });
  const { endpoint } = await leaveWork(env);
  const fields = { name: "another name" };
  const isPut = ({ on, what }: Operation) => on === "Convoy" && what.startsWith("PUT");
  const kept = await call(failing(env, isPut), "PUT", `/endpoint/${endpoint}`, fields);
  expect(kept).toMatchObject({ status: 202, body: { pending: true } });
  passTime(600_000);
  await cron(walkingNow(failing(env, isPost)));
  const { dispatch, ...rest } = DONE;
  expect(said[0]?.cron).toMatchObject({ failed: [], ...rest, dispatch: { accepted: 0 } });
  const { body } = await call(env, "GET", `/endpoint/${endpoint}`);
  expect(body).toMatchObject({ name: "another name", status: "active" });
  expect(body.pending).toBeUndefined();
});

// What the scrub compares was projected in the same run.
const ALONE = ALL.filter(({ name }) => name !== "project");

test.each(ALONE)("losing D1 at $name fails the run, but all others are done", async (task) => {
  const env = newEnv({ SUBREQUEST_BUDGET: "200" });
  await leaveWork(env);
  vi.spyOn(task, "run").mockRejectedValue(new StorageError("D1", "lost", "gone"));
  await expect(cron(walkingNow(env))).rejects.toThrow("D1: gone");
  const { [task.name]: _, ...rest } = DONE;
  expect(said).toEqual([{ level: "error", cron: expect.any(Object) }]);
  expect(said[0]?.cron).toMatchObject({ failed: [task.name], ...rest });
  expect(said[0]?.cron[task.name]).toBeUndefined();
});

test("a run keeps to the free plan's 50 subrequests even if everything goes wrong at once", async () => {
  const env = newEnv();
  const owners = Array.from({ length: 20 }, (_, n) => `o${n}`);
  await leaveEndpoints(
    env.DB,
    owners.map((owner) => ({ id: `${owner}1`, owner })),
  );
  await env.DB.prepare("UPDATE endpoint SET due_at = 1").run();
  const ownerOf = (n: number) => owners[n % 20] ?? "";
  const times = <T>(count: number, of: (n: number) => T) =>
    Array.from({ length: count }, (_, n) => of(n));
  await leaveDeliveries(env.DB, [
    ...times(200, (n) => ({ owner: ownerOf(n), status: "delivered" as const })),
    ...times(200, (n) => ({ owner: ownerOf(n), failures: n % 4 })),
    ...times(200, (n) => ({ owner: ownerOf(n), status: "sending" as const, looks: n % 3 })),
    ...times(50, (n) => ({ owner: ownerOf(n), status: "held" as const })),
  ]);
  await leaveChanges(
    env.DB,
    times(200, (n) => ({ owner: ownerOf(n), resource: "todo", resource_id: `${n}` })),
    1_000,
  );
  let posts = 0;
  let pages = 0;
  const flapping = withConvoy(walkingNow(env), (request) => {
    const { pathname } = new URL(request.url);
    if (request.method === "POST" && pathname.endsWith("/events")) {
      posts++;
      if (posts % 7 === 3) return refusalOf(500, "");
      return posts % 5 === 0 ? refusalOf(413, "") : acceptance();
    }
    if (!pathname.endsWith("/eventdeliveries")) return refusalOf(503, "");
    // A list that never ends.
    const pagination = { has_next_page: true, next_page_cursor: String(++pages) };
    return acceptance({ content: [], pagination }, 200);
  });
  const isPut = ({ on, what }: Operation) => on === "KV" && /put|delete/.test(what);
  for (let minute = 0; minute < 6; minute++) {
    const { env: watched, operations } = recording(failing(flapping, isPut));
    await cron(watched);
    expect(operations.length).toBeLessThanOrEqual(45);
    expect(said.at(-1)?.cron.failed).toEqual([]);
    passTime(60_000);
  }
  // It was no idle run.
  expect(posts).toBeGreaterThan(20);
  expect(pages).toBeGreaterThan(6);
  expect((await deliveryRows(env.DB)).some(({ status }) => status === "sending")).toBe(true);
  expect((await eventRows(env.DB)).filter(({ projected }) => projected === 0)).toHaveLength(200);
});
