/** /event and /delivery: what an owner sees of the log, filtered and page by page, and how it repairs it. */
import { env as testEnv } from "cloudflare:workers";
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Attempt, GatewayDelivery } from "../../../src/outbox/gateway.ts";
import type { Bindings } from "../../../src/settings.ts";
import { listed, page } from "../../support/gateway.ts";
import { logCaller } from "../../support/log-caller.ts";
import {
  deliveryRows,
  eventIdOf,
  type LeftDelivery,
  leaveChanges,
  leaveDeliveries,
  leaveEndpoints,
} from "../../support/log-rows.ts";
import { around } from "../../support/operations.ts";

const env = testEnv as unknown as Bindings;
const { DB } = env;

beforeEach(async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  await leaveEndpoints(DB, [
    { id: "a1", owner: "a" },
    { id: "b1", owner: "b" },
  ]);
});

const get = async (path: string, caller = logCaller(env)) => (await caller.call("GET", path)).body;
const idOf = (seq: number, endpoint = "a1") => `${eventIdOf(seq)}.${endpoint}`;
const at = (minute: number) => Date.UTC(2026, 0, 1, 0, minute);

/** Follows the cursors. @returns the sequences of each page */
async function pages(path: string, key: "sequence" = "sequence"): Promise<number[][]> {
  const found: number[][] = [];
  let cursor: string | undefined;
  do {
    const body = await get(`${path}${cursor ? `&cursor=${cursor}` : ""}`);
    found.push(body.data.map((one: Record<string, number>) => one[key]));
    cursor = body.cursor;
  } while (cursor !== undefined && found.length < 50);
  return found;
}

/** Six deliveries, one of each status, a minute apart. */
const SIX: LeftDelivery[] = (
  ["failed", "dead", "held", "pending", "sending", "delivered"] as const
).map((status, n) => ({
  status,
  occurred_at: at(n),
  type: n % 2 ? "thing.updated" : "thing.created",
  due_at: ["pending", "sending"].includes(status) ? at(99) : null,
}));

/** Ids that follow the events' times, as they do. */
async function alignIds(): Promise<void> {
  await DB.prepare(
    "UPDATE event SET id = substr(printf('%012x', occurred_at), 1, 8) || '-' || substr(printf('%012x', occurred_at), 9) || substr(id, 14)",
  ).run();
}

