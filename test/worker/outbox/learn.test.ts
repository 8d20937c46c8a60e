/** What the gateway says about a delivery, and what becomes of it. */
import { env as testEnv } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { GatewayDelivery } from "../../../src/outbox/gateway.ts";
import { isIdleSince, ownAmong, record, withStuck } from "../../../src/outbox/learn.ts";
import type { DeliveryRow } from "../../../src/outbox/rows.ts";
import type { Bindings } from "../../../src/settings.ts";
import { listed, notedEndpoints } from "../../support/gateway.ts";
import {
  deliveryRows,
  type LeftDelivery,
  leaveDeliveries,
  leaveEndpoints,
} from "../../support/log-rows.ts";

const { DB } = testEnv as unknown as Bindings;
const NOW = 10_000_000;
const MINUTE_MS = 60_000;

/** Records what the gateway says; `stuck`: all that is unfinished is stuck. */
async function learn(says: GatewayDelivery[], { stuck = false } = {}) {
  const learned = ownAmong(says).map((one) => ({
    ...one,
    stuck: stuck && one.progress === "unfinished",
  }));
  return record(DB, notedEndpoints(), learned, { at: NOW });
}

async function oneRow(): Promise<DeliveryRow> {
  const rows = await deliveryRows(DB);
  expect(rows).toHaveLength(1);
  return rows[0] as DeliveryRow;
}

type Says = Partial<GatewayDelivery> & { version?: number; stuck?: true };
const SUCCESS = { progress: "success" } satisfies Says;
const FAILURE = { progress: "failure", attempts: 10 } satisfies Says;
const DISCARDED = { progress: "discarded" } satisfies Says;
const AWAY = { progress: "discarded", endpointActive: false } satisfies Says;
const UNFINISHED = { progress: "unfinished", attempts: 2 } satisfies Says;
const STUCK: Says = { ...UNFINISHED, stuck: true };

const NEXT = {
  key_version: 1,
  accepted_at: null,
  looks: 0,
  attempts: 0,
  failures: 0,
  own_failures: 0,
  failed_at: null,
};
const DELIVERED = {
  status: "delivered",
  key_version: 0,
  due_at: null,
  finished_at: NOW,
  error: null,
};
const FAILED = { status: "failed", key_version: 0, due_at: null, finished_at: NOW, attempts: 10 };
const HELD = { status: "held", due_at: null, finished_at: null, ...NEXT };
const AGAIN = { status: "pending", due_at: NOW, finished_at: null, ...NEXT };
const SENDING = {
  status: "sending",
  key_version: 0,
  due_at: NOW + 10 * MINUTE_MS,
  looks: 1,
  attempts: 2,
};

const left = (status: DeliveryRow["status"]): LeftDelivery => {
  const final = status === "delivered" || status === "failed" || status === "dead";
  const counts = { failures: 2, own_failures: 1, failed_at: 5, error: "before" };
  return {
    ...{ status, ...counts, attempts: 1, finished_at: final ? 5 : null },
    accepted_at: status === "sending" || final ? 5 : null,
  };
};

describe.each(["pending", "sending"] as const)("a %s delivery", (status) => {
  test.each<[string, Says, object]>([
    ["Success: it is delivered", SUCCESS, DELIVERED],
    [
      "Failure: it has failed, with words",
      FAILURE,
      { ...FAILED, error: "The endpoint did not take it." },
    ],
    [
      "Discarded, its endpoint active: under its next key",
      DISCARDED,
      { ...AGAIN, discards: 1, stuck: 0 },
    ],
    [
      "Discarded, nothing said of its endpoint: the same",
      { ...DISCARDED, endpointActive: null },
      AGAIN,
    ],
    [
      "Discarded, its endpoint not active: held for its next key",
      AWAY,
      { ...HELD, discards: 0, error: null },
    ],
    ["unfinished: the gateway has it, and it is looked for later", UNFINISHED, SENDING],
    [
      "stuck: under its next key",
      STUCK,
      { ...AGAIN, stuck: 1, error: "The gateway took it, but did not finish it." },
    ],
  ])("%s", async (_, { stuck, ...says }, becomes) => {
    await leaveDeliveries(DB, [left(status)]);
    await learn([listed(1, says)], { stuck: stuck === true });
    expect(await oneRow()).toMatchObject(becomes);
  });
});

