/** Sending again what a user asks for: under the next key, once a round, and what is learned of older keys says nothing. */
import { env as testEnv } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { ownAmong, record } from "../../../src/outbox/learn.ts";
import { RESEND_MAX, resend, resendMany } from "../../../src/outbox/resend.ts";
import type { DeliveryStatus } from "../../../src/outbox/rows.ts";
import type { BulkResend } from "../../../src/outbox/schema.ts";
import { LEASE_MS } from "../../../src/outbox/write.ts";
import type { Bindings } from "../../../src/settings.ts";
import { listed, notedEndpoints } from "../../support/gateway.ts";
import {
  deliveryRows,
  eventIdOf,
  type LeftDelivery,
  leaveDeliveries,
  leaveEndpoints,
  planOf,
} from "../../support/log-rows.ts";

const { DB } = testEnv as unknown as Bindings;
const NOW = 1_000_000;

beforeEach(() =>
  leaveEndpoints(DB, [
    { id: "a1", owner: "a" },
    { id: "a2", owner: "a", active: false },
    { id: "b1", owner: "b" },
  ]),
);

/** What failed three times over, of which the gateway has had two keys. */
const lost = (given: LeftDelivery = {}): LeftDelivery => ({
  ...{ status: "failed", key_version: 1, since_version: 0, resends: 0, attempts: 10, looks: 2 },
  ...{ stuck: 3, discards: 3, accepted_at: 5, finished_at: 5, error: "no", last_http_status: 500 },
  ...given,
});

const RESENT = {
  ...{ key_version: 2, since_version: 2, resends: 1, attempts: 0, looks: 0, stuck: 0, discards: 0 },
  ...{ accepted_at: null, finished_at: null, error: null, last_http_status: null },
};

const one = (endpointId: string | null = "a1", owner = "a", seq = 1) =>
  resend(DB, { owner, eventId: eventIdOf(seq), endpointId, now: NOW });

describe("one", () => {
  test.each(["failed", "dead", "delivered"] as const)(
    "that is %s is pending under its next key, and ours",
    async (status) => {
      await leaveDeliveries(DB, [lost({ status })]);
      const resent = await one();
      const row = { status: "pending", due_at: NOW + LEASE_MS, ...RESENT };
      expect(resent?.deliveries).toMatchObject([row]);
      expect(resent?.event.id).toBe(eventIdOf(1));
      expect(await deliveryRows(DB)).toMatchObject([row]);
    },
  );

  test("of an endpoint that is not active is held", async () => {
    await leaveDeliveries(DB, [lost({ endpoint_id: "a2" })]);
    expect((await one("a2"))?.deliveries).toMatchObject([
      { status: "held", due_at: null, ...RESENT },
    ]);
  });

  test.each<[string, LeftDelivery, string, string]>([
    ["that is pending", { status: "pending" }, "a1", "a"],
    ["that is being sent", { status: "sending", due_at: 7 }, "a1", "a"],
    ["that is held", { status: "held" }, "a1", "a"],
    ["whose endpoint was removed", lost({ status: "dead", endpoint_id: "gone" }), "gone", "a"],
    ["whose endpoint has another owner by now", lost({ endpoint_id: "b1" }), "b1", "a"],
  ])("%s stays as it is", async (_, left, endpointId, owner) => {
    await leaveDeliveries(DB, [left]);
    const before = await deliveryRows(DB);
    expect((await one(endpointId, owner))?.deliveries).toEqual([]);
    expect(await deliveryRows(DB)).toEqual(before);
  });

  test("of another owner's event is none at all", async () => {
    await leaveDeliveries(DB, [lost()]);
    const before = await deliveryRows(DB);
    expect(await one("a1", "b")).toBeNull();
    expect(await deliveryRows(DB)).toEqual(before);
  });

  test("what is learned later of the keys before says nothing: it was asked for again", async () => {
    await leaveDeliveries(DB, [lost()]);
    await one();
    const late = [0, 1].map((version) => listed(1, { version }));
    await record(DB, notedEndpoints(), ownAmong(late), { at: NOW });
    expect(await deliveryRows(DB)).toMatchObject([{ status: "pending", key_version: 2 }]);
    await record(DB, notedEndpoints(), ownAmong([listed(1, { version: 2 })]), { at: NOW });
    expect(await deliveryRows(DB)).toMatchObject([{ status: "delivered", key_version: 2 }]);
  });
});