describe.each([
  ["/delivery", 6],
  ["/event", 6],
])("%s", (path, count) => {
  test("lists the owner's, newest first, and nobody else's", async () => {
    await leaveDeliveries(DB, [...SIX, { owner: "b", endpoint_id: "b1" }]);
    expect(await pages(`${path}?limit=100`)).toEqual([[6, 5, 4, 3, 2, 1]]);
    expect((await get(path, logCaller(env, { owner: "b" }))).data).toHaveLength(1);
    expect((await get(path, logCaller(env, { owner: "c" }))).data).toEqual([]);
  });

  test("in pages, each once, whatever is added meanwhile", async () => {
    await leaveDeliveries(DB, SIX);
    const first = await get(`${path}?limit=4`);
    await leaveDeliveries(DB, [{ status: "failed" }], 7);
    const second = await get(`${path}?limit=4&cursor=${first.cursor}`);
    const seqs = [...first.data, ...second.data].map(
      ({ sequence }: { sequence: number }) => sequence,
    );
    expect(seqs).toEqual([6, 5, 4, 3, 2, 1]);
    expect(second.cursor).toBeUndefined();
    expect(seqs).toHaveLength(count);
  });

  test.each([
    ["status=failed", [1]],
    ["status=dead", [2]],
    ["status=held", [3]],
    ["status=held&endpoint=a1", [3]],
    ["status=pending", [4]],
    ["status=sending", [5]],
    ["status=delivered", [6]],
    ["endpoint=a1", [6, 5, 4, 3, 2, 1]],
    ["endpoint=b1", []],
    ["type=thing.created", [5, 3, 1]],
    ["type=nothing", []],
    ["since=2026-01-01T00:03:00Z", [6, 5, 4]],
    ["until=2026-01-01T00:03:00Z", [3, 2, 1]],
    ["since=2026-01-01T01:01:00%2B01:00&until=2026-01-01T00:02:00Z", [2]],
    ["status=dead&type=thing.created", []],
  ])("filters by %s", async (query, seqs) => {
    await leaveDeliveries(DB, SIX);
    await alignIds();
    expect(await pages(`${path}?${query}`)).toEqual([seqs]);
  });

  test("a filter without an index looks at a thousand rows a page, and goes on where it stopped", async () => {
    await leaveDeliveries(DB, [
      ...Array.from({ length: 3 }, () => ({ status: "held" as const })),
      ...Array.from({ length: 1_500 }, () => ({ status: "delivered" as const })),
      { status: "held" },
    ]);
    expect(await pages(`${path}?status=held`)).toEqual([[1_504], [3, 2, 1]]);
    // Of many matches, each once, whatever the limit.
    expect((await pages(`${path}?status=delivered&limit=1000`)).flat()).toHaveLength(1_500);
  });

  test("also what was committed before an event with an earlier id", async () => {
    await leaveDeliveries(DB, [{}, {}]);
    await DB.prepare("UPDATE event SET id = ? WHERE seq = 1").bind(eventIdOf(9)).run();
    expect(await pages(`${path}?limit=10`)).toEqual([[2, 1]]);
    expect(await pages(`${path}?since=1970-01-01T00:00:00Z`)).toEqual([[2, 1]]);
  });

  test.each([
    ["an unknown parameter", "state=dead"],
    ["one that is repeated", "status=dead&status=failed"],
    ["no status", "status=accepted"],
    ["no limit", "limit=0"],
    ["a limit that is too large", "limit=1001"],
    ["no time", "since=yesterday"],
    ["a time without a zone", "until=2026-01-01T00:00:00"],
    ["another list's cursor", "cursor=x"],
  ])("refuses %s with a 400", async (_, query) => {
    const { status, body } = await logCaller(env).call("GET", `${path}?${query}`);
    expect(status).toBe(400);
    expect(body.error).toEqual(expect.any(String));
  });
});

describe("an event", () => {
  test("shows the first status that one of its deliveries has, and counts them", async () => {
    await leaveEndpoints(
      DB,
      ["a2", "a3", "a4"].map((id) => ({ id, owner: "a" })),
    );
    const { call } = logCaller(env);
    const { eventId } = await call("POST", "/thing", { id: 7, name: "Spanner", size: 1 });
    await DB.batch(
      (
        [
          ["delivered", "a1"],
          ["delivered", "a2"],
          ["failed", "a3"],
          ["delivered", "a4"],
        ] as const
      ).map(([status, id]) =>
        DB.prepare(
          "UPDATE delivery SET status = ?, due_at = NULL, finished_at = 1 WHERE endpoint_id = ?",
        ).bind(status, id),
      ),
    );
    const told = await get(`/event/${eventId}`);
    expect(told).toMatchObject({
      ...{ id: eventId, sequence: 1, type: "thing.created", change: "create", status: "failed" },
      ...{
        resource: "thing",
        resource_id: "7",
        title: "Spanner",
        data: { id: 7, name: "Spanner", size: 1 },
      },
    });
    expect(told.deliveries).toHaveLength(4);
    const [listedOne] = (await get("/event")).data;
    expect(listedOne.deliveries).toEqual({ delivered: 3, failed: 1 });
  });

  test("without deliveries has the status none", async () => {
    await leaveChanges(DB, [{ projected: 1, due_at: null }]);
    expect((await get("/event")).data).toMatchObject([{ status: "none", deliveries: {} }]);
  });

  test.each([
    ["GET", ""],
    ["POST", "/replay"],
  ])("of another owner is a 404: %s%s", async (method, rest) => {
    await leaveDeliveries(DB, [{ status: "failed", owner: "b", endpoint_id: "b1" }]);
    const reply = await logCaller(env).call(method, `/event/${eventIdOf(1)}${rest}`);
    expect(reply).toMatchObject({ status: 404, body: { error: "Event not found" } });
  });

  test("is replayed: its failed and dead ones, posted at once under their next key", async () => {
    await leaveDeliveries(DB, [{ status: "dead" }]);
    const { call, gateway } = logCaller(env);
    const reply = await call("POST", `/event/${eventIdOf(1)}/replay`);
    expect(reply).toMatchObject({
      ...{ status: 202, eventId: eventIdOf(1) },
      body: {
        event_id: eventIdOf(1),
        deliveries: [{ id: idOf(1), status: "pending", resends: 1 }],
      },
    });
    expect(gateway.posts.map(({ key }) => key)).toEqual([`${idOf(1)}.1`]);
    expect(await deliveryRows(DB)).toMatchObject([
      { status: "sending", key_version: 1, since_version: 1 },
    ]);
  });

  test("that has nothing to replay is a 409", async () => {
    await leaveDeliveries(DB, [{ status: "pending", due_at: at(99) }]);
    expect((await logCaller(env).call("POST", `/event/${eventIdOf(1)}/replay`)).status).toBe(409);
  });
});