test("what the gateway took is known by its own time, unless we noted it", async () => {
  await leaveDeliveries(DB, [left("pending"), left("sending")]);
  await learn([listed(1, UNFINISHED), listed(2, UNFINISHED)]);
  expect((await deliveryRows(DB)).map(({ accepted_at }) => accepted_at)).toEqual([50, 5]);
});

describe.each(["held", "failed", "dead"] as const)("a %s delivery", (status) => {
  test("is delivered by a success that is seen late, whatever became of it", async () => {
    await leaveDeliveries(DB, [left(status)]);
    await learn([listed(1, SUCCESS)]);
    expect(await oneRow()).toMatchObject(DELIVERED);
  });

  test.each<[string, Says]>([
    ["a failure", FAILURE],
    ["a discarded one", DISCARDED],
    ["one of an endpoint that is not active", AWAY],
    ["an unfinished one", UNFINISHED],
    ["a stuck one", STUCK],
  ])("is left alone by %s", async (_, { stuck, ...says }) => {
    await leaveDeliveries(DB, [left(status)]);
    const before = await oneRow();
    await learn([listed(1, says)], { stuck: stuck === true });
    expect(await oneRow()).toEqual(before);
  });
});

test("a delivered one stays as it is, whatever comes late", async () => {
  await leaveDeliveries(DB, [left("delivered")]);
  const before = await oneRow();
  for (const { stuck, ...says } of [
    SUCCESS,
    FAILURE,
    DISCARDED,
    AWAY,
    UNFINISHED,
    STUCK,
  ] as Says[]) {
    await learn([listed(1, says)], { stuck: stuck === true });
  }
  expect(await oneRow()).toEqual(before);
});

describe("of several keys", () => {
  const again = { ...left("pending"), key_version: 3, since_version: 2 };

  test.each([2, 3])(
    "success of key %i, not older than the user's last resend, delivers it",
    async (version) => {
      await leaveDeliveries(DB, [again]);
      await learn([listed(1, { ...SUCCESS, version })]);
      expect(await oneRow()).toMatchObject({ status: "delivered", key_version: 3 });
    },
  );

  test.each([0, 1])(
    "success of key %i, from before that resend, says nothing: it was asked for again",
    async (version) => {
      await leaveDeliveries(DB, [again]);
      const before = await oneRow();
      await learn([listed(1, { ...SUCCESS, version })]);
      expect(await oneRow()).toEqual(before);
    },
  );

  test("a key that it never had says nothing", async () => {
    await leaveDeliveries(DB, [again]);
    const before = await oneRow();
    await learn([listed(1, { ...SUCCESS, version: 4 })]);
    expect(await oneRow()).toEqual(before);
  });

  test.each<[string, Says]>([
    ["a failure", FAILURE],
    ["a discarded one", DISCARDED],
    ["one of an endpoint that is not active", AWAY],
    ["an unfinished one", UNFINISHED],
    ["a stuck one", STUCK],
  ])("only the present one is ended by %s", async (_, { stuck, ...says }) => {
    await leaveDeliveries(DB, [again]);
    const before = await oneRow();
    await learn([listed(1, { ...says, version: 2 })], { stuck: stuck === true });
    expect(await oneRow()).toEqual(before);
  });

  test("success wins over a failure of the same key, in one page or in two", async () => {
    await leaveDeliveries(DB, [left("sending"), left("sending")]);
    await learn([listed(1, SUCCESS), listed(1, FAILURE), listed(2, FAILURE)]);
    await learn([listed(1, FAILURE), listed(2, SUCCESS)]);
    expect((await deliveryRows(DB)).map(({ status }) => status)).toEqual([
      "delivered",
      "delivered",
    ]);
  });
});

