/** What the walk passed and did not find final is looked for: first its key again, then by window or by key. */
import { env as testEnv } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Found, GatewayDelivery } from "../../../src/outbox/gateway.ts";
import { lookUp } from "../../../src/outbox/look-up.ts";
import { type DeliveryRow, parseKey } from "../../../src/outbox/rows.ts";
import type { Bindings } from "../../../src/settings.ts";
import {
  listed,
  notedEndpoints,
  page,
  runOf,
  type Script,
  type ScriptedGateway,
  scriptedGateway,
} from "../../support/gateway.ts";
import { deliveryRows, type LeftDelivery, leaveDeliveries } from "../../support/log-rows.ts";

const env = testEnv as unknown as Bindings;
const { DB } = env;
const NOW = Date.UTC(2026, 10, 24, 12);
const MINUTE_MS = 60_000;
const NO_PROOF = { madeAt: 0, seenAt: 0 };
const PROOF = { madeAt: NOW - 40 * MINUTE_MS, seenAt: NOW - 30 * MINUTE_MS };
const TAKEN = NOW - 11 * MINUTE_MS;

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"], now: NOW }));
afterEach(() => void vi.useRealTimers());

/** One that the gateway took eleven minutes ago, and that was looked for once. */
const taken = (given: LeftDelivery = {}): LeftDelivery => ({
  ...{ status: "sending", accepted_at: TAKEN, due_at: NOW - MINUTE_MS, looks: 1 },
  ...given,
});

type Options = {
  proof?: typeof NO_PROOF;
  walkedTo?: number | null;
  endpoints?: ReturnType<typeof notedEndpoints>;
  subrequests?: number;
};

async function lookUpWith(
  gateway: ScriptedGateway,
  {
    proof = NO_PROOF,
    walkedTo = NOW,
    endpoints = notedEndpoints(),
    subrequests = 100,
  }: Options = {},
) {
  const used = () => gateway.windows.length + gateway.found.length;
  const begun = used();
  const budget = { left: () => subrequests - (used() - begun) };
  const turn = (await DB.prepare("SELECT look_up_turn FROM cron_state").first<string>(
    "look_up_turn",
  )) as string;
  return lookUp(runOf(env, gateway, { endpoints }), { turn, walkedTo, proof }, budget);
}

async function oneRow(): Promise<DeliveryRow> {
  const [row] = await deliveryRows(DB);
  return row as DeliveryRow;
}

const statuses = async () => (await deliveryRows(DB)).map(({ status }) => status);

describe("which", () => {
  test.each<[string, LeftDelivery, number | null, boolean]>([
    ["one that is due and that the walk has passed", {}, NOW, true],
    ["not one that is not due", { due_at: NOW + 1 }, NOW, false],
    [
      "not one that the walk has not reached: not looked at is not the same as not found",
      {},
      NOW - 12 * MINUTE_MS,
      false,
    ],
    [
      "one that the walk has not reached for an hour",
      { due_at: NOW - 60 * MINUTE_MS },
      NOW - 90 * MINUTE_MS,
      true,
    ],
    ["one that is due while no walk has ever begun", {}, null, true],
    ["not one that is pending", { status: "pending", accepted_at: null }, NOW, false],
  ])("%s", async (_, left, walkedTo, isLookedFor) => {
    await leaveDeliveries(DB, [taken(left)]);
    const { claimed } = await lookUpWith(scriptedGateway(), { walkedTo });
    expect(claimed).toBe(Number(isLookedFor));
  });

  test("owners in turn: a small owner's among a backlog, from where the last turn ended", async () => {
    await leaveDeliveries(DB, [
      ...Array.from({ length: 400 }, () => taken({ owner: "a" })),
      ...Array.from({ length: 4 }, () => taken({ owner: "b", due_at: NOW - 1 })),
    ]);
    const gateway = scriptedGateway();
    await lookUpWith(gateway, { subrequests: 12 });
    const rows = await deliveryRows(DB);
    expect(rows.filter(({ owner, due_at }) => owner === "b" && due_at === NOW - 1)).toEqual([]);
  });
});

