/** What Convoy's outages cost the whole Worker: hours and days of them, on a virtual clock. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { appWorker } from "../support/app-worker.ts";
import { FRESH } from "../support/kv.ts";
import { type LocalConvoy, localConvoy } from "../support/local-convoy.ts";
import { pass } from "../support/virtual-clock.ts";
import { openWorld, type World } from "../support/world.ts";

const HOUR_MS = 3_600_000;

let world: World<LocalConvoy>;
let endpoint: string;
afterEach(() => world.close());

/** Opens a world with one endpoint. */
async function open(): Promise<void> {
  world = openWorld({ worker: appWorker, convoy: localConvoy(), kv: FRESH });
  const body = { name: "e", url: "https://receiver.test/" };
  endpoint = String((await world.ask("POST", "/endpoint", { body })).answer?.["Endpoint ID"]);
  // The cron looks once whether Convoy has it.
  await world.cron();
}

async function createTodos(count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    const { status } = await world.ask("POST", "/todo", { body: { item: "x" } });
    expect(status).toBe(201);
  }
}

const minutes = async (count: number) => {
  for (let minute = 0; minute < count; minute++) await world.cron();
};

/** Everything in the log is delivered, and arrived exactly once. */
async function expectEachOnce(): Promise<void> {
  await world.rest();
  const deliveries = world.deliveries();
  expect(new Set(deliveries.map(({ status }) => status))).toEqual(new Set(["delivered"]));
  const taken = await world.convoy.taken();
  expect(taken.map(({ key, arrivals }) => [key, arrivals]).sort()).toEqual(
    deliveries.map(({ id, endpoint_id }) => [`${id}.${endpoint_id}`, 1]).sort(),
  );
}

describe("a 400 from Convoy that means an outage", () => {
  const recorded = path.resolve(import.meta.dirname, "../contract/recorded/recorded-more.json");
  const calls = JSON.parse(readFileSync(recorded, "utf8")) as {
    note: string;
    response: { status: number; body: { message: string } };
  }[];
  const messages = calls
    .filter(({ note, response }) => note.startsWith("outage") && response.status === 400)
    .map(({ response }) => response.body.message);
  if (messages.length === 0) throw new Error("no outage was recorded");

  test.each(messages)("gives up nothing in four days: %s", async (message) => {
    await open();
    await world.convoy.setFaults({ status: 400, message });
    await createTodos(3);
    for (let hour = 0; hour < 96; hour++) {
      await pass(HOUR_MS - 60_000);
      await world.cron();
    }
    expect(world.statuses()).toEqual({ pending: 3 });
    await world.convoy.setFaults({});
    await minutes(2);
    await expectEachOnce();
  });
});

describe("an hour with", () => {
  test("a wrong key: nothing given up, no endpoint lost, a change of it kept; all is done once the key is right", async () => {
    await open();
    world.stores.settings.CONVOY_API_KEY = "wrong";
    await createTodos(5);
    const change = await world.ask("PUT", `/endpoint/${endpoint}`, { body: { name: "new" } });
    expect(change).toMatchObject({ status: 202, answer: { name: "new", pending: true } });
    await minutes(60);
    expect(world.statuses()).toEqual({ pending: 5 });
    world.stores.settings.CONVOY_API_KEY = "local";
    await minutes(1);
    // A call to Convoy that failed again and again waits for up to an hour.
    await pass(HOUR_MS);
    await minutes(1);
    const { answer } = await world.ask("GET", `/endpoint/${endpoint}`);
    expect(answer).toMatchObject({ status: "active", name: "new" });
    expect(answer?.pending).toBeUndefined();
    await expectEachOnce();
  });

  test("another project's key: nothing given up or taken for delivered, the record kept; all is delivered once the key is right", async () => {
    await open();
    const other = localConvoy({ projectId: "other" });
    world.stores.convoy = other;
    await createTodos(5);
    await minutes(60);
    expect(world.statuses()).toEqual({ pending: 5 });
    expect(world.rows("SELECT wanted, there FROM endpoint")).toEqual([
      { wanted: "active", there: "active" },
    ]);
    world.stores.convoy = world.convoy;
    await other.close();
    // Deliveries for an endpoint that Convoy did not know back off for up to an hour.
    await minutes(90);
    await expectEachOnce();
  });

  test("no answer at all: what is asked of endpoints is kept, and a pause holds at once", async () => {
    await open();
    await world.convoy.setFaults({ drop: true });
    await createTodos(2);
    expect(await world.ask("POST", `/endpoint/${endpoint}/pause`)).toMatchObject({ status: 200 });
    await createTodos(2);
    await minutes(60);
    expect(world.statuses()).toEqual({ held: 4 });
    expect((await world.ask("POST", `/endpoint/${endpoint}/activate`)).status).toBe(200);
    await minutes(2);
    // Convoy still takes nothing.
    expect(await world.convoy.taken()).toEqual([]);
    await world.convoy.setFaults({});
    await minutes(2);
    await expectEachOnce();
  });
});
