/** What Convoy's outages cost, and that they lose no event: hours of them, on a virtual clock. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { Bindings } from "../../src/config.ts";
import { recordEndpoints } from "../support/endpoint-records.ts";
import { FRESH } from "../support/kv.ts";
import { localConvoy } from "../support/local-convoy.ts";
import { brokenPromises } from "../support/promises.ts";
import { pass } from "../support/virtual-clock.ts";
import { openWorld, type World } from "../support/world.ts";

let world: World;
let endpoint: string;
let calls: string[];
afterEach(() => world.close());

/** Opens a world with one endpoint; `calls` are those to Convoy since. */
async function open(settings: Partial<Bindings> = {}): Promise<void> {
  world = openWorld({ settings, kv: FRESH });
  const { fetch } = world.convoy;
  world.stores.convoy = {
    fetch(request) {
      calls.push(`${request.method} ${new URL(request.url).pathname.split("/local/")[1]}`);
      return fetch(request);
    },
  };
  calls = [];
  const made = await world.ask("POST", "/endpoint", { name: "e", url: "https://receiver.test/" });
  endpoint = String(made.answer?.["Endpoint ID"]);
  // The cron looks once whether Convoy has it.
  await world.cron();
}

const OUTAGE = { status: 400, message: "UNKNOWN: redis eval error: connection refused" };

/** Creates `count` todos, including their waitUntil. */
async function createTodos(count: number, endpointId?: string): Promise<void> {
  expect(await world.createMany(count, endpointId)).toHaveLength(count);
}

/** Convoy delivered every event of the log exactly once, and no promise is broken. */
async function expectEachOnce(): Promise<void> {
  const ids = world.rows("SELECT * FROM event ORDER BY id").map(({ id }) => id);
  const all = await world.convoy.inbox<{ idempotency_key: string; duplicate: boolean }>(
    "deliveries",
  );
  const once = all.filter(({ duplicate }) => !duplicate).map((each) => each.idempotency_key);
  expect(once.sort()).toEqual(ids);
  await world.rest();
  expect(await brokenPromises(world)).toEqual([]);
}

describe("an outage of ten minutes with 1,000 changes", () => {
  it.each([
    { plan: "free", budget: "45", sweepsAtMost: 38 },
    { plan: "paid", budget: "10000", sweepsAtMost: 2 },
  ])("costs a few probes a minute and drains on the $plan plan", async (plan) => {
    await open({ SUBREQUEST_BUDGET: plan.budget });
    await world.convoy.setFaults(OUTAGE);
    let probes = 0;
    for (let minute = 0; minute < 10; minute++) {
      await createTodos(100, endpoint);
      calls = [];
      await world.cron();
      // At most five, all for the one endpoint; and a look at each of Convoy's lists.
      probes += calls.filter((call) => call === "POST events").length;
      expect(calls.length).toBeLessThanOrEqual(7);
    }
    expect(probes).toBeLessThanOrEqual(50);
    expect(world.states()).toEqual({ pending: 1_000 });

    await world.convoy.setFaults({});
    let sweeps = 0;
    while (world.states().pending && sweeps < 100) {
      await world.cron();
      sweeps++;
    }
    console.info(`${plan.plan}: ${probes} probes in 10 minutes, drained in ${sweeps} sweeps`);
    expect(sweeps).toBeLessThanOrEqual(plan.sweepsAtMost);
    await expectEachOnce();
  });
});