describe("the first time", () => {
  const unseen = (given: LeftDelivery = {}) => taken({ looks: 0, ...given });

  test("it is posted again under the same key, which is safe, while the gateway lists newer ones", async () => {
    await leaveDeliveries(DB, [unseen(), unseen(), unseen()]);
    const gateway = scriptedGateway({
      list: () => page(listed(9, { createdAt: NOW - MINUTE_MS })),
    });
    expect(await lookUpWith(gateway)).toMatchObject({ claimed: 3, again: 3, byKey: 0 });
    expect(gateway.windows).toMatchObject([{ fromMs: TAKEN, toMs: NOW, limit: 1 }]);
    for (const row of await deliveryRows(DB)) {
      expect(row).toMatchObject({
        status: "pending",
        key_version: 0,
        looks: 1,
        due_at: NOW,
        accepted_at: null,
        stuck: 0,
      });
      expect(row.error).toBe("The gateway took it, but does not list it.");
    }
  });

  test.each<[string, Script["list"]]>([
    ["nothing newer", () => page()],
    ["only what is older", () => page(listed(9, { createdAt: TAKEN - 1_001 }))],
  ])(
    "one canary alone, while the gateway lists %s: it may have them all, and stand still",
    async (_, list) => {
      await leaveDeliveries(DB, [unseen(), unseen(), unseen()]);
      expect(await lookUpWith(scriptedGateway({ list }))).toMatchObject({ again: 1 });
      const rows = await deliveryRows(DB);
      expect(rows.map(({ status }) => status).sort()).toEqual(["pending", "sending", "sending"]);
      for (const row of rows.filter(({ status }) => status === "sending")) {
        expect(row).toMatchObject({ looks: 0, due_at: NOW + 10 * MINUTE_MS });
      }
    },
  );

  test.each(["silent", "unreadable"] as const)(
    "none while the list is %s: soon again",
    async (kind) => {
      await leaveDeliveries(DB, [unseen()]);
      const gateway = scriptedGateway({ list: () => ({ kind, error: "down" }) });
      await lookUpWith(gateway);
      expect(await oneRow()).toMatchObject({
        status: "sending",
        looks: 0,
        due_at: NOW + MINUTE_MS,
      });
    },
  );
});