describe("an event's", () => {
  async function leaveOf(...statuses: DeliveryStatus[]): Promise<void> {
    const ids = statuses.map((_, n) => `x${n}`);
    await leaveEndpoints(
      DB,
      ids.map((id) => ({ id, owner: "a" })),
    );
    const [first, ...rest] = statuses.map((status, n) => lost({ status, endpoint_id: `x${n}` }));
    await leaveDeliveries(DB, [first as LeftDelivery]);
    for (const row of rest) {
      const full = { event_seq: 1, owner: "a", type: "ping", ...row };
      const final = { finished_at: 5, accepted_at: 5, due_at: null };
      const names = Object.keys({ ...full, ...final });
      await DB.prepare(`INSERT INTO delivery (${names}) VALUES (${names.map(() => "?")})`)
        .bind(...Object.values({ ...full, ...final }))
        .run();
    }
  }

  test("failed and dead ones are sent again, those that arrived are not", async () => {
    await leaveOf("failed", "dead", "delivered");
    expect((await one(null))?.deliveries.map(({ endpoint_id }) => endpoint_id).sort()).toEqual([
      "x0",
      "x1",
    ]);
  });

  test("are all sent again if all arrived", async () => {
    await leaveOf("delivered", "delivered");
    expect((await one(null))?.deliveries).toHaveLength(2);
  });
});

describe("many", () => {
  const bulk = (wanted: BulkResend = {}) => resendMany(DB, "a", wanted, NOW);
  const resent = async () =>
    (await deliveryRows(DB)).filter(({ resends }) => resends > 0).map(({ event_seq }) => event_seq);

  test("those of the owner that failed or died, due at once for the cron", async () => {
    await leaveDeliveries(DB, [
      lost(),
      lost({ status: "dead" }),
      lost({ status: "delivered" }),
      { status: "held" },
      lost({ owner: "b", endpoint_id: "b1" }),
      lost({ status: "dead", endpoint_id: "gone" }),
    ]);
    expect(await bulk()).toEqual({ resent: 2, next: null });
    expect(await resent()).toEqual([1, 2]);
    expect((await deliveryRows(DB))[0]).toMatchObject({
      status: "pending",
      due_at: NOW,
      ...RESENT,
    });
  });

  test("of one status, of one endpoint, of a time", async () => {
    await leaveDeliveries(DB, [
      lost({ occurred_at: 10 }),
      lost({ status: "dead", occurred_at: 20 }),
      lost({ endpoint_id: "a2", occurred_at: 30 }),
      lost({ occurred_at: 40 }),
    ]);
    expect((await bulk({ status: "dead" })).resent).toBe(1);
    expect((await bulk({ endpoint: "a2" })).resent).toBe(1);
    expect((await bulk({ since: 40 })).resent).toBe(1);
    expect((await bulk({ until: 10 })).resent).toBe(0);
    expect((await bulk({ since: 10, until: 11 })).resent).toBe(1);
    expect(await resent()).toEqual([1, 2, 3, 4]);
  });

  test("also what is older by its sequence than the log's first event is by its id", async () => {
    // Two requests at once: the second by id was committed first.
    await leaveDeliveries(DB, [lost(), lost()]);
    await DB.prepare("UPDATE event SET id = ? WHERE seq = 1").bind(eventIdOf(9)).run();
    expect((await bulk()).resent).toBe(2);
    await DB.prepare("UPDATE delivery SET status = 'failed', due_at = NULL, finished_at = 1").run();
    expect((await bulk({ since: 1 })).resent).toBe(2);
  });

  test("a thousand at a time, whole events, and in a round never the same one twice, whatever becomes of it", async () => {
    await leaveDeliveries(
      DB,
      Array.from({ length: RESEND_MAX + 50 }, () => lost()),
    );
    const first = await bulk();
    expect(first).toEqual({ resent: RESEND_MAX, next: 51 });
    // All of them fail again at once.
    await DB.prepare(
      "UPDATE delivery SET status = 'dead', due_at = NULL, finished_at = 1 WHERE status = 'pending'",
    ).run();
    expect(await bulk({ cursor: { seq: first.next ?? 0, endpointId: "" } })).toEqual({
      resent: 50,
      next: null,
    });
    expect(new Set((await deliveryRows(DB)).map(({ resends }) => resends))).toEqual(new Set([1]));
  });

  test("is served by an index", async () => {
    const plan = await planOf(
      DB,
      "SELECT event_seq FROM delivery WHERE owner = 'a' AND status IN ('failed', 'dead') AND status = 'dead' AND event_seq < 9 ORDER BY event_seq DESC LIMIT 9",
    );
    expect(plan).toMatch(/USING INDEX delivery_failed|USING COVERING INDEX delivery_failed/);
  });
});
