/**
 * The crash matrix: the Worker is cut at every I/O step of every changing route and of the cron, in four
 * ways. Then time passes, the cron runs, and the promises are checked. The points come from the steps that
 * really occur: a new step is covered by itself, and a new changing route without a scenario fails.
 */
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { app } from "../../src/app.ts";
import { CUTS, type Cut, cutter, recorder } from "../support/cut.ts";
import { type Acknowledged, broken, keepPurged } from "../support/invariants.ts";
import { type Simulation, startSimulation } from "../support/simulation.ts";

/** The audit is quicker than by default: the same code in fewer minutes. */
const SETTINGS = { AUDIT_DELAY_S: "60", AUDIT_PATIENCE_S: "180", SUBREQUEST_BUDGET: "10000" };
/** The cron's runs after a cut: leases (90 s), audit, reconcile (twice every ten minutes), scrub. */
const CRONS = 16;

type Context = { world: Simulation; endpoint: string; event: string };
type Scenario = {
  /** As in app.routes. */
  route: string;
  name: string;
  prepare?: (context: Context) => Promise<void>;
  /** The request that is cut; none: the cron. */
  request?: (context: Context) => { method: string; url: string; body?: object };
  /** What an answer of 2xx acknowledges. */
  type?: string;
  /** What the change sets, for the history. */
  patch?: object;
  /** More that must hold in the end. */
  check?: (context: Context, answered: boolean) => string[] | Promise<string[]>;
};

const TODO = { id: 1, item: "first", completed: false };
const todo = async ({ world }: Context) => {
  await world.call("POST", "/todo", { id: 1, item: "first" });
  await world.drain();
};
const query = ({ endpoint }: Context) => `?endpoint=${endpoint}`;

/** The endpoint of Convoy and of D1 agree on a status at rest; Convoy's is found by its own list. */
function atRest({ world }: Context, allowed: string[]): string[] {
  const rows = world.rows<{ status: string }>("SELECT status FROM endpoint");
  return rows
    .filter(({ status }) => !allowed.includes(status))
    .map(({ status }) => `an endpoint stays ${status}`);
}

