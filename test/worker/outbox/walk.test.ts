/** The walk: the gateway's list is read once, in order, and nothing that cannot be read stops it. */
import { env as testEnv } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Run } from "../../../src/outbox/cron-run.ts";
import type { GatewayDelivery, Listed, Window } from "../../../src/outbox/gateway.ts";
import { type WalkPlace, type WalkReport, walk } from "../../../src/outbox/walk.ts";
import type { Bindings } from "../../../src/settings.ts";
import {
  listed,
  notedEndpoints,
  runOf,
  type ScriptedGateway,
  scriptedGateway,
} from "../../support/gateway.ts";
import { deliveryRows, leaveDeliveries } from "../../support/log-rows.ts";

const env = testEnv as unknown as Bindings;
const { DB } = env;
const NOW = Date.UTC(2026, 10, 24, 12);
const MINUTE_MS = 60_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"], now: NOW }));
afterEach(() => void vi.useRealTimers());

const pass = (ms: number) => vi.setSystemTime(Date.now() + ms);

/** The place as it is kept. */
async function placeOf(): Promise<WalkPlace> {
  const row = await DB.prepare("SELECT * FROM cron_state").first<Record<string, never>>();
  const {
    walk_since: since = null,
    walk_until: until = null,
    walk_cursor: cursor = null,
  } = row ?? {};
  return {
    since,
    until,
    cursor,
    endpoints: JSON.parse(row?.walk_endpoints ?? "null"),
    failures: Number(row?.walk_failures),
  };
}

/** One run of the walk from the place that is kept, as the cron does it; `pages`: the calls that its budget is good for. */
async function step(
  run: Run & { gateway: ScriptedGateway },
  { pages = 100, underWay = true } = {},
): Promise<WalkReport> {
  const { windows } = run.gateway;
  const begun = windows.length;
  const left = () => (windows.length - begun < pages ? 100 : 0);
  const place = { walk: await placeOf(), proof: { madeAt: 0, seenAt: 0 } };
  return walk(run, { ...place, underWay, firstUnderWayAt: NOW - MINUTE_MS }, { left });
}

/** Leaves deliveries 1 to `count` that the gateway took. */
const leaveSending = (count: number) =>
  leaveDeliveries(
    DB,
    Array.from({ length: count }, () => ({ status: "sending" as const, due_at: NOW + 600_000 })),
  );

const statuses = async () => (await deliveryRows(DB)).map(({ status }) => status);
const all = (status: string, count: number) => Array.from({ length: count }, () => status);

/** A list of the deliveries 1 to `count`, whose cursors name the item that a page begins with; `trouble` may answer instead. */
function list(
  count: number,
  trouble: (window: Window, from: number, to: number) => Listed | undefined = () => undefined,
) {
  return scriptedGateway({
    list(window) {
      const from = Number(window.cursor ?? 1);
      const to = Math.min(from + window.limit, count + 1);
      const deliveries = Array.from({ length: Math.max(0, to - from) }, (_, at) =>
        listed(from + at),
      );
      const whole = { kind: "page" as const, deliveries, next: to <= count ? String(to) : null };
      return trouble(window, from, to) ?? whole;
    },
  });
}

const BROKEN: Listed = { kind: "unreadable", error: "Convoy answered 500" };

test("reads a window once, page by page, and records each", async () => {
  await leaveSending(250);
  const gateway = list(250);
  const report = await step(runOf(env, gateway));
  expect(report).toMatchObject({ pages: 3, delivered: 250 });
  expect(report.problem).toBeUndefined();
  expect(gateway.windows.map(({ cursor }) => cursor)).toEqual([null, "101", "201"]);
  expect(await statuses()).toEqual(all("delivered", 250));
});

test("asks from a minute before the first one under way until the walk's delay ago", async () => {
  await leaveSending(1);
  const gateway = list(1);
  await step(runOf(env, gateway, { walkDelayMs: 30_000 }));
  expect(gateway.windows).toMatchObject([
    { fromMs: NOW - 3 * MINUTE_MS, toMs: NOW - 30_000, limit: 100 },
  ]);
  // The next window begins where this one ended, and a minute before: clocks differ.
  pass(MINUTE_MS);
  await leaveDeliveries(DB, [{ status: "sending", due_at: NOW }], 2);
  await step(runOf(env, gateway, { walkDelayMs: 30_000 }));
  expect(gateway.windows[1]).toMatchObject({
    fromMs: NOW - 30_000 - MINUTE_MS,
    toMs: NOW + 30_000,
  });
});

test("reads nothing while nothing is under way, and then begins behind what may have been posted meanwhile", async () => {
  const gateway = list(0);
  const run = runOf(env, gateway, { walkDelayMs: 5 * MINUTE_MS });
  const report = await step(run, { underWay: false });
  expect(gateway.windows).toEqual([]);
  // Not at now: another worker may have posted since the agenda was read, and this one's walk is to find it.
  expect(report.place.since).toBe(NOW - 5 * MINUTE_MS);
  expect(await placeOf()).toEqual(report.place);
});

