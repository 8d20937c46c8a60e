// Work that the queue never does: how it looks, and what brings it back.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Strand } from "../../local/convoy/index.ts";
import { type Client, type Paged, receiver, start } from "./client.ts";

let client: Client;
afterEach(async () => {
  vi.restoreAllMocks();
  await client.convoy.close();
});

const NOON = Date.parse("2026-11-24T12:00:00Z");

function open(status = 200) {
  const clock = { now: NOON };
  const received = receiver(() => status);
  client = start({ deliver: received.deliver, now: () => clock.now });
  return { clock, got: received.got };
}

type Delivery = {
  uid: string;
  status: string;
  metadata: { num_trials: number; next_send_time: string };
};
const list = async <Row>(what: string) =>
  (await client.call<Paged<Row>>("GET", `/${what}`)).data.content;
const deliveries = () => list<Delivery>("eventdeliveries");
const events = async () =>
  (await list<{ status: string }>("events?perPage=100")).map((one) => one.status);
/** What an operator does in the inbox, to each delivery of this status. */
const replay = async (status: string) => {
  for (const { id } of (await client.deliveries()).filter((one) => one.status === status))
    await client.inbox("POST", `/deliveries/${id}/replay`);
  await client.convoy.idle();
};
const sends = async (id: string, key: string) => {
  await client.event(id, key);
  await client.convoy.idle();
};

describe("a stranded delivery", () => {
  test.each<[Strand, string, number, number]>([
    ["delivery", "Scheduled", 0, 0],
    ["retry", "Retry", 1, 0],
    ["processing", "Processing", 0, 1],
  ])(
    "of the kind %s stays %s, while its event is Success",
    async (what, status, tries, arrived) => {
      const { clock, got } = open();
      const id = await client.endpoint();
      await client.faults({ strand: { what } });
      await sends(id, "k");
      await client.faults({});
      await client.convoy.idle();
      clock.now += 3_600_000;
      const [delivery] = await deliveries();
      expect([delivery?.status, delivery?.metadata.num_trials]).toEqual([status, tries]);
      expect(Date.parse(delivery!.metadata.next_send_time)).toBeLessThan(clock.now);
      expect([await events(), got.length]).toEqual([["Success"], arrived]);
      const resend = await client.call("PUT", `/eventdeliveries/${delivery?.uid}/resend`);
      expect([resend.status, resend.message]).toEqual([
        400,
        "cannot resend event that did not fail previously",
      ]);
      expect(await client.deliveries()).toMatchObject([{ strand: what }]);
    },
  );

  test.each<[Strand, string, number]>([
    ["delivery", "Scheduled", 0],
    ["retry", "Retry", 0],
    ["processing", "Processing", 3],
  ])("of kind %s is sent by the inbox's replay", async (what, status, arrived) => {
    const { got } = open();
    const id = await client.endpoint();
    await client.faults({ strand: { what } });
    for (const key of ["a", "b", "c"]) await sends(id, key);
    await client.faults({});
    await client.convoy.idle();
    expect(got).toHaveLength(arrived);
    await replay(status);
    expect(got).toHaveLength(arrived + 3);
    expect((await deliveries()).map((one) => one.status)).toEqual(Array(3).fill("Success"));
  });

  test("occurs at the requested rate", async () => {
    const { got } = open();
    const id = await client.endpoint();
    await client.faults({ strand: { rate: 0.25 } });
    const random = vi.spyOn(Math, "random");
    random.mockReturnValue(0.249);
    await sends(id, "a");
    random.mockReturnValue(0.25);
    await sends(id, "b");
    expect([(await deliveries()).map((one) => one.status), got.length]).toEqual([
      ["Success", "Scheduled"],
      1,
    ]);
  });
});

test("a stranded event stays in Retry without deliveries, and its key is burnt", async () => {
  const { got } = open();
  const id = await client.endpoint();
  await client.faults({ strand: { what: "event" } });
  await sends(id, "k");
  await client.faults({});
  await sends(id, "k");
  await sends(id, "k:1");
  expect(await events()).toEqual(["Success", "Processing", "Retry"]);
  expect(got.map((one) => one.headers.get("X-Convoy-Idempotency-Key"))).toEqual(["k:1"]);
});

