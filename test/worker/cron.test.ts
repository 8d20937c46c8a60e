/** The cron as a whole: each task has its share, none stops another, and a run keeps to its limits. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { LEASE_MS } from "../../src/config.ts";
import { passTime } from "../support/cut-worker.ts";
import { delivered, idOf, leaveBehind, publish, walkingNow } from "../support/events.ts";
import {
  acceptance,
  failing,
  type Operation,
  recording,
  refusalOf,
} from "../support/operations.ts";
import { type ListedPage, scripted } from "../support/scripted-convoy.ts";
import { call, cron, log, newEndpoint, newEnv } from "../support/worker.ts";

let said: unknown[] = [];
beforeEach(() => {
  said = [];
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "log").mockImplementation((line) => void said.push(JSON.parse(line)));
});
afterEach(() => void vi.useRealTimers());

const DAY_MS = 86_400_000;
const finished = {
  state: "confirmed",
  accepted_at: 1,
  occurred_at: 1,
  due_at: null,
  finished_at: 1,
};
const isPost = ({ on, what }: Operation) => on === "Convoy" && what.startsWith("POST /events");
const isPut = ({ on, what }: Operation) => on === "KV" && /put|delete/.test(what);

test("an idle run calls neither Convoy nor KV, leaves its state as it was, and logs that it ran", async () => {
  const env = newEnv();
  await leaveBehind(env, 3, () => ({
    ...finished,
    occurred_at: Date.now(),
    finished_at: Date.now(),
  }));
  await cron(env);
  said = [];
  const { env: watched, operations } = recording(env);
  const before = await env.DB.prepare("SELECT * FROM cron_state").first();
  await cron(watched);
  expect(operations.filter(({ on }) => on !== "D1")).toEqual([]);
  // The agenda, and what requests may have left since.
  expect(operations.length).toBeLessThanOrEqual(4);
  expect(await env.DB.prepare("SELECT * FROM cron_state").first()).toEqual(before);
  expect(said).toEqual([
    {
      level: "info",
      cron: { ms: expect.any(Number), subrequests: expect.any(Number), failed: [] },
    },
  ]);
});

test("a Convoy that takes no events holds up no other task", async () => {
  const env = newEnv();
  const endpoint = await newEndpoint(env);
  await leaveBehind(env, 32, (n) => (n <= 20 ? finished : { stored: 0 }));
  await publish(env);
  await delivered(env, 1);
  const isToggle = ({ on, what }: Operation) => on === "Convoy" && /^PUT .*\/pause$/.test(what);
  await call(failing(env, isToggle), "POST", `/endpoint/${endpoint}/pause`);
  passTime(LEASE_MS + 1_000);
  await cron(walkingNow(failing(env, isPost)));
  const rows = await log(env);
  // Projected, walked, moved, purged.
  expect(rows.filter(({ stored }) => stored === 0)).toEqual([]);
  expect(rows.map(({ state }) => state)).toEqual([...Array(12).fill("pending"), "confirmed"]);
  expect((await call(env, "GET", `/endpoint/${endpoint}`)).body.status).toBe("paused");
});

test.each([
  ["posting", "event.stored IS stored.value"],
  ["projecting", "AND event.stored = 0 AND event.due_at <= ?1"],
  ["the purge", "batch"],
])("losing D1 at %s fails the run, but the other tasks are done", async (what, sql) => {
  const env = newEnv({ SUBREQUEST_BUDGET: "200" });
  await leaveBehind(env, 9, (n) => {
    if (n <= 3) return finished;
    return n <= 6 ? { stored: 0 } : { state: "accepted", accepted_at: 1, due_at: 1 };
  });
  const { env: convoy, keys } = scripted(env, {});
  const lost = failing(
    convoy,
    (operation) =>
      operation.on === "D1" &&
      !operation.what.includes("AS to_post") &&
      operation.what.includes(sql),
  );
  await expect(cron(lost)).rejects.toThrow(/D1/);
  const rows = await log(env);
  expect({
    posting: keys.length < 3,
    projecting: rows.some(({ stored }) => stored === 0),
    "the purge": rows.some(({ occurred_at }) => occurred_at === 1),
  }).toEqual({ posting: false, projecting: false, "the purge": false, [what]: true });
});

test("a run keeps to the free plan's 50 subrequests even if everything goes wrong at once", async () => {
  const env = newEnv();
  await leaveBehind(env, 1_200, (n) => {
    if (n <= 400) return { occurred_at: 1, attempts: n % 4, stored: 0 };
    if (n <= 800) return { state: "accepted", accepted_at: 1, due_at: 2 };
    return { ...finished, todo_id: 1 };
  });
  const flapping = scripted(walkingNow(env), {
    post: ({ key }) => {
      const n = Number(key.slice(-12));
      if (n % 7 === 3) return refusalOf(500, "");
      return n % 5 === 0 ? refusalOf(413, "") : acceptance();
    },
    list: (query): ListedPage => {
      const at = Number(query.get("next_page_cursor") ?? 0);
      return { events: [{ idempotency_key: idOf(at) }], next: String(at + 1) };
    },
  });
  for (let minute = 0; minute < 6; minute++) {
    const { env: watched, operations } = recording(failing(flapping.env, isPut));
    await cron(watched);
    expect(operations.length).toBeLessThanOrEqual(50);
    passTime(60_000);
  }
});

describe("a slow Convoy", () => {
  test("does not make a run take a minute: it records what it posted and hands back the rest", async () => {
    const env = newEnv({ SUBREQUEST_BUDGET: "9000" });
    await leaveBehind(env, 300);
    const begun = Date.now();
    const { env: slow, keys } = scripted(env, {
      post() {
        passTime(800);
        return acceptance();
      },
    });
    await cron(slow);
    expect(Date.now() - begun).toBeLessThan(60_000);
    expect(keys.length).toBeGreaterThan(20);
    expect(keys.length).toBeLessThan(100);
    for (const row of await log(env)) {
      expect(row.state).toBe(keys.includes(row.id) ? "accepted" : "pending");
      // Handed back, not held until its lease ends.
      if (row.state === "pending") expect(row.due_at).toBeLessThanOrEqual(Date.now());
    }
  });
});

test.each([
  ["time", "9000", 800],
  ["subrequests", "45", 0],
])(
  "a backlog that uses all the %s it can get leaves the walk and KV their share",
  async (_, budget, ms) => {
    const env = newEnv({ SUBREQUEST_BUDGET: budget });
    await leaveBehind(env, 301, (n) => {
      const due_at = Date.now() + DAY_MS;
      if (n === 301) return { state: "accepted", accepted_at: 1, due_at };
      return n === 300 ? { state: "accepted", accepted_at: 1, stored: 0 } : {};
    });
    const { env: slow } = scripted(walkingNow(env), {
      post() {
        if (ms > 0) passTime(ms);
        return acceptance();
      },
      list: () => ({ events: [{ idempotency_key: idOf(301) }] }),
    });
    await cron(slow);
    const rows = await log(env);
    expect(rows.some(({ state, attempts }) => state === "pending" && attempts === 0)).toBe(true);
    expect(rows[299]).toMatchObject({ stored: 1 });
    expect(rows[300]).toMatchObject({ state: "confirmed" });
  },
);
