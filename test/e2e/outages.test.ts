/** What Convoy's outages cost, and that they cost no event: hours of them, on a virtual clock. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { createConvoy } from "../../local/convoy/index.ts";
import { type Seen, type Simulation, startSimulation } from "../support/simulation.ts";

let world: Simulation;
afterEach(async () => {
  await world?.close();
});

const OUTAGE = { status: 400, message: "UNKNOWN: redis eval error: connection refused" };

async function createEndpoint(): Promise<string> {
  const body = { name: "e", url: "https://receiver.test/hook" };
  const response = await world.call("POST", "/endpoint", body);
  return ((await response.json()) as Record<string, string>)["Endpoint ID"] ?? "";
}

/** Creates `count` todos and waits for what waitUntil does about them. */
async function createTodos(count: number, query = ""): Promise<void> {
  for (let i = 0; i < count; i++) {
    const response = await world.call("POST", `/todo${query}`, { item: `todo ${i}` });
    expect(response.status).toBe(201);
  }
  await world.drain();
}

function states(): Record<string, number> {
  const rows = world.rows<{ state: string; n: number }>(
    "SELECT state, count(*) AS n FROM event GROUP BY state",
  );
  return Object.fromEntries(rows.map(({ state, n }) => [state, n]));
}

/** Every event of the log was accepted by Convoy, and delivered, exactly once. */
async function expectEachOnce(): Promise<void> {
  const ids = world.rows<{ id: string }>("SELECT id FROM event ORDER BY id").map(({ id }) => id);
  const once = (seen: Seen[]) =>
    seen
      .filter((event) => !event.is_duplicate && !event.duplicate && !event.swallowed)
      .map((event) => event.idempotency_key)
      .sort();
  expect(once(await world.deliveries())).toEqual(ids);
  expect(once(await world.accepted())).toEqual(ids);
}

describe("an outage of ten minutes with 1,000 changes", () => {
  it.each([
    { plan: "free", budget: "45", sweepsAtMost: 35 },
    { plan: "paid", budget: "10000", sweepsAtMost: 2 },
  ])("costs a few probes a minute and drains on the $plan plan", async (plan) => {
    world = await startSimulation({ SUBREQUEST_BUDGET: plan.budget });
    const query = `?endpoint=${await createEndpoint()}`;
    await world.setFaults(OUTAGE);
    let probes = 0;
    for (let minute = 0; minute < 10; minute++) {
      await createTodos(100, query);
      world.takeCalls();
      await world.cron();
      const calls = world.takeCalls();
      // Five at the most, all for the one endpoint; and a look at each of Convoy's lists.
      probes += calls.filter((call) => call === "POST events").length;
      expect(calls.length).toBeLessThanOrEqual(7);
    }
    expect(probes).toBeLessThanOrEqual(50);
    expect(states()).toEqual({ pending: 1_000 });

    await world.setFaults({});
    let sweeps = 0;
    while (states().pending && sweeps < 100) {
      await world.cron();
      sweeps++;
    }
    console.info(`${plan.plan}: ${probes} probes in 10 minutes, drained in ${sweeps} sweeps`);
    expect(sweeps).toBeLessThanOrEqual(plan.sweepsAtMost);
    await expectEachOnce();
  });
});

describe("a Convoy that says 201 and forgets", () => {
  it("is found out: all of 200 events are delivered, none twice", async () => {
    world = await startSimulation({ SUBREQUEST_BUDGET: "10000" });
    const query = `?endpoint=${await createEndpoint()}`;
    await world.setFaults({ swallow: true, rate: 0.5 });
    await createTodos(200, query);
    await world.setFaults({});
    const before = (await world.deliveries()).length;
    expect(states()).toEqual({ accepted: 200 });
    expect(before).toBeLessThan(200);
    world.takeCalls();
    for (let minute = 0; minute < 20 && states().confirmed !== 200; minute++) await world.cron();
    const calls = world.takeCalls();
    const lists = calls.filter((call) => call === "GET events").length;
    console.info(`${200 - before} of 200 swallowed, all delivered; the audit made ${lists} calls`);
    expect(states()).toEqual({ confirmed: 200 });
    expect(calls.filter((call) => call === "POST events")).toHaveLength(200 - before);
    await expectEachOnce();
  });
});

describe("Convoy's 400 that is an outage", () => {
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
    world = await startSimulation();
    const query = `?endpoint=${await createEndpoint()}`;
    await world.setFaults({ status: 400, message });
    await createTodos(3, query);
    for (let hour = 0; hour < 96; hour++) {
      await world.pass(3_600_000 - 60_000);
      await world.cron();
    }
    expect(states()).toEqual({ pending: 3 });
    await world.setFaults({});
    await world.cron();
    await expectEachOnce();
  });
});

describe("an hour with", () => {
  it("a wrong key: no event given up, no endpoint lost, all delivered once it is right", async () => {
    world = await startSimulation();
    const query = `?endpoint=${await createEndpoint()}`;
    world.env.CONVOY_API_KEY = "wrong";
    await createTodos(5, query);
    await createTodos(5);
    for (let minute = 0; minute < 60; minute++) await world.cron();
    expect(states()).toEqual({ pending: 10 });
    world.env.CONVOY_API_KEY = "local";
    await world.cron();
    expect(await (await world.call("GET", "/endpoint")).json()).toMatchObject({
      data: [{ status: "active" }],
    });
    await expectEachOnce();
  });

  it("another project's key: the same, and the endpoint's record stays", async () => {
    world = await startSimulation();
    const query = `?endpoint=${await createEndpoint()}`;
    const right = world.env.CONVOY;
    const other = createConvoy({ projectId: "other" });
    world.env.CONVOY = { fetch: ((request: Request) => other.fetch(request)) as Fetcher["fetch"] };
    await createTodos(5, query);
    await createTodos(5);
    for (let minute = 0; minute < 60; minute++) await world.cron();
    expect(states().dead).toBeUndefined();
    expect(states().confirmed).toBeUndefined();
    expect(world.rows("SELECT 1 FROM endpoint")).toHaveLength(1);

    world.env.CONVOY = right!;
    await other.close();
    // Events for an endpoint that Convoy did not know back off for up to an hour.
    for (let minute = 0; minute < 90; minute++) await world.cron();
    expect(states()).toEqual({ confirmed: 10 });
    expect(world.rows("SELECT status FROM endpoint")).toEqual([{ status: "active" }]);
    await expectEachOnce();
  });
});