describe("a discarded delivery of an active endpoint", () => {
  test.each([
    [0, 0],
    [1, 1],
    [2, 3],
  ])("after %i is posted again in %i minutes", async (discards, minutes) => {
    await leaveDeliveries(DB, [{ ...left("sending"), discards }]);
    await learn([listed(1, DISCARDED)]);
    expect(await oneRow()).toMatchObject({
      status: "pending",
      due_at: NOW + minutes * MINUTE_MS,
      discards: discards + 1,
    });
  });

  test.each([true, null])(
    "is held after three, with words, and its endpoint is not active for us (said: %s)",
    async (endpointActive) => {
      await leaveDeliveries(DB, [{ ...left("sending"), discards: 3 }]);
      const says = listed(1, { ...DISCARDED, endpointActive });
      const endpoints = notedEndpoints();
      const { held } = await record(DB, endpoints, ownAmong([says]), { at: NOW });
      expect(held).toBe(1);
      const row = await oneRow();
      expect(row).toMatchObject(HELD);
      expect(row.error).toMatch(/discarded it again and again/);
      // Else the dispatcher would take it at once, and so for ever.
      expect(endpoints.told.seen).toEqual([{ endpointId: "a1", active: false }]);
    },
  );
});

describe("a stuck delivery", () => {
  test.each([0, 1, 2])("that had %i keys before is posted under the next", async (stuck) => {
    await leaveDeliveries(DB, [{ ...left("sending"), stuck, key_version: stuck }]);
    await learn([listed(1, { ...UNFINISHED, version: stuck })], { stuck: true });
    expect(await oneRow()).toMatchObject({
      status: "pending",
      key_version: stuck + 1,
      stuck: stuck + 1,
      attempts: 0,
    });
  });

  test("is dead after three, under the key that it has: its success may still be seen", async () => {
    await leaveDeliveries(DB, [{ ...left("sending"), stuck: 3, key_version: 3 }]);
    const late = { ...UNFINISHED, version: 3 };
    await learn([listed(1, late)], { stuck: true });
    expect(await oneRow()).toMatchObject({
      status: "dead",
      key_version: 3,
      due_at: null,
      finished_at: NOW,
    });
    await learn([listed(1, { ...SUCCESS, version: 3 })]);
    expect(await oneRow()).toMatchObject({ status: "delivered", key_version: 3 });
  });
});

describe("only what is about our own delivery counts", () => {
  test.each<[string, GatewayDelivery]>([
    ["another program's key", { ...listed(1), key: "theirs" }],
    [
      "a key of an older version of this service",
      { ...listed(1), key: "01930000-0000-7000-8000-000000000001" },
    ],
    ["an item whose endpoint is not its key's", { ...listed(1), endpointId: "b1" }],
    ["a key of another endpoint", listed(1, { endpointId: "b1" })],
    ["an event that the log does not have", listed(2)],
    ["an ordinal that no key has", { ...listed(1), key: `${listed(1).key}.01` }],
  ])("not %s", async (_, says) => {
    await leaveDeliveries(DB, [left("sending")]);
    const before = await oneRow();
    await learn([says]);
    expect(await oneRow()).toEqual(before);
  });

  test("not an item whose endpoint is not its key's, though that one wants the event too", async () => {
    await leaveDeliveries(DB, [left("sending")]);
    await DB.prepare(
      `INSERT INTO delivery (event_seq, endpoint_id, owner, type, status, due_at, accepted_at)
       VALUES (1, 'b1', 'a', 'ping', 'sending', 9, 5)`,
    ).run();
    const before = await deliveryRows(DB);
    await learn([{ ...listed(1), endpointId: "b1" }]);
    expect(await deliveryRows(DB)).toEqual(before);
  });

  test("an owner's look records statuses of that owner's alone", async () => {
    await leaveDeliveries(DB, [
      left("sending"),
      { ...left("sending"), owner: "b" },
      left("sending"),
    ]);
    const says = [listed(1), listed(2, { endpointId: "b1" })];
    await record(DB, notedEndpoints(), ownAmong(says), { at: NOW, owner: "a" });
    expect((await deliveryRows(DB)).map(({ status }) => status)).toEqual([
      "delivered",
      "sending",
      "sending",
    ]);
  });
});