test("the summary counts the owner's, says since when the oldest waits, and why", async () => {
  await leaveDeliveries(DB, [
    ...SIX,
    { status: "pending", error: "Convoy answered 500", occurred_at: Date.now() - 60_000 },
    { status: "pending", error: "Convoy answered 500", occurred_at: Date.now() },
    { owner: "b", endpoint_id: "b1", status: "failed" },
  ]);
  await DB.prepare("UPDATE event SET occurred_at = ? WHERE seq = 4").bind(Date.now()).run();
  const told = await get("/event/summary");
  expect(told).toMatchObject({
    ...{ pending: 3, sending: 1, held: 1, failed: 1, dead: 1 },
    errors: [{ error: "Convoy answered 500", deliveries: 2 }],
  });
  expect(told.oldest_pending_ms).toBeGreaterThanOrEqual(60_000);
  expect(await get("/event/summary", logCaller(env, { owner: "c" }))).toMatchObject({
    pending: 0,
    oldest_pending_ms: null,
    errors: [],
  });
});

describe("a page with deliveries under way", () => {
  // An isolate remembers its last look for each database: each test has one of its own.
  let own: Bindings;
  beforeEach(() => {
    own = around(env, (_, run) => run());
  });
  const sending = (given: LeftDelivery = {}): LeftDelivery => ({
    status: "sending",
    due_at: at(99),
    accepted_at: 100_000,
    ...given,
  });
  const shown = (given: Partial<GatewayDelivery>) => ({ list: () => page(listed(1, given)) });

  test("asks the gateway once, shows what it says, and records only what is final", async () => {
    await leaveDeliveries(DB, [sending(), sending(), sending()]);
    const next = at(7);
    const script = {
      list: () =>
        page(
          listed(1, { updatedAt: at(5) }),
          listed(2, { progress: "failure", attempts: 10 }),
          listed(3, { progress: "unfinished", attempts: 4, nextTryAt: next }),
        ),
    };
    const caller = logCaller(own, script);
    const { data } = await get("/delivery", caller);
    expect(caller.gateway.windows).toMatchObject([{ endpointIds: ["a1"], limit: 100 }]);
    expect(data).toMatchObject([
      { status: "sending", attempts: 4, next_try_at: new Date(next).toISOString() },
      { status: "failed", attempts: 10 },
      { status: "delivered", finished_at: new Date(at(5)).toISOString() },
    ]);
    const rows = await deliveryRows(DB);
    expect(rows.map(({ status }) => status)).toEqual(["delivered", "failed", "sending"]);
    // A poll writes only what changed.
    expect(rows[2]).toMatchObject({ attempts: 0, due_at: at(99) });
    // Of its endpoint what came last.
    expect(caller.outbox.endpoints).toMatchObject({
      told: { reported: [{ endpointId: "a1", error: null }] },
    });
  });

  test.each<[string, GatewayDelivery]>([
    ["another's endpoint under our key", { ...listed(1), endpointId: "b1" }],
    ["another owner's delivery", listed(9, { endpointId: "b1" })],
    ["an old key", listed(1, { version: 1 })],
  ])("believes nothing of %s", async (_, item) => {
    await leaveDeliveries(DB, [sending()]);
    await leaveDeliveries(DB, [sending({ owner: "b", endpoint_id: "b1" })], 9);
    const { data } = await get("/delivery", logCaller(own, { list: () => page(item) }));
    expect(data).toMatchObject([{ status: "sending" }]);
    expect((await deliveryRows(DB)).map(({ status }) => status)).toEqual(["sending", "sending"]);
  });

  test.each(["silent", "unreadable"] as const)(
    "is shown as the log has it if the gateway is %s",
    async (kind) => {
      await leaveDeliveries(DB, [sending()]);
      const { data } = await get(
        "/delivery",
        logCaller(own, { list: () => ({ kind, error: "down" }) }),
      );
      expect(data).toMatchObject([{ status: "sending" }]);
    },
  );

  test("is shown though D1 takes nothing that was learned", async () => {
    await leaveDeliveries(DB, [sending()]);
    let batches = 0;
    const broken = new Proxy(DB, {
      get(target, name) {
        const member = Reflect.get(target, name) as (...given: unknown[]) => unknown;
        // The list; then what was learned.
        if (name === "batch") {
          return (...given: unknown[]) =>
            ++batches > 1 ? Promise.reject(new Error("lost")) : member.apply(target, given);
        }
        return typeof member === "function" ? member.bind(target) : member;
      },
    });
    const { status } = await logCaller({ ...env, DB: broken }, shown({})).call("GET", "/delivery");
    expect(status).toBe(200);
  });

  test("asks at most every few seconds for an owner, and not at all if nothing is under way", async () => {
    await leaveDeliveries(DB, [sending(), { status: "delivered", owner: "c", endpoint_id: "c1" }]);
    const caller = logCaller(own, shown({ progress: "unfinished" }));
    await Promise.all(Array.from({ length: 5 }, () => get("/delivery", caller)));
    expect(caller.gateway.windows).toHaveLength(1);
    const idle = logCaller(own, { owner: "c" });
    await get("/delivery", idle);
    expect(idle.gateway.windows).toEqual([]);
  });
});

