/** A page's poll: what is new, what is watched, what fails and waits, in few rows however large the log is. */
import { env as testEnv } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { onError } from "../../../src/errors.ts";
import { newApp } from "../../../src/http.ts";
import type { Delivery, Polled } from "../../../src/outbox/answers.ts";
import { delivery } from "../../../src/outbox/delivery-routes.ts";
import { event } from "../../../src/outbox/event-routes.ts";
import type { DeliveryStatus } from "../../../src/outbox/rows.ts";
import type { Bindings } from "../../../src/settings.ts";
import {
  listed,
  notedEndpoints,
  page,
  type Script,
  scriptedGateway,
} from "../../support/gateway.ts";
import { eventIdOf, leaveDeliveries, leaveEndpoints } from "../../support/log-rows.ts";
import { countRows } from "../../support/row-count.ts";

const env = testEnv as unknown as Bindings;
const { DB } = env;

/** The log's routes for a caller, whose gateway answers as scripted. */
function callerOf(owner: string, { operator = false, script = {} as Script, db = DB } = {}) {
  const app = newApp();
  const gateway = scriptedGateway(script);
  app.use((c, next) => {
    c.set("owner", owner);
    c.set("operator", operator);
    c.set("outbox", { resources: new Map(), connect: () => gateway, endpoints: notedEndpoints() });
    return next();
  });
  app.route("/delivery", delivery).route("/event", event).onError(onError);
  return async <T = Polled>(path: string, body?: object) => {
    const init = body ? { method: "POST", body: JSON.stringify(body) } : {};
    const headers = { "Content-Type": "application/json" };
    const response = await app.request(path, { ...init, headers }, { ...env, DB: db });
    return { status: response.status, body: (await response.json()) as T };
  };
}

const polled = async (path: string) => (await callerOf("a")(path)).body;
const ids = ({ data }: { data: Delivery[] }) => data.map(({ sequence }) => sequence);
const places = (...seqs: number[]) => seqs.map((seq) => `${seq}.a1`).join(",");

beforeEach(() =>
  leaveEndpoints(DB, [
    { id: "a1", owner: "a" },
    { id: "b1", owner: "b" },
  ]),
);

describe("what is new", () => {
  test("comes after the sequence that is known, newest first, and only the owner's", async () => {
    await leaveDeliveries(DB, [{}, {}, { owner: "b", endpoint_id: "b1" }, {}]);
    expect(await polled("/delivery/poll")).toMatchObject({ data: [], after: 4, has_more: false });
    const news = await polled("/delivery/poll?after=1");
    expect(ids(news)).toEqual([4, 2]);
    expect(news.data[0]).toMatchObject({ id: `${eventIdOf(4)}.a1`, status: "pending" });
    expect(ids(await polled("/delivery/poll?after=4"))).toEqual([]);
  });

  test("is the newest of it and says so, if it is much", async () => {
    await leaveDeliveries(
      DB,
      Array.from({ length: 40 }, () => ({})),
    );
    const news = await polled("/delivery/poll?after=2");
    expect(news).toMatchObject({ has_more: true, after: 40 });
    expect([news.data.length, news.data[0]?.sequence]).toEqual([15, 40]);
    expect((await polled("/delivery/poll?after=25")).has_more).toBe(false);
  });

  test("is filtered by status, endpoint and type", async () => {
    const status = "held" as DeliveryStatus;
    await leaveDeliveries(DB, [{}, { status }, { type: "created" }, { endpoint_id: "a2" }]);
    expect(ids(await polled("/delivery/poll?after=0&status=held"))).toEqual([2]);
    expect(ids(await polled("/delivery/poll?after=0&type=created"))).toEqual([3]);
    expect(ids(await polled("/delivery/poll?after=0&endpoint=a2"))).toEqual([4]);
  });

  test("of what failed it is what the caller does not have, however long ago it was sent", async () => {
    const status = "failed" as DeliveryStatus;
    await leaveDeliveries(DB, [{ status }, {}, { status }, {}]);
    const news = await polled(`/delivery/poll?after=4&status=failed&watch=${places(3)}`);
    expect(ids(news)).toEqual([1]);
  });
});