test("those who keep the endpoints are told what was seen, and how the last deliveries went", async () => {
  await leaveDeliveries(DB, [
    left("sending"),
    { ...left("sending"), endpoint_id: "b1" },
    { ...left("sending"), endpoint_id: "c1" },
  ]);
  const says = [
    listed(1),
    listed(2, { ...FAILURE, endpointId: "b1" }),
    listed(3, { ...AWAY, endpointId: "c1" }),
  ];
  const endpoints = notedEndpoints();
  const recorded = await record(DB, endpoints, ownAmong(says), { at: NOW - 7 });
  expect(recorded).toMatchObject({ delivered: 1, failed: 1, held: 1 });
  expect(await DB.prepare("SELECT last_report FROM cron_state").first("last_report")).toBe(
    "seen reported",
  );
  expect(endpoints.told.seen).toEqual([
    { endpointId: "a1", active: true },
    { endpointId: "b1", active: true },
    { endpointId: "c1", active: false },
  ]);
  expect(endpoints.told.reported).toEqual([
    { endpointId: "b1", at: NOW - 7, error: "The endpoint did not take it." },
    { endpointId: "a1", at: NOW - 7, error: null },
  ]);
});

test("nothing is told where nothing was learned", async () => {
  const endpoints = notedEndpoints();
  const recorded = await record(DB, endpoints, [], { at: NOW });
  expect(recorded).toEqual({ delivered: 0, failed: 0, held: 0, also: [] });
  expect(endpoints.told).toMatchObject({ seen: [], reported: [] });
});

describe("stuck is not merely late", () => {
  const since = NOW - 40 * MINUTE_MS;
  const proof = { madeAt: since + 1, seenAt: NOW - 30 * MINUTE_MS };
  const idle = listed(1, { progress: "unfinished", updatedAt: since });

  test.each<[string, Partial<GatewayDelivery>, Partial<typeof proof>, boolean]>([
    ["idle for long, while one made later was finished long ago", {}, {}, true],
    [
      "its last progress was lately",
      { updatedAt: NOW - 31 * MINUTE_MS + 1 },
      { madeAt: NOW },
      false,
    ],
    ["a try of it is due only later", { nextTryAt: NOW + 1 }, { madeAt: NOW + 2 }, false],
    ["a try of it was due lately", { nextTryAt: NOW - 20 * MINUTE_MS }, { madeAt: NOW }, false],
    ["a try of it was due long ago", { nextTryAt: since }, {}, true],
    ["nothing made later was finished", {}, { madeAt: since }, false],
    [
      "that was seen only lately: all may just have begun to move",
      {},
      { seenAt: NOW - 30 * MINUTE_MS + 1 },
      false,
    ],
    ["nothing was ever seen", {}, { madeAt: 0, seenAt: 0 }, false],
    ["it has arrived", { progress: "success" }, {}, false],
    ["it was discarded", { progress: "discarded" }, {}, false],
  ])("%s: %#", async (_, given, proven, stuck) => {
    const learned = await withStuck(
      DB,
      ownAmong([{ ...idle, ...given }]),
      { ...proof, ...proven },
      NOW,
    );
    expect(learned.map((one) => one.stuck)).toEqual([stuck]);
  });

  test.each([
    ["got something lately: what is over the limit stays as it is", NOW - 29 * MINUTE_MS, false],
    ["got nothing for as long", NOW - 31 * MINUTE_MS, true],
  ])("an endpoint with a rate limit that %s", async (_, finished_at, stuck) => {
    await leaveEndpoints(DB, [{ id: "a1", owner: "a", rate: { requests: 1, perS: 60 } }]);
    await leaveDeliveries(DB, [left("sending"), { status: "delivered", finished_at }]);
    const learned = await withStuck(DB, ownAmong([idle]), proof, NOW);
    expect(learned.map((one) => one.stuck)).toEqual([stuck]);
  });

  test("an endpoint without one is stuck though it got something lately", async () => {
    await leaveEndpoints(DB, [{ id: "a1", owner: "a" }]);
    await leaveDeliveries(DB, [left("sending"), { status: "delivered", finished_at: NOW - 1 }]);
    expect(await withStuck(DB, ownAmong([idle]), proof, NOW)).toMatchObject([{ stuck: true }]);
  });

  test("the gateway's clock may be a minute ahead", () => {
    const at = NOW - 31 * MINUTE_MS;
    expect(isIdleSince(at, { ...proof, madeAt: NOW }, NOW)).toBe(false);
    expect(isIdleSince(at - 1, { ...proof, madeAt: NOW }, NOW)).toBe(true);
  });
});