test("does not write its place each minute while nothing is under way", async () => {
  const run = runOf(env, list(0));
  const first = await step(run, { underWay: false });
  pass(9 * MINUTE_MS);
  expect((await step(run, { underWay: false })).place).toEqual(first.place);
  pass(2 * MINUTE_MS);
  expect((await step(run, { underWay: false })).place.since).toBe(Date.now() - MINUTE_MS);
});

describe("a window names its endpoints", () => {
  const named = async () => {
    const gateway = list(0);
    await step(runOf(env, gateway));
    return gateway.windows[0]?.endpointIds;
  };

  test("if few have something under way", async () => {
    await leaveDeliveries(DB, [
      { status: "sending", endpoint_id: "a1", due_at: NOW },
      { status: "sending", endpoint_id: "a1", due_at: NOW },
      { status: "pending", endpoint_id: "a2" },
      { status: "delivered", endpoint_id: "a3" },
      { status: "held", endpoint_id: "a4" },
    ]);
    expect((await named())?.toSorted()).toEqual(["a1", "a2"]);
  });

  test("the same ones on each of its pages, whatever becomes under way meanwhile", async () => {
    await leaveSending(150);
    const gateway = list(150);
    await step(runOf(env, gateway), { pages: 1 });
    await leaveDeliveries(DB, [{ status: "sending", endpoint_id: "b1", due_at: NOW }], 200);
    await step(runOf(env, gateway));
    expect(gateway.windows.map(({ endpointIds }) => endpointIds)).toEqual([["a1"], ["a1"]]);
  });

  test.each([
    ["many endpoints", 21, 1],
    ["many deliveries", 1, 200],
  ])("but not if %s have", async (_, endpoints, each) => {
    await leaveDeliveries(
      DB,
      Array.from({ length: endpoints * each }, (__, n) => ({
        status: "sending",
        endpoint_id: `e${n % endpoints}`,
        due_at: NOW,
      })),
    );
    expect(await named()).toBeUndefined();
  });
});

describe("over many runs", () => {
  test("continues where its budget ended: each page once, the window as it was", async () => {
    await leaveSending(1_000);
    const gateway = list(1_000);
    for (let runs = 0; runs < 5; runs++) {
      await step(runOf(env, gateway), { pages: 2 });
      pass(MINUTE_MS);
    }
    const own = gateway.windows.slice(0, 10);
    expect(own.map(({ cursor }) => cursor)).toEqual([
      null,
      "101",
      "201",
      "301",
      "401",
      "501",
      "601",
      "701",
      "801",
      "901",
    ]);
    expect(new Set(own.map(({ toMs }) => toMs)).size).toBe(1);
    expect(await statuses()).toEqual(all("delivered", 1_000));
  });

  test("a run that finds another one ahead leaves its place alone", async () => {
    await leaveSending(300);
    const gateway = list(300);
    let other: Promise<unknown> | undefined;
    const held = scriptedGateway({
      async list(window) {
        // While this run waits for its page, another one reads the whole window.
        other ??= step(runOf(env, gateway));
        await other;
        return gateway.list(window);
      },
    });
    const report = await step(runOf(env, held));
    expect(report.problem).toBe("another run is ahead");
    expect(await placeOf()).toMatchObject({ since: NOW, until: null, cursor: null });
    expect(await statuses()).toEqual(all("delivered", 300));
  });
});