describe("what is watched", () => {
  test("is told by place, or whole events, and nothing of another owner", async () => {
    await leaveDeliveries(DB, [
      { status: "failed", attempts: 3, error: "HTTP 500", last_http_status: 500 },
      { owner: "b", endpoint_id: "b1" },
      { status: "held" },
    ]);
    const { watched } = await polled("/delivery/poll?watch=1.a1,2.b1,3,9.a1,1.other");
    expect(watched).toMatchObject([
      { sequence: 1, endpoint_id: "a1", status: "failed", attempts: 3, error: "HTTP 500" },
      { sequence: 3, endpoint_id: "a1", status: "held" },
    ]);
  });

  test("is recorded if it fails, whether it is watched or not", async () => {
    await leaveDeliveries(DB, [{ status: "sending", accepted_at: Date.now() }]);
    const script: Script = { list: () => page(listed(1, { progress: "failure", attempts: 3 })) };
    await callerOf("a", { script, db: freshDb() })("/delivery/poll");
    expect(await DB.prepare("SELECT status FROM delivery").first("status")).toBe("failed");
  });

  test("is asked of the gateway while it is being sent, and what is final is recorded", async () => {
    await leaveDeliveries(DB, [{ status: "sending", accepted_at: Date.now() }]);
    const script: Script = { list: () => page(listed(1, { progress: "failure", attempts: 3 })) };
    const { body } = await callerOf("a", { script, db: freshDb() })(
      `/delivery/poll?after=1&watch=${places(1)}`,
    );
    expect(body.watched).toMatchObject([{ status: "failed", attempts: 3 }]);
    const row = await DB.prepare("SELECT status FROM delivery").first("status");
    expect(row).toBe("failed");
  });
});

// The gateway is asked at most every few seconds for an owner of a database object.
const freshDb = () => new Proxy(DB, { get: (db, name) => bound(db, name) });
const bound = (db: D1Database, name: string | symbol) => {
  const value = Reflect.get(db, name);
  return typeof value === "function" ? value.bind(db) : value;
};

describe("the service", () => {
  const gatewayOf = async (script: Script = {}) =>
    (await callerOf("a", { script, db: freshDb() })(`/delivery/poll?watch=${places(1)}`)).body
      .gateway;

  test("is down if the gateway does not answer a look, or the breaker is open, or posts fail", async () => {
    await leaveDeliveries(DB, [{ status: "sending", accepted_at: Date.now() }]);
    expect(await gatewayOf()).toBe("ok");
    expect(await gatewayOf({ list: () => ({ kind: "silent", error: "503" }) })).toBe("down");
    await DB.prepare("UPDATE cron_state SET breaker = 'open'").run();
    expect(await gatewayOf()).toBe("down");
    await DB.prepare("UPDATE cron_state SET breaker = 'closed'").run();
    // The gateway has taken another one since: it is this one's own fault.
    await leaveDeliveries(DB, [{ error: "Convoy answered 400", failed_at: 1 }], 2);
    expect(await gatewayOf()).toBe("ok");
    await leaveDeliveries(DB, [{ error: "Convoy answered 503", failed_at: Date.now() + 1 }], 3);
    expect(await gatewayOf()).toBe("down");
  });

  test("says what waits, since when and why, and which endpoints fail", async () => {
    await leaveDeliveries(DB, [
      { occurred_at: 5_000, error: "Convoy answered 503" },
      ...Array.from({ length: 12 }, () => ({ occurred_at: 9_000 })),
    ]);
    await DB.prepare("UPDATE endpoint SET failing_since = 7000").run();
    expect(await polled("/delivery/poll")).toMatchObject({
      waiting: { deliveries: 10, has_more: true, since: new Date(5_000).toISOString() },
      failing: { endpoints: 1, latest: new Date(7_000).toISOString() },
    });
    expect((await polled("/delivery/poll")).waiting?.error).toBe("Convoy answered 503");
    const other = (await callerOf("c")("/delivery/poll")).body;
    expect(other).toMatchObject({ waiting: null, failing: { endpoints: 0, latest: null } });
  });
});

