/** What goes on in waitUntil: each endpoint is posted to, KV is looked at again, and both are recorded. */
import { env as testEnv } from "cloudflare:workers";
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Posted } from "../../../src/outbox/gateway.ts";
import { LEASE_MS } from "../../../src/outbox/write.ts";
import { sleep } from "../../../src/run.ts";
import type { Bindings } from "../../../src/settings.ts";
import { logCaller } from "../../support/log-caller.ts";
import { deliveryRows, eventRows, leaveEndpoints } from "../../support/log-rows.ts";
import { around, failing, recording } from "../../support/operations.ts";

const env = testEnv as unknown as Bindings;
const { DB, KV } = env;

beforeEach(async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  await leaveEndpoints(DB, [{ id: "a1", owner: "a" }]);
});

const FAILED: Posted = {
  kind: "failed",
  error: "Convoy answered 500",
  throttled: false,
  retryAfterMs: null,
};
const BODY = { id: 1, name: "x", size: 1 };
/** The waits between posts. */
const waits = () => vi.mocked(sleep).mock.calls.flatMap(([ms]) => (ms === 25 ? [] : [ms]));

test("a change costs two transactions: its commit, and one that settles all the rest", async () => {
  const { env: watched, operations } = recording(env);
  const { call, gateway } = logCaller(watched);
  const { eventId } = await call("POST", "/thing", { name: "x", size: 1 });
  expect(operations.map(({ on }) => on)).toEqual(["D1", "KV", "D1"]);
  expect(await eventRows(DB)).toMatchObject([{ projected: 1, due_at: null }]);
  const [row] = await deliveryRows(DB);
  expect(row).toMatchObject({ status: "sending", failures: 0, error: null });
  expect(row?.due_at).toBe((row?.accepted_at ?? 0) + 600_000);
  expect(gateway.posts).toMatchObject([
    {
      key: `${eventId}.a1`,
      endpointId: "a1",
      type: "thing.created",
      body: { event_id: eventId, sequence: 1 },
    },
  ]);
});

describe("an answer to a post", () => {
  const answered = async (answer: Posted) => {
    const { call, gateway } = logCaller(env, { post: () => answer });
    expect((await call("POST", "/thing", BODY)).status).toBe(201);
    return { gateway, row: (await deliveryRows(DB))[0] };
  };

  test("that is a failure: three posts are one, and it is due at once, since nothing tells whose fault it is", async () => {
    const { gateway, row } = await answered(FAILED);
    expect(gateway.posts).toHaveLength(3);
    expect(new Set(gateway.posts.map(({ key }) => key)).size).toBe(1);
    expect(waits()).toEqual([1_000, 4_000]);
    expect(row).toMatchObject({ status: "pending", own_failures: 0, error: "Convoy answered 500" });
    expect(row?.due_at).toBeLessThanOrEqual(Date.now());
    expect(row?.failed_at).toBeGreaterThan(0);
  });

  test("that asks for fewer calls is not repeated here", async () => {
    const { gateway, row } = await answered({ ...FAILED, throttled: true, retryAfterMs: 60_000 });
    expect(gateway.posts).toHaveLength(1);
    expect(row).toMatchObject({ status: "pending", own_failures: 0 });
  });

  test("that it is too large is final", async () => {
    const { gateway, row } = await answered({ kind: "too large", error: "Convoy answered 413" });
    expect(gateway.posts).toHaveLength(1);
    expect(row).toMatchObject({ status: "dead", due_at: null, error: "Convoy answered 413" });
  });

  test("that it knows no such endpoint is no proof: told to those who keep them, and tried again", async () => {
    const { call, outbox } = logCaller(env, {
      post: () => ({ kind: "unknown endpoint", error: "404" }),
    });
    await call("POST", "/thing", BODY);
    expect((outbox.endpoints as never as { told: { doubted: string[] } }).told.doubted).toEqual([
      "a1",
    ]);
    expect(await deliveryRows(DB)).toMatchObject([{ status: "pending" }]);
    expect(await DB.prepare("SELECT last_report FROM cron_state").first("last_report")).toBe(
      "doubted",
    );
  });

  test("that this invocation may make no more leaves it to the cron, uncounted", async () => {
    const { row } = await answered({ kind: "not sent", error: "too many subrequests" });
    expect(row).toMatchObject({ status: "pending", failures: 0, error: null });
    expect(row?.due_at).toBeLessThanOrEqual(Date.now());
  });

  test("that comes after a failure ends it", async () => {
    let posts = 0;
    const { call } = logCaller(env, { post: () => (++posts < 3 ? FAILED : { kind: "accepted" }) });
    await call("POST", "/thing", BODY);
    expect(await deliveryRows(DB)).toMatchObject([{ status: "sending", failures: 0, error: null }]);
  });
});