describe("gets past what it cannot read", () => {
  /** Runs until the window is closed, at most 20 times. @returns how many runs it took */
  async function until(run: Run & { gateway: ScriptedGateway }): Promise<number> {
    for (let runs = 1; runs <= 20; runs++) {
      await step(run);
      const { until: open } = await placeOf();
      if (open === null) return runs;
      pass(MINUTE_MS);
    }
    throw new Error(`it stands at ${JSON.stringify(await placeOf())}`);
  }

  test("a page that is too large: a smaller one", async () => {
    await leaveSending(300);
    // Others' large bodies: no more than thirty of these on a page.
    const gateway = list(300, (_, from, to) =>
      from < 200 && to > 150 && to - from > 30 ? BROKEN : undefined,
    );
    await until(runOf(env, gateway));
    expect(await statuses()).toEqual(all("delivered", 300));
    // Behind it, whole pages again.
    expect(gateway.windows.at(-1)?.limit).toBe(100);
  });

  test("an item that breaks every page that it is on: what is before it, and then the next window", async () => {
    await leaveSending(300);
    const gateway = list(300, (window, from, to) =>
      window.toMs === NOW && from <= 150 && to > 150 ? BROKEN : undefined,
    );
    const runs = await until(runOf(env, gateway));
    expect(runs).toBeLessThanOrEqual(8);
    const after = await statuses();
    expect(after.slice(0, 100)).toEqual(all("delivered", 100));
    // Passed, not taken for anything: it is looked for by its key when it is due.
    expect(after[149]).toBe("sending");
    expect(await placeOf()).toMatchObject({ since: NOW, failures: 0 });
  });

  test("a cursor that is refused", async () => {
    await leaveSending(300);
    const gateway = list(300, ({ cursor, toMs }) =>
      cursor !== null && toMs === NOW ? { kind: "unreadable", error: "400" } : undefined,
    );
    expect(await until(runOf(env, gateway))).toBeLessThanOrEqual(5);
    expect((await statuses()).slice(0, 100)).toEqual(all("delivered", 100));
  });

  test.each([
    ["on its first page", 1],
    ["on its second", 101],
  ])("a cursor that does not move, %s, though a run reads only one page", async (_, stays) => {
    await leaveSending(300);
    const gateway = list(300, (window, from, to) => {
      if (window.toMs !== NOW || from !== stays) return undefined;
      const deliveries = Array.from({ length: to - from }, (__, at) => listed(from + at));
      return { kind: "page", deliveries, next: String(from) };
    });
    for (let runs = 0; runs < 40 && (await placeOf()).since !== NOW; runs++)
      await step(runOf(env, gateway), { pages: 1 });
    expect(await placeOf()).toMatchObject({ since: NOW, until: null });
  });

  test("cursors that go in a circle", async () => {
    await leaveSending(300);
    const gateway = list(300, (window, from) =>
      window.toMs === NOW && from === 201
        ? { kind: "page", deliveries: [], next: "101" }
        : undefined,
    );
    expect(await until(runOf(env, gateway))).toBeLessThanOrEqual(5);
  });

  test("but passes nothing while the gateway can list nothing at all", async () => {
    await leaveSending(1);
    const gateway = list(1, () => BROKEN);
    for (let runs = 0; runs < 10; runs++) {
      const report = await step(runOf(env, gateway));
      expect(report.problem).toBe("Convoy answered 500");
      pass(MINUTE_MS);
    }
    expect(await placeOf()).toMatchObject({ until: NOW, cursor: null });
    const well = list(1);
    await step(runOf(env, well));
    expect(await statuses()).toEqual(["delivered"]);
  });

  test("and gives up after few calls a run", async () => {
    await leaveSending(1);
    const gateway = list(1, () => BROKEN);
    await step(runOf(env, gateway));
    expect(gateway.windows.length).toBeLessThanOrEqual(4);
  });

  test("a gateway that does not answer keeps the place, and is asked once a run", async () => {
    await leaveSending(300);
    const gateway = list(300, ({ cursor }) =>
      cursor === null ? undefined : { kind: "silent", error: "Convoy not reachable" },
    );
    const report = await step(runOf(env, gateway));
    expect(report.problem).toBe("Convoy not reachable");
    expect(gateway.windows).toHaveLength(2);
    const stands = await placeOf();
    expect(stands).toMatchObject({ until: NOW, cursor: "101", failures: 0 });
    await step(runOf(env, gateway));
    expect(await placeOf()).toEqual(stands);
    await step(runOf(env, list(300)));
    expect(await statuses()).toEqual(all("delivered", 300));
  });
});

test("a page and the new place are one transaction: what D1 lost is read again", async () => {
  await leaveSending(2);
  const run = runOf({ ...env, DB: refusing(DB) }, list(2));
  await expect(step(run)).rejects.toThrow("D1");
  expect(await statuses()).toEqual(["sending", "sending"]);
  expect(await placeOf()).toMatchObject({ until: NOW, cursor: null });
});

/** A database whose batches fail. */
function refusing(db: D1Database): D1Database {
  return new Proxy(db, {
    get(target, name) {
      if (name === "batch")
        return () => Promise.reject(new Error("D1_ERROR: Network connection lost."));
      const member = Reflect.get(target, name) as unknown;
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}

test("tells those who keep the endpoints what it saw of them, in D1", async () => {
  await leaveSending(1);
  const endpoints = notedEndpoints();
  const says: GatewayDelivery = listed(1, {
    progress: "failure",
    attempts: 3,
    endpointActive: false,
  });
  const gateway = scriptedGateway({
    list: () => ({ kind: "page", deliveries: [says], next: null }),
  });
  const report = await step(runOf(env, gateway, { endpoints }));
  expect(report).toMatchObject({ delivered: 0, failed: 1, held: 0 });
  expect(endpoints.told).toMatchObject({
    seen: [{ endpointId: "a1", active: false }],
    reported: [{ endpointId: "a1", at: NOW, error: "The endpoint did not take it." }],
  });
  const row = await DB.prepare("SELECT last_report FROM cron_state").first();
  expect(row).toEqual({ last_report: "seen reported" });
});