test("a poll at rest reads at most 100 rows of 10,000 deliveries, 50 endpoints of which 6 fail", async () => {
  await leaveEndpoints(
    DB,
    Array.from({ length: 49 }, (_, at) => ({ id: `e${at}`, owner: "a" })),
  );
  await DB.prepare(
    "UPDATE endpoint SET failing_since = 1 WHERE id IN ('a1','e1','e2','e3','e4','e5')",
  ).run();
  await fillLog(10_000);
  const { db, rowsRead } = countRows(freshDb());
  const call = callerOf("a", { db });
  const seqs = Array.from({ length: 15 }, (_, at) => 10_000 - at);
  const cost = async (path: string) => {
    const before = rowsRead();
    expect((await call(path)).status).toBe(200);
    return rowsRead() - before;
  };
  const found = {
    list: await cost(`/delivery/poll?after=10000&watch=${places(...seqs)}`),
    failed: await cost(
      `/delivery/poll?after=10000&status=failed&watch=${places(...Array.from({ length: 15 }, (_, at) => 10_000 - at * 50))}`,
    ),
    endpoints: await cost("/delivery/poll?after=10000"),
    five: await cost(`/delivery/poll?after=9995&watch=${places(...seqs)}`),
  };
  console.info("rows of D1 a poll reads", found);
  // The summary counts what fails and what is under way; what was delivered it does not read.
  expect(await cost("/event/summary")).toBeLessThan(1_000);
  for (const rows of Object.values(found)) expect(rows).toBeLessThanOrEqual(100);
});

/** Fills the log quickly: every 50th failed, the newest 25 are being sent. */
async function fillLog(size: number) {
  const numbers = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${size})`;
  await DB.batch([
    DB.prepare(`${numbers} INSERT INTO event (seq, id, owner, type, occurred_at)
      SELECT i, printf('01930000-0000-7000-8000-%012d', i), 'a', 'ping', i FROM n`),
    DB.prepare(`${numbers} INSERT INTO delivery (event_seq, endpoint_id, owner, type, status, finished_at, accepted_at, due_at)
      SELECT i, 'a1', 'a', 'ping', status, iif(status = 'sending', NULL, 1), iif(status = 'sending', 1, NULL), iif(status = 'sending', 1, NULL)
      FROM (SELECT i, CASE WHEN i % 50 = 0 THEN 'failed' WHEN i > ${size - 25} THEN 'sending' ELSE 'delivered' END AS status FROM n)`),
  ]);
}

describe("a resend of many", () => {
  test("can be counted before, without a change, and counts what it then sends", async () => {
    await leaveDeliveries(DB, [
      ...Array.from({ length: 5 }, () => ({ status: "failed" as const })),
      { status: "delivered" },
      // Its endpoint is gone: there is nowhere to send it.
      { status: "failed", endpoint_id: "gone" },
    ]);
    const call = callerOf("a");
    const body = { status: "failed" };
    const counted = await call<{ resent: number }>("/delivery/resend", { ...body, dry_run: true });
    expect(counted).toEqual({ status: 200, body: { resent: 5 } });
    expect(
      await DB.prepare("SELECT count(*) FROM delivery WHERE status = 'failed'").first("count(*)"),
    ).toBe(6);
    expect(await call("/delivery/resend", body)).toEqual({ status: 202, body: { resent: 5 } });
  });
});

describe("owner=*", () => {
  test.each(["/delivery", "/event"])(
    "of %s is for operators, without titles and data",
    async (at) => {
      await leaveDeliveries(DB, [{ status: "failed" }, { owner: "b", endpoint_id: "b1" }]);
      await DB.prepare(
        "UPDATE event SET resource = 'todo', resource_id = '7', data = '{\"item\":\"secret\"}', test = 1",
      ).run();
      expect((await callerOf("a")(`${at}?owner=*`)).status).toBe(403);
      expect((await callerOf("a", { operator: true })(`${at}?owner=b`)).status).toBe(400);
      const { body } = await callerOf("a", { operator: true })<{ data: object[] }>(`${at}?owner=*`);
      expect(body.data).toMatchObject([
        { owner: "b", sequence: 2 },
        { owner: "a", sequence: 1 },
      ]);
      expect(JSON.stringify(body)).not.toMatch(/secret|title|"data":\{/);
      const failed = await callerOf("a", { operator: true })<{ data: object[] }>(
        `${at}?owner=*&status=failed`,
      );
      expect(failed.body.data).toMatchObject([{ owner: "a" }]);
    },
  );
});