describe("many endpoints", () => {
  const leave = (count: number) =>
    leaveEndpoints(
      DB,
      Array.from({ length: count }, (_, n) => ({ id: `b${n}`, owner: "b" })),
    );

  test("are posted to six at a time, and what does not fit a request's subrequests is the cron's", async () => {
    await leave(40);
    let [now, most] = [0, 0];
    const { call, gateway } = logCaller(env, {
      owner: "b",
      async post() {
        most = Math.max(most, ++now);
        await new Promise((resolve) => setTimeout(resolve));
        now--;
        return { kind: "accepted" };
      },
    });
    await call("POST", "/thing", BODY);
    expect(most).toBe(6);
    expect(gateway.posts).toHaveLength(34);
    const rows = await deliveryRows(DB);
    expect(rows.filter(({ status }) => status === "sending")).toHaveLength(34);
    for (const row of rows.filter(({ status }) => status === "pending")) {
      expect(row).toMatchObject({ failures: 0 });
      expect(row.due_at).toBeLessThanOrEqual(Date.now());
    }
  });

  test("of which one is held are posted to but for that one", async () => {
    await leaveEndpoints(DB, [
      { id: "b1", owner: "b", active: false },
      { id: "b2", owner: "b" },
    ]);
    const { call, gateway } = logCaller(env, { owner: "b" });
    await call("POST", "/thing", BODY);
    expect(gateway.posts.map(({ endpointId }) => endpointId)).toEqual(["b2"]);
  });
});

describe("a commit whose answer was lost", () => {
  test("and that another worker has claimed meanwhile is neither put nor posted by this one", async () => {
    const claimed = Date.now() + 2 * LEASE_MS;
    let batches = 0;
    const racing = around(env, async ({ what }, run) => {
      if (what !== "batch" || ++batches !== 1) return run();
      await run();
      await DB.batch([
        DB.prepare("UPDATE event SET due_at = ?").bind(claimed),
        DB.prepare("UPDATE delivery SET due_at = ?").bind(claimed),
      ]);
      throw new Error("D1_ERROR: Network connection lost.");
    });
    const { call, gateway } = logCaller(racing);
    expect((await call("POST", "/thing", BODY)).status).toBe(201);
    expect(gateway.posts).toEqual([]);
    expect((await KV.list()).keys).toEqual([]);
    expect(await eventRows(DB)).toMatchObject([{ projected: 0, due_at: claimed }]);
    expect(await deliveryRows(DB)).toMatchObject([{ status: "pending", due_at: claimed }]);
  });

  test.each([
    ["and that D1 refuses afterwards", "D1_ERROR: D1 DB is overloaded. Too many requests queued."],
    ["for good", "D1_ERROR: Network connection lost."],
  ])("%s is a 503 that does not say to try again, and names the event", async (_, message) => {
    let operations = 0;
    const broken = around(env, async ({ on }, run) => {
      if (on !== "D1") return run();
      if (++operations === 1) {
        await run();
        throw new Error("D1_ERROR: Network connection lost.");
      }
      throw new Error(message);
    });
    const reply = await logCaller(broken).call("POST", "/thing", { name: "x", size: 1 });
    expect(reply.status).toBe(503);
    expect(reply.body.error).toContain("may have been made");
    expect(reply.body.error).toContain(`GET /event/${reply.eventId}`);
    expect(reply.body.error).not.toMatch(/try again/i);
    // It was: and whoever looks finds it.
    const told = await logCaller(env).call("GET", `/event/${reply.eventId}`);
    expect(told).toMatchObject({ status: 200, body: { status: "pending" } });
  });

  test("but that was certainly refused says to try again, and names no event", async () => {
    const refusing = failing(env, ({ on }) => on === "D1", {
      error: new Error("D1_ERROR: D1 DB is overloaded. Too many requests queued."),
    });
    const reply = await logCaller(refusing).call("POST", "/thing", { name: "x", size: 1 });
    expect(reply).toMatchObject({ status: 503, eventId: null });
    expect(reply.body.error).toMatch(/try again/i);
  });
});

