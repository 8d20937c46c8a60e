/** The walk: Convoy's list is read once, in order, and events are settled by it. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Bindings } from "../../../src/config.ts";
import { passTime } from "../../support/cut-worker.ts";
import { confirm, idOf, leaveBehind, publish, walkingNow } from "../../support/events.ts";
import { around, recording, refusalOf } from "../../support/operations.ts";
import { type ListedEvent, type ListedPage, scripted } from "../../support/scripted-convoy.ts";
import { accepted, cron, log, newEndpoint, newEnv, setFaults } from "../../support/worker.ts";

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "log").mockImplementation(() => {});
});
afterEach(() => void vi.useRealTimers());

const isList = ({ what }: { what: string }) => what === "GET /events";
const later = () => Date.now() + 600_000;

/** Logs `count` events that Convoy accepted and the walk has yet to find. */
const leaveAccepted = (env: Bindings, count: number, endpoint_id: string | null = null) =>
  leaveBehind(env, count, () => ({
    state: "accepted",
    accepted_at: Date.now(),
    endpoint_id,
    due_at: later(),
  }));

/** A Convoy whose list has these pages; each has the next one's index as its cursor. */
function pages(env: Bindings, all: ListedEvent[][]) {
  return scripted(walkingNow(env), {
    list(query): ListedPage {
      const at = Number(query.get("next_page_cursor") ?? 0);
      const next = at + 1 < all.length ? { next: String(at + 1) } : {};
      return { events: all[at] ?? [], ...next };
    },
  });
}
const page = (...events: (Partial<ListedEvent> & { n: number })[]) =>
  events.map(({ n, ...event }): ListedEvent => ({ idempotency_key: idOf(n), ...event }));
const cursors = (queries: URLSearchParams[]) => queries.map((q) => q.get("next_page_cursor"));

test("confirms what Convoy has processed, and then asks nothing more", async () => {
  const env = newEnv();
  await newEndpoint(env);
  await publish(env);
  await confirm(env);
  const [row] = await log(env);
  expect(row).toMatchObject({ state: "confirmed", due_at: null, error: null });
  expect(row?.finished_at).toBeGreaterThanOrEqual(row?.accepted_at ?? 9e15);
  const watched = recording(walkingNow(env));
  await cron(watched.env);
  expect(watched.operations.filter(({ on }) => on === "Convoy")).toEqual([]);
  expect(await accepted(env)).toHaveLength(1);
});

test("does not look for what was accepted only just now", async () => {
  const env = newEnv();
  await publish(env);
  const watched = recording(env);
  await cron(watched.env);
  expect(watched.operations.filter(isList)).toEqual([]);
  passTime(180_000);
  await cron(watched.env);
  expect(watched.operations.filter(isList)).toHaveLength(1);
});

test("asks for everything since before the first event, in whole seconds, oldest first", async () => {
  const env = newEnv();
  await leaveAccepted(env, 1);
  const first = (await log(env))[0]?.occurred_at ?? 0;
  const { env: convoy, queries } = pages(env, []);
  const before = Date.now();
  await cron(convoy);
  const { startDate, endDate, sort } = Object.fromEntries(queries[0] ?? []);
  expect(sort).toBe("ASC");
  expect(startDate).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
  // Convoy's clock may differ by a minute.
  expect(Date.parse(`${startDate}Z`)).toBeLessThanOrEqual(first - 60_000);
  expect(Date.parse(`${endDate}Z`)).toBeGreaterThanOrEqual(before);
  passTime(30_000);
  await cron(convoy);
  // The next window begins where this one ended.
  expect(Date.parse(`${queries[1]?.get("startDate")}Z`)).toBeLessThanOrEqual(
    Date.parse(`${endDate}Z`),
  );
});