const SCENARIOS: Scenario[] = [
  {
    route: "POST /todo",
    name: "with an id",
    request: () => ({ method: "POST", url: "/todo", body: { id: 1, item: "first" } }),
    type: "created",
    patch: TODO,
  },
  {
    route: "POST /todo",
    name: "without an id",
    request: () => ({ method: "POST", url: "/todo", body: { item: "any" } }),
    type: "created",
  },
  {
    route: "POST /todo",
    name: "to one endpoint",
    request: (c) => ({ method: "POST", url: `/todo${query(c)}`, body: { id: 1, item: "first" } }),
    type: "created",
    patch: TODO,
  },
  {
    route: "PUT /todo/:id",
    name: "of a todo",
    prepare: todo,
    request: () => ({ method: "PUT", url: "/todo/1", body: { completed: true } }),
    type: "updated",
    patch: { completed: true },
  },
  {
    route: "PUT /todo/:id",
    name: "of a missing todo, naming an endpoint",
    request: (c) => ({ method: "PUT", url: `/todo/7${query(c)}`, body: { completed: true } }),
  },
  {
    route: "DELETE /todo/:id",
    name: "of a todo",
    prepare: todo,
    request: () => ({ method: "DELETE", url: "/todo/1" }),
    type: "deleted",
  },
  {
    route: "DELETE /todo/:id",
    name: "of a missing todo, naming an endpoint",
    request: (c) => ({ method: "DELETE", url: `/todo/7${query(c)}` }),
  },
  {
    route: "POST /endpoint",
    name: "makes a working endpoint or none",
    request: () => ({
      method: "POST",
      url: "/endpoint",
      body: { name: "second", url: "https://receiver.test/second" },
    }),
    check: (c, answered) => {
      const rows = c.world.rows("SELECT 1 FROM endpoint WHERE name = 'second'");
      return [
        ...atRest(c, ["active"]),
        ...(answered && rows.length !== 1 ? ["an acknowledged endpoint is gone"] : []),
      ];
    },
  },
  {
    route: "PUT /endpoint/:id",
    name: "changes its url",
    request: ({ endpoint }) => ({
      method: "PUT",
      url: `/endpoint/${endpoint}`,
      body: { url: "https://receiver.test/moved" },
    }),
    check: (c) => atRest(c, ["active"]),
  },
  {
    route: "DELETE /endpoint/:id",
    name: "of an endpoint",
    request: ({ endpoint }) => ({ method: "DELETE", url: `/endpoint/${endpoint}` }),
    check: (c) => atRest(c, ["active", "missing"]),
  },
  {
    route: "POST /endpoint/:id/ping",
    name: "reaches Convoy",
    request: ({ endpoint }) => ({ method: "POST", url: `/endpoint/${endpoint}/ping` }),
    type: "ping",
  },
  {
    route: "POST /endpoint/:id/pause",
    name: "of an endpoint",
    request: ({ endpoint }) => ({ method: "POST", url: `/endpoint/${endpoint}/pause` }),
    check: (c, answered) => atRest(c, answered ? ["paused"] : ["active", "paused"]),
  },
  {
    route: "POST /endpoint/:id/activate",
    name: "brings back what was discarded",
    prepare: async (c) => {
      await c.world.call("POST", `/endpoint/${c.endpoint}/pause`);
      await todo(c);
    },
    request: ({ endpoint }) => ({ method: "POST", url: `/endpoint/${endpoint}/activate` }),
    check: async (c, answered) => {
      const [row] = c.world.rows<{ status: string }>("SELECT status FROM endpoint");
      const discarded = (await c.world.deliveries()).filter(({ status }) => status === "Discarded");
      return [
        ...atRest(c, answered ? ["active"] : ["active", "paused"]),
        ...(row?.status === "active" ? discarded.map(() => "a discarded delivery was lost") : []),
      ];
    },
  },
  {
    route: "POST /endpoint/:id/rotate-secret",
    name: "of an endpoint",
    request: ({ endpoint }) => ({ method: "POST", url: `/endpoint/${endpoint}/rotate-secret` }),
  },
  {
    route: "POST /endpoint/sync",
    name: "with nothing to do",
    request: () => ({ method: "POST", url: "/endpoint/sync" }),
    check: (c) => atRest(c, ["active"]),
  },
  {
    route: "POST /portal-link",
    name: "is refused without a licence",
    request: () => ({ method: "POST", url: "/portal-link" }),
  },
  {
    route: "POST /event/:id/replay",
    name: "of a finished event",
    prepare: async (c) => {
      await todo(c);
      await finishAll(c);
    },
    request: ({ event }) => ({ method: "POST", url: `/event/${event}/replay` }),
  },
  {
    route: "POST /event/replay",
    name: "of dead events",
    prepare: async (c) => {
      await c.world.setFaults({ status: 413 });
      await todo(c);
      await c.world.setFaults({});
    },
    request: () => ({ method: "POST", url: "/event/replay", body: { state: "dead" } }),
  },
  {
    route: "cron",
    name: "posts what Convoy was not there for",
    prepare: async (c) => {
      await c.world.setFaults({ status: 503 });
      await todo(c);
      await c.world.call("PUT", "/todo/1", { completed: true });
      await c.world.call("POST", `/todo${query(c)}`, { id: 2, item: "second" });
      await c.world.drain();
      await c.world.setFaults({});
    },
  },
  {
    route: "cron",
    name: "projects what KV lacks",
    prepare: async (c) => {
      await todo(c);
      c.world.exec(
        "UPDATE event SET stored = 0, due_at = coalesce(due_at, 0), finished_at = NULL WHERE stored = 1",
      );
      await c.world.kv.delete((await c.world.kv.list()).keys[0]?.name ?? "");
    },
  },
  {
    route: "cron",
    name: "audits, and posts again what Convoy forgot",
    prepare: async (c) => {
      await c.world.setFaults({ swallow: true });
      await todo(c);
      await c.world.setFaults({});
      await c.world.call("PUT", "/todo/1", { item: "seen" });
      await c.world.drain();
      await c.world.pass(240_000);
    },
  },
  {
    route: "cron",
    name: "scrubs on the hour, reconciles and goes on with a pause",
    prepare: async (c) => {
      await todo(c);
      // A put of a dead worker landed late, and somebody died in the middle of a pause.
      const key = (await c.world.kv.list()).keys[0]?.name ?? "";
      await c.world.kv.put(key, "{}", { metadata: { seq: 0 } });
      c.world.exec("UPDATE endpoint SET status = 'pausing', updated_at = 0");
      await c.world.pass(3_600_000 - 90_000);
    },
    check: (c) => atRest(c, ["paused"]),
  },
];