describe("KV", () => {
  test("that others change meanwhile gets their change", async () => {
    let isFirst = true;
    const racing = around(env, async ({ on, what }, run) => {
      const done = await run();
      if (on === "KV" && what === "put" && isFirst) {
        isFirst = false;
        // Committed and put before ours is looked at again; ours landed on top.
        await logCaller(env).begin("PUT", "/thing/1", { size: 9 });
        await run();
      }
      return done;
    });
    await logCaller(racing).call("POST", "/thing", BODY);
    await vi.waitFor(async () => {
      const [key] = (await KV.list()).keys;
      expect(JSON.parse((await KV.get(key?.name ?? "")) ?? "")).toMatchObject({ size: 9 });
      expect((await eventRows(DB)).map(({ projected }) => projected)).toEqual([1, 1]);
    });
  });

  test("that refuses the put is the cron's, and the caller is answered all the same", async () => {
    const refusing = failing(env, ({ on, what }) => on === "KV" && what === "put");
    expect((await logCaller(refusing).call("POST", "/thing", BODY)).status).toBe(201);
    const [row] = await eventRows(DB);
    expect(row).toMatchObject({ projected: 0 });
    expect(row?.due_at).toBeLessThanOrEqual(Date.now());
    expect(await deliveryRows(DB)).toMatchObject([{ status: "sending" }]);
  });

  test("is looked at again within a second though the gateway hangs", async () => {
    const { promise, resolve } = Promise.withResolvers<Posted>();
    const { begin } = logCaller(env, { post: () => promise });
    const { done } = await begin("POST", "/thing", BODY);
    await vi.waitFor(
      async () => expect(await eventRows(DB)).toMatchObject([{ projected: 1 }]),
      5_000,
    );
    expect(await deliveryRows(DB)).toMatchObject([{ status: "pending" }]);
    resolve({ kind: "accepted" });
    await done();
    expect(await deliveryRows(DB)).toMatchObject([{ status: "sending" }]);
  });
});

describe("a read's event", () => {
  const read = async (id: string, script = {}) => {
    await logCaller(env).call("POST", "/thing", BODY);
    const before = await deliveryRows(DB);
    const { call, gateway } = logCaller(env, script);
    await call("GET", `/thing/1?endpoint=${id}`);
    expect(await deliveryRows(DB)).toEqual(before);
    return gateway.posts;
  };

  test("is posted once, without a sequence, and leaves no row", async () => {
    const [post, ...more] = await read("a1");
    expect(more).toEqual([]);
    expect(post).toMatchObject({
      endpointId: "a1",
      type: "thing.retrieved",
      body: { thing: BODY },
    });
    expect(post?.body).not.toHaveProperty("sequence");
  });

  test("is not tried again", async () => {
    expect(await read("a1", { post: () => FAILED })).toHaveLength(1);
  });

  test.each([
    ["that is paused", { id: "p1", owner: "a", active: false }],
    ["of another owner", { id: "b1", owner: "b" }],
  ])("goes to no endpoint %s", async (_, endpoint) => {
    await leaveEndpoints(DB, [endpoint]);
    expect(await read(endpoint.id)).toEqual([]);
  });
});