describe("a Convoy that says 201 and forgets", () => {
  it("is found out: all 200 events are delivered, none twice", async () => {
    await open({ SUBREQUEST_BUDGET: "10000" });
    await world.convoy.setFaults({ swallow: true, rate: 0.5 });
    await createTodos(200, endpoint);
    await world.convoy.setFaults({});
    const before = (await world.convoy.inbox("deliveries")).length;
    expect(world.states()).toEqual({ accepted: 200 });
    expect(before).toBeLessThan(200);
    calls = [];
    for (let minute = 0; minute < 20 && world.states().confirmed !== 200; minute++)
      await world.cron();
    const lists = calls.filter((call) => call === "GET events").length;
    console.info(`${200 - before} of 200 swallowed, all delivered; the audit made ${lists} calls`);
    expect(world.states()).toEqual({ confirmed: 200 });
    expect(calls.filter((call) => call === "POST events")).toHaveLength(200 - before);
    await expectEachOnce();
  });
});

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

  it.each(messages)("gives up no event in four days: %s", async (message) => {
    await open();
    await world.convoy.setFaults({ status: 400, message });
    await createTodos(3, endpoint);
    for (let hour = 0; hour < 96; hour++) {
      await pass(3_600_000 - 60_000);
      await world.cron();
    }
    expect(world.states()).toEqual({ pending: 3 });
    await world.convoy.setFaults({});
    await world.cron();
    await expectEachOnce();
  });
});

describe("an hour with", () => {
  it("a wrong key: no event given up, no endpoint lost, all delivered once the key is right", async () => {
    await open();
    world.stores.settings.CONVOY_API_KEY = "wrong";
    await createTodos(5, endpoint);
    await createTodos(5);
    for (let minute = 0; minute < 60; minute++) await world.cron();
    expect(world.states()).toEqual({ pending: 10 });
    world.stores.settings.CONVOY_API_KEY = "local";
    await world.cron();
    const { answer } = await world.ask("GET", "/endpoint");
    expect(answer).toMatchObject({ data: [{ status: "active" }] });
    await expectEachOnce();
  });

  it("another project's key: no event given up, the record kept, all delivered once the key is right", async () => {
    await open();
    const other = localConvoy({ projectId: "other" });
    world.stores.convoy = other;
    await createTodos(5, endpoint);
    await createTodos(5);
    for (let minute = 0; minute < 60; minute++) await world.cron();
    expect(world.states().dead).toBeUndefined();
    expect(world.states().confirmed).toBeUndefined();
    expect(world.rows("SELECT 1 FROM endpoint")).toHaveLength(1);

    world.stores.convoy = world.convoy;
    await other.close();
    // Events for an endpoint that Convoy did not know back off for up to an hour.
    for (let minute = 0; minute < 90; minute++) await world.cron();
    expect(world.states()).toEqual({ confirmed: 10 });
    // It was missing, until Convoy listed an event for it again.
    expect(world.rows("SELECT status FROM endpoint")).toEqual([{ status: "active" }]);
    await expectEachOnce();
  });

  it("another project's key: 200 endpoints made missing are back within 25 runs", async () => {
    await open();
    const ids = [endpoint];
    for (let i = 1; i < 200; i++) {
      const owner_id = `owner ${i % 20}`;
      const fields = { name: "e", url: "https://receiver.test/", owner_id };
      const { uid } = await world.convoy.api<{ uid: string }>("POST", "/endpoints", fields);
      await world.convoy.api("POST", "/subscriptions", { name: "s", endpoint_id: uid });
      recordEndpoints(world, [uid], owner_id);
      ids.push(uid);
    }
    world.rows("UPDATE endpoint SET status = 'missing', due_at = NULL RETURNING 1");
    // Convoy lists one event for each of them, and no other.
    for (const [i, endpoint_id] of ids.entries()) {
      const event = { event_type: "created", idempotency_key: `other ${i}`, data: {} };
      await world.convoy.api("POST", "/events", { ...event, endpoint_id });
    }
    await createTodos(1, endpoint);
    const missing = () => world.rows("SELECT 1 FROM endpoint WHERE status = 'missing'").length;
    let runs = 0;
    for (; missing() > 0 && runs < 300; runs++) await world.cron();
    console.info(`200 endpoints that were missing: all are back after ${runs} runs`);
    expect(runs).toBeLessThanOrEqual(25);
  });
});