describe("what the list says", () => {
  const nobody = "no subscription matched this event";
  type Case = [says: string, endpoint: string | null, event: Partial<ListedEvent>, state: string];
  const dead = /could not process/;
  test.each<[...Case, error?: RegExp]>([
    ["Success", null, {}, "confirmed"],
    ["a failure", null, { status: "Failure", failure_reason: "pq: x" }, "dead", dead],
    [
      "a failure from a version without reasons",
      "e",
      { status: "Failure", endpoints: ["e"] },
      "dead",
      dead,
    ],
    ["that nobody subscribes", null, { status: "Failure", failure_reason: nobody }, "confirmed"],
    [
      "that nobody subscribes, without a reason",
      null,
      { status: "Failure", endpoints: [] },
      "confirmed",
    ],
    [
      "that its one endpoint does not subscribe",
      "e",
      { status: "Failure", failure_reason: nobody },
      "dead",
      /no subscription/,
    ],
    ["that it is unfinished", null, { status: "Processing" }, "accepted"],
    ["that it will be retried", null, { status: "Retry" }, "accepted"],
    ["that it is a duplicate", null, { is_duplicate_event: true }, "accepted"],
    ["another key of the event", null, { idempotency_key: `${idOf(1)}:1` }, "accepted"],
    ["another producer's key", null, { idempotency_key: "theirs" }, "accepted"],
  ])("%s (endpoint %j, %j): %s", async (_, endpoint, event, state, error) => {
    const env = newEnv();
    await leaveAccepted(env, 1, endpoint);
    await cron(pages(env, [page({ n: 1, ...event })]).env);
    const [row] = await log(env);
    expect(row?.state).toBe(state);
    expect(row?.due_at === null).toBe(state !== "accepted");
    if (error) expect(row?.error).toMatch(error);
    else expect(row?.error).toBeNull();
    expect(JSON.stringify(row)).not.toContain("pq:");
  });

  test("about another project is ignored, and read again once the key is right", async () => {
    const env = newEnv();
    await leaveAccepted(env, 1);
    await cron(pages(env, [page({ n: 1, project_id: "theirs" })]).env);
    expect(await log(env)).toMatchObject([{ state: "accepted" }]);
    await cron(pages(env, [page({ n: 1 })]).env);
    expect(await log(env)).toMatchObject([{ state: "confirmed" }]);
  });
});

describe("over many pages", () => {
  const all = (count: number) => Array.from({ length: count }, (_, i) => page({ n: i + 1 }));
  const inOrder = (count: number) =>
    Array.from({ length: count }, (_, i) => (i === 0 ? null : String(i)));

  test("continues where its budget ended, and reads each page once", async () => {
    const env = newEnv();
    await leaveAccepted(env, 60);
    const { env: convoy, queries } = pages(env, all(60));
    const done: number[] = [];
    for (let run = 0; run < 4; run++) {
      // Time passing does not move the open window.
      passTime(60_000);
      const { env: watched, operations } = recording(convoy);
      await cron(watched);
      expect(operations.length).toBeLessThanOrEqual(45);
      done.push((await log(env)).filter(({ state }) => state === "confirmed").length);
    }
    expect(cursors(queries)).toEqual(inOrder(60));
    expect(new Set(queries.map((query) => query.get("endDate"))).size).toBe(1);
    expect(done[0]).toBeGreaterThan(10);
    expect(done.at(-1)).toBe(60);
  });

  test("continues where Convoy failed, or where D1 was lost while a page was recorded", async () => {
    const env = newEnv();
    await leaveAccepted(env, 6);
    const { env: convoy, queries } = pages(env, all(6));
    let [lists, batches] = [0, 0];
    const broken = around(convoy, async (operation, run) => {
      if (isList(operation) && ++lists === 3) return refusalOf(500, "");
      if (operation.what === "batch" && ++batches === 4)
        throw new Error("Network connection lost.");
      return run();
    });
    await cron(broken);
    await cron(broken).catch(() => {});
    await cron(broken);
    expect((await log(env)).every(({ state }) => state === "confirmed")).toBe(true);
    // The page that D1 lost is read again, since it may not have been recorded.
    expect(cursors(queries)).toEqual([null, "1", "2", "3", "3", "4", "5"]);
  });

  test("leaves no gap when two runs read at once", async () => {
    const env = newEnv();
    await leaveAccepted(env, 8);
    const { env: convoy } = pages(env, all(8));
    await Promise.all([cron(convoy), cron(convoy)]);
    await cron(convoy);
    expect((await log(env)).every(({ state }) => state === "confirmed")).toBe(true);
  });
});

test("10,000 events are confirmed by one list call per page", async () => {
  const env = newEnv({ SUBREQUEST_BUDGET: "200" });
  await leaveAccepted(env, 10_000);
  const all = Array.from({ length: 40 }, (_, p) =>
    page(...Array.from({ length: 250 }, (_, i) => ({ n: p * 250 + i + 1 }))),
  );
  const { env: convoy, queries } = pages(env, all);
  await cron(convoy);
  expect(queries).toHaveLength(40);
  const left = await env.DB.prepare(
    "SELECT count(*) AS n FROM event WHERE state <> 'confirmed'",
  ).first();
  expect(left).toEqual({ n: 0 });
});

test("an event that Convoy swallowed stays accepted, as unlisted does not yet mean lost", async () => {
  const env = newEnv();
  await setFaults(env, { swallow: true });
  await publish(env);
  await setFaults(env, {});
  await cron(walkingNow(env));
  expect(await log(env)).toMatchObject([{ state: "accepted" }]);
});