describe("by its key", () => {
  const found = async (
    one: Found,
    { left = {}, ...options }: Options & { left?: LeftDelivery } = {},
  ) => {
    await leaveDeliveries(DB, [taken(left)]);
    const gateway = scriptedGateway({ find: () => one });
    await lookUpWith(gateway, options);
    return oneRow();
  };
  const delivery = (given: Partial<GatewayDelivery> = {}): Found => ({
    kind: "delivery",
    delivery: listed(1, given),
  });

  test("what has arrived is delivered", async () => {
    expect(await found(delivery())).toMatchObject({ status: "delivered", due_at: null });
  });

  test("what is unfinished is looked for later", async () => {
    const row = await found(delivery({ progress: "unfinished", updatedAt: NOW }));
    expect(row).toMatchObject({ status: "sending", looks: 2, due_at: NOW + 10 * MINUTE_MS });
  });

  test("what is stuck is posted under its next key, with proof alone", async () => {
    const idle = delivery({ progress: "unfinished", updatedAt: NOW - 50 * MINUTE_MS });
    expect(await found(idle)).toMatchObject({ status: "sending", key_version: 0 });
    await DB.prepare("UPDATE delivery SET due_at = 1").run();
    const gateway = scriptedGateway({ find: () => idle });
    await lookUpWith(gateway, { proof: PROOF });
    expect(await oneRow()).toMatchObject({ status: "pending", key_version: 1, stuck: 1 });
  });

  test("what Convoy tries for 90 minutes is one delivery, under one key", async () => {
    await leaveDeliveries(DB, [taken({ accepted_at: NOW })]);
    for (let minute = 0; minute <= 90; minute += 10) {
      vi.setSystemTime(NOW + minute * MINUTE_MS);
      const trying = { progress: "unfinished" as const, attempts: 1 + minute / 10 };
      const times = {
        createdAt: NOW,
        updatedAt: Date.now() - 2 * MINUTE_MS,
        nextTryAt: Date.now() + MINUTE_MS,
      };
      const proof = { madeAt: Date.now(), seenAt: Date.now() - 31 * MINUTE_MS };
      await DB.prepare("UPDATE delivery SET due_at = 1").run();
      await lookUpWith(scriptedGateway({ find: () => delivery({ ...trying, ...times }) }), {
        proof,
        walkedTo: Date.now(),
      });
    }
    expect(await oneRow()).toMatchObject({
      status: "sending",
      key_version: 0,
      stuck: 0,
      attempts: 10,
      looks: 11,
    });
  });

  test("what the gateway has not got is posted under the same key", async () => {
    expect(await found({ kind: "none" })).toMatchObject({
      status: "pending",
      key_version: 0,
      looks: 2,
      due_at: NOW,
    });
  });

  test("no answer changes nothing: not found is not the same as not looked at", async () => {
    const row = await found({ kind: "silent", error: "Convoy not reachable" });
    expect(row).toMatchObject({
      status: "sending",
      key_version: 0,
      looks: 1,
      due_at: NOW + MINUTE_MS,
    });
  });

  test("what is queued without a delivery waits, and is posted under the next key only with proof", async () => {
    const long = { accepted_at: NOW - 50 * MINUTE_MS };
    const row = await found({ kind: "queued" }, { left: long });
    expect(row).toMatchObject({
      status: "sending",
      key_version: 0,
      looks: 2,
      due_at: NOW + 10 * MINUTE_MS,
    });
    await DB.prepare("UPDATE delivery SET due_at = 1").run();
    await lookUpWith(scriptedGateway({ find: () => ({ kind: "queued" }) }), { proof: PROOF });
    expect(await oneRow()).toMatchObject({
      status: "pending",
      key_version: 1,
      stuck: 1,
      due_at: NOW,
    });
  });

  test("and is dead after three such keys, under the key that it has", async () => {
    const left = { accepted_at: NOW - 50 * MINUTE_MS, stuck: 3, key_version: 3 };
    const row = await found({ kind: "queued" }, { left, proof: PROOF });
    expect(row).toMatchObject({ status: "dead", key_version: 3, finished_at: NOW, due_at: null });
    expect(row.error).toBe("The gateway took it, but did not finish it.");
  });

  describe("an event that the gateway delivers to nobody", () => {
    test("gets the subscription that was missing, and is posted again: its key is burnt", async () => {
      const endpoints = notedEndpoints(async () => "subscribed");
      const row = await found({ kind: "unsubscribed" }, { endpoints });
      expect(endpoints.told.subscribed).toEqual(["a1"]);
      expect(row).toMatchObject({
        status: "pending",
        key_version: 1,
        due_at: NOW,
        error: "The endpoint had no subscription.",
      });
    });

    test("is dead with words if there is one that does not take its type", async () => {
      const endpoints = notedEndpoints(async () => "filtered");
      const row = await found({ kind: "unsubscribed" }, { endpoints });
      expect(row).toMatchObject({ status: "dead", key_version: 0, finished_at: NOW });
      expect(row.error).toMatch(/subscription at the gateway does not take this event type/);
    });

    test("waits if the gateway does not say", async () => {
      const endpoints = notedEndpoints(async () => "unknown");
      const row = await found({ kind: "unsubscribed" }, { endpoints });
      expect(row).toMatchObject({ status: "sending", key_version: 0, due_at: NOW + MINUTE_MS });
    });
  });

  test("the present key is asked for, and only rows that are still ours are changed", async () => {
    await leaveDeliveries(DB, [taken({ key_version: 2 }), taken(), taken()]);
    const gateway = scriptedGateway({
      async find(key) {
        const { eventId = "" } = parseKey(key) ?? {};
        // Meanwhile the second is delivered, and the third is another worker's.
        if (eventId.endsWith("2"))
          await DB.prepare(
            "UPDATE delivery SET status = 'delivered', due_at = NULL, finished_at = 1 WHERE event_seq = 2",
          ).run();
        if (eventId.endsWith("3"))
          await DB.prepare("UPDATE delivery SET due_at = ? WHERE event_seq = 3")
            .bind(NOW + 9)
            .run();
        return { kind: "none" };
      },
    });
    await lookUpWith(gateway);
    expect(gateway.found[0]).toBe(listed(1, { version: 2 }).key);
    expect(await deliveryRows(DB)).toMatchObject([
      { status: "pending", key_version: 2 },
      { status: "delivered" },
      { status: "sending", due_at: NOW + 9, looks: 1 },
    ]);
  });

  test("what the budget does not reach is due again soon, unchanged", async () => {
    await leaveDeliveries(
      DB,
      Array.from({ length: 8 }, () => taken()),
    );
    const gateway = scriptedGateway({ find: () => ({ kind: "silent", error: "" }) });
    await lookUpWith(gateway, { subrequests: 10 });
    expect(gateway.found.length).toBeLessThan(8);
    expect(gateway.found.length).toBeGreaterThan(0);
    for (const row of await deliveryRows(DB)) {
      expect(row).toMatchObject({ status: "sending", looks: 1, due_at: NOW + MINUTE_MS });
    }
  });
});