describe("a delivery", () => {
  const attempt: Attempt = {
    ...{ at: "2026-01-01T00:00:01Z", took_ms: 12, http_status: 500, response: "no", error: null },
    request_headers: { "Content-Type": "application/json", "X-Api-Key": "[hidden]" },
    response_headers: { Server: "x" },
  };

  test("is shown with its body as sent, and the attempts of its keys", async () => {
    const { call } = logCaller(env);
    const { eventId } = await call("POST", "/thing", { id: 1, name: "x", size: 1 });
    await DB.prepare("UPDATE delivery SET key_version = 1, since_version = 0").run();
    const attempts: Record<string, Attempt[]> = {
      [`at-${eventId}.a1`]: [attempt],
      [`at-${eventId}.a1.1`]: [{ ...attempt, at: "2026-01-01T00:00:02Z", http_status: 200 }],
    };
    const told = await get(
      `/delivery/${eventId}.a1`,
      logCaller(env, {
        find: (key) => ({ kind: "delivery", delivery: { ...listed(1), id: `at-${key}`, key } }),
        attempts: (id) => ({ kind: "attempts", attempts: attempts[id] ?? [] }),
      }),
    );
    expect(told).toMatchObject({
      ...{ id: `${eventId}.a1`, status: "delivered", last_http_status: 200, title: "x" },
      body: {
        event: "created",
        event_id: eventId,
        sequence: 1,
        thing: { id: 1, name: "x", size: 1 },
      },
    });
    expect(told.attempts_made.map(({ http_status }: Attempt) => http_status)).toEqual([500, 200]);
    expect(await deliveryRows(DB)).toMatchObject([{ status: "delivered" }]);
  });

  test("is shown without them if the gateway does not say, with the reason", async () => {
    await leaveDeliveries(DB, [{ status: "failed" }]);
    const told = await get(
      `/delivery/${idOf(1)}`,
      logCaller(env, { find: () => ({ kind: "silent", error: "Convoy not reachable" }) }),
    );
    expect(told).toMatchObject({
      status: "failed",
      attempts_made: null,
      attempts_error: "Convoy not reachable",
    });
  });

  test.each([
    ["of another owner", idOf(1, "b1")],
    ["that is not there", idOf(2)],
    ["with a key's number", `${idOf(1)}.1`],
    ["that is no id", "x"],
  ])("%s is a 404", async (_, id) => {
    await leaveDeliveries(DB, [{ owner: "b", endpoint_id: "b1", status: "failed" }]);
    for (const [method, rest] of [
      ["GET", ""],
      ["POST", "/resend"],
    ] as const) {
      const reply = await logCaller(env).call(method, `/delivery/${id}${rest}`);
      expect(reply).toMatchObject({ status: 404, body: { error: "Delivery not found" } });
    }
  });

  test.each(["failed", "dead", "delivered"] as const)(
    "that is %s is sent again at once",
    async (status) => {
      await leaveDeliveries(DB, [{ status }]);
      const { call, gateway } = logCaller(env);
      const reply = await call("POST", `/delivery/${idOf(1)}/resend`);
      expect(reply).toMatchObject({
        status: 202,
        eventId: eventIdOf(1),
        body: { delivery: { status: "pending", resends: 1 } },
      });
      expect(gateway.posts).toMatchObject([
        { key: `${idOf(1)}.1`, body: { event_id: eventIdOf(1) } },
      ]);
      expect(await deliveryRows(DB)).toMatchObject([{ status: "sending", key_version: 1 }]);
    },
  );

  test.each<[string, LeftDelivery, RegExp]>([
    ["pending", { status: "pending", due_at: at(99) }, /pending/],
    ["being sent", { status: "sending", due_at: at(99) }, /being sent/],
    ["held", { status: "held" }, /Activate the endpoint/],
    ["dead, and its endpoint removed", { status: "dead", endpoint_id: "gone" }, /was removed/],
  ])("that is %s is not sent again: a 409 says why", async (_, left, reason) => {
    await leaveDeliveries(DB, [left]);
    const before = await deliveryRows(DB);
    const reply = await logCaller(env).call(
      "POST",
      `/delivery/${idOf(1, left.endpoint_id)}/resend`,
    );
    expect(reply.status).toBe(409);
    expect(reply.body.error).toMatch(reason);
    expect(await deliveryRows(DB)).toEqual(before);
  });
});

describe("POST /delivery/resend", () => {
  test("goes through a round with its cursor", async () => {
    await leaveDeliveries(
      DB,
      Array.from({ length: 1_200 }, () => ({ status: "failed" as const })),
    );
    const { call, gateway } = logCaller(env);
    const first = await call("POST", "/delivery/resend", {});
    expect(first).toMatchObject({
      status: 202,
      body: { resent: 1_000, cursor: expect.any(String) },
    });
    const second = await call("POST", "/delivery/resend", { cursor: first.body.cursor });
    expect(second.body).toEqual({ resent: 200 });
    // Many are the cron's to post.
    expect(gateway.posts).toEqual([]);
  });

  test("takes no body, too", async () => {
    await leaveDeliveries(DB, [{ status: "failed" }]);
    expect((await logCaller(env).call("POST", "/delivery/resend")).body).toEqual({ resent: 1 });
  });

  test.each([
    { status: "delivered" },
    { state: "dead" },
    { since: "yesterday" },
    { cursor: "x" },
    [],
  ])("refuses %j with a 400", async (body) => {
    expect((await logCaller(env).call("POST", "/delivery/resend", body)).status).toBe(400);
  });
});