async function finishAll({ world }: Context): Promise<void> {
  for (let minute = 0; minute < CRONS; minute++) await world.cron();
}

let world: Simulation | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});

let points = 0;
let failures = 0;
afterAll(() => console.info(`crash matrix: ${points} points tried, ${failures} broken`));

async function begin(scenario: Scenario): Promise<Context> {
  world = await startSimulation(SETTINGS);
  keepPurged(world);
  const made = await world.call("POST", "/endpoint", { name: "e", url: "https://receiver.test/" });
  const endpoint = ((await made.json()) as Record<string, string>)["Endpoint ID"] ?? "";
  const context = { world, endpoint, event: "" };
  await scenario.prepare?.(context);
  context.event = world.rows<{ id: string }>("SELECT id FROM event LIMIT 1")[0]?.id ?? "";
  return context;
}

/** The steps of the scenario when nothing happens. */
async function stepsOf(scenario: Scenario): Promise<number> {
  const context = await begin(scenario);
  const { around, steps } = recorder();
  const invocation = context.world.invocation(around);
  const request = scenario.request?.(context);
  const work = request
    ? invocation.fetch(request.method, request.url, request.body)
    : invocation.scheduled();
  await context.world.finish<unknown>(work);
  while (invocation.pending.size > 0) await context.world.finish(Promise.all(invocation.pending));
  await context.world.close();
  world = undefined;
  return steps.length;
}

const nothing = () => undefined;

async function tryPoint(scenario: Scenario, at: number, cut: Cut): Promise<string[]> {
  const context = await begin(scenario);
  const before = (await context.world.accepted()).length;
  const { around, dead } = cutter(at, cut);
  const invocation = context.world.invocation(around);
  const request = scenario.request?.(context);
  const acknowledged: Acknowledged[] = [];
  let answered = false;
  const work = request
    ? invocation.fetch(request.method, request.url, request.body)
    : invocation.scheduled().then(nothing, nothing);
  const response = await context.world.finish<Response | undefined>(work, dead);
  if (response instanceof Response) {
    answered = response.ok;
    const id = response.headers.get("X-Event-Id");
    if (response.ok && scenario.type && id) {
      acknowledged.push({
        id,
        type: scenario.type,
        ...(scenario.patch ? { patch: scenario.patch } : {}),
      });
    }
  }
  while (invocation.pending.size > 0 && !dead()) {
    await context.world.finish(Promise.all(invocation.pending), dead);
  }
  await finishAll(context);
  const replayed = scenario.route.endsWith("/replay") && before > 0 ? [context.event] : [];
  const wrong = await broken(context.world, acknowledged, {
    mayRepeat: new Set(replayed),
    mayBeDead: scenario.route === "POST /event/replay" && !answered,
  });
  // A change refused or never answered may be there or not; a refusal must not be.
  if (response instanceof Response && [404, 409].includes(response.status) && scenario.type) {
    const id = response.headers.get("X-Event-Id");
    if (id) wrong.push(`answered ${response.status}, but logged as ${id}`);
  }
  return [...wrong, ...((await scenario.check?.(context, answered)) ?? [])];
}

describe("a Worker that is cut at any step", () => {
  it.each(SCENARIOS.map((scenario) => [`${scenario.route} ${scenario.name}`, scenario] as const))(
    "%s: nothing is lost, repeated or made up",
    async (_, scenario) => {
      const steps = await stepsOf(scenario);
      expect(steps).toBeGreaterThan(0);
      const found: string[] = [];
      for (let at = 0; at < steps; at++) {
        for (const cut of CUTS) {
          points++;
          const wrong = await tryPoint(scenario, at, cut);
          await world?.close();
          world = undefined;
          if (wrong.length > 0) failures++;
          found.push(...wrong.map((word) => `step ${at} of ${steps}, ${cut}: ${word}`));
        }
      }
      expect(found).toEqual([]);
    },
  );

  it("has a scenario for every changing route", () => {
    const changing = app.routes
      .filter(({ method }) => ["POST", "PUT", "DELETE"].includes(method))
      .map(({ method, path }) => `${method} ${path}`);
    const covered = new Set(SCENARIOS.map(({ route }) => route));
    expect([...new Set(changing)].filter((route) => !covered.has(route))).toEqual([]);
  });
});