describe("where they are many", () => {
  const many = (count: number) =>
    leaveDeliveries(
      DB,
      Array.from({ length: count }, () => taken()),
    );

  test("by window, page by page, and by key only what it did not show", async () => {
    await many(20);
    const gateway = scriptedGateway({
      list: ({ cursor }) =>
        cursor === null
          ? {
              kind: "page",
              deliveries: Array.from({ length: 10 }, (_, n) => listed(n + 1)),
              next: "11",
            }
          : page(...Array.from({ length: 9 }, (_, n) => listed(n + 11))),
    });
    const report = await lookUpWith(gateway);
    expect(report).toMatchObject({ claimed: 20, pages: 2, byKey: 1 });
    expect(gateway.windows).toMatchObject([
      {
        fromMs: TAKEN - MINUTE_MS,
        toMs: TAKEN + 10 * MINUTE_MS,
        cursor: null,
        limit: 100,
        endpointIds: ["a1"],
      },
      { cursor: "11" },
    ]);
    expect(gateway.found).toEqual([listed(20).key]);
    expect((await statuses()).slice(0, 19)).toEqual(Array.from({ length: 19 }, () => "delivered"));
  });

  test("an item with our key and another's endpoint shows nothing: it is asked for by its key", async () => {
    await many(9);
    const all = Array.from({ length: 9 }, (_, n) => listed(n + 1));
    const gateway = scriptedGateway({
      list: () => page(...all.map((one, n) => (n === 4 ? { ...one, endpointId: "theirs" } : one))),
      find: (key) => ({
        kind: "delivery",
        delivery: all.find((one) => one.key === key) as GatewayDelivery,
      }),
    });
    await lookUpWith(gateway);
    expect(gateway.found).toEqual([listed(5).key]);
    expect(await statuses()).toEqual(Array.from({ length: 9 }, () => "delivered"));
  });

  test.each<[string, Script["list"]]>([
    ["that cannot be read", () => ({ kind: "unreadable", error: "500" })],
    ["that does not answer", () => ({ kind: "silent", error: "" })],
    ["whose cursor does not move", () => ({ kind: "page", deliveries: [], next: "1" })],
    [
      "whose cursors never end",
      ({ cursor }) => ({ kind: "page", deliveries: [], next: String(Number(cursor ?? 0) + 1) }),
    ],
  ])("by key after a list %s", async (_, list) => {
    await many(9);
    const gateway = scriptedGateway({
      list,
      find: (key) => ({ kind: "delivery", delivery: { ...listed(1), key } }),
    });
    for (let runs = 0; runs < 6; runs++) {
      vi.setSystemTime(NOW + runs * 2 * MINUTE_MS);
      await lookUpWith(gateway, { walkedTo: null });
    }
    expect(await statuses()).toEqual(Array.from({ length: 9 }, () => "delivered"));
  });
});