test("a stalled queue keeps what is accepted, and continues when the fault ends", async () => {
  const { got } = open();
  const id = await client.endpoint();
  await client.faults({ stall: true });
  for (const key of ["a", "b"]) await sends(id, key);
  expect([await events(), got.length]).toEqual([[], 0]);
  await client.faults({});
  await client.convoy.idle();
  expect([await events(), got.length]).toEqual([["Success", "Success"], 2]);
});

test("while the agent stands still nothing is created or tried, for however long; then each is sent once", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { clock, got } = open(500);
  const id = await client.endpoint();
  await sends(id, "tried");
  await client.faults({ stall: true });
  await client.event(id, "accepted");
  for (let minutes = 0; minutes < 150; minutes++) {
    clock.now += 60_000;
    vi.advanceTimersByTime(60_000);
    await client.convoy.idle();
  }
  const [tried, ...others] = await deliveries();
  expect([tried?.status, tried?.metadata.num_trials, others]).toEqual(["Retry", 1, []]);
  expect(Date.parse(tried!.metadata.next_send_time)).toBeLessThan(clock.now - 140 * 60_000);
  expect([await events(), got.length]).toEqual([["Success"], 1]);
  // The API itself works.
  expect((await client.call("PUT", `/endpoints/${id}/pause`)).status).toBe(202);
  await client.call("PUT", `/endpoints/${id}/pause`);

  await client.faults({});
  await client.convoy.idle();
  vi.useRealTimers();
  const keys = got.map((one) => one.headers.get("X-Convoy-Idempotency-Key"));
  expect(keys.toSorted()).toEqual(["accepted", "tried", "tried"]);
});

describe("when Redis loses its data", () => {
  test("what is queued is never sent: events stay in Retry, deliveries Scheduled; later ones are delivered", async () => {
    const { got } = open();
    const id = await client.endpoint();
    // 32 are in flight and never answered; the rest are queued.
    await client.faults({ deliveries: { hang: true } });
    for (let at = 0; at < 40; at++) await client.event(id, `k${at}`);
    await vi.waitUntil(async () => (await events()).length === 40);
    await client.faults({ stall: true, deliveries: { hang: true } });
    await client.event(id, "event");
    expect(await client.inbox("PUT", "/faults", { redis_lost: true })).toEqual({
      redis_lost: true,
    });
    expect(await client.inbox("GET", "/faults")).toEqual({});
    await client.convoy.idle();
    await sends(id, "after");

    const count = (rows: { status: string }[], status: string) =>
      rows.filter((one) => one.status === status).length;
    const rows = await list<Delivery>("eventdeliveries?perPage=100");
    expect([count(rows, "Scheduled"), count(rows, "Success")]).toEqual([8, 1]);
    expect(rows.filter((one) => one.status === "Scheduled")[0]?.metadata.num_trials).toBe(0);
    const seen = (await client.deliveries()).filter((one) => one.status === "Scheduled");
    expect(seen.map((one) => one.strand)).toEqual(Array(8).fill("delivery"));
    const all = await events();
    expect(all.filter((one) => one === "Retry")).toHaveLength(1);
    expect(all).toHaveLength(42);
    expect(got).toHaveLength(1);
    await replay("Scheduled");
    expect(got).toHaveLength(9);
  });

  test("a planned retry is never made, even when its time comes", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { clock, got } = open(500);
    const id = await client.endpoint();
    await sends(id, "k");
    await client.faults({ redis_lost: true });
    clock.now += 3_600_000;
    vi.advanceTimersByTime(3_600_000);
    await client.convoy.idle();
    vi.useRealTimers();
    const [delivery] = await deliveries();
    expect([got.length, delivery?.status, delivery?.metadata.num_trials]).toEqual([1, "Retry", 1]);
    expect(Date.parse(delivery!.metadata.next_send_time)).toBeLessThan(clock.now);
    await replay("Retry");
    expect(got).toHaveLength(2);
  });

  test("a restart brings none of it back", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "convoy-"));
    const file = path.join(folder, "convoy.sqlite");
    client = start({ file });
    const id = await client.endpoint();
    await client.faults({ stall: true });
    await client.event(id, "event");
    await client.faults({ redis_lost: true });
    await client.faults({ strand: {} });
    await sends(id, "delivery");
    await client.convoy.close();

    const { got, deliver } = receiver();
    client = start({ file, deliver });
    await client.convoy.idle();
    expect([got, (await events()).sort()]).toEqual([[], ["Retry", "Success"]]);
    rmSync(folder, { recursive: true });
  });
});
