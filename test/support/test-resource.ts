/**
 * The kit of a noun: its routes keep the log's promises, whatever step they are cut off at, in whatever order they take
 * turns, however old what they read is. It needs a world whose Worker mounts the noun; several nouns may share one.
 */
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { createApp, createOutbox, cronTasks } from "../../src/app.ts";
import type { newApp } from "../../src/http.ts";
import { runCron } from "../../src/outbox/cron.ts";
import { registryOf } from "../../src/outbox/resource.ts";
import { webhookSchema } from "../../src/outbox/webhook.ts";
import { runMatrix } from "../crash/matrix.ts";
import type { Scenario } from "../crash/scenario.ts";
import { type Actor, createIsolate } from "./actors.ts";
import type { WorkerCode } from "./log-worker.ts";
import type { Noun, Value } from "./noun.ts";
import { brokenPromises } from "./promises.ts";
import { inTurn, playOut } from "./turns.ts";
import { pass } from "./virtual-clock.ts";
import type { Call, World } from "./world.ts";

/** A change of an existing one: `{method: "PUT", body}`, `{method: "POST", action: "pay"}`. */
export type Step = { method: "PUT" | "POST" | "DELETE"; action?: string; body?: Value };

/** A noun, its routes, and what they take. */
export type Sample = Noun & {
  routes: ReturnType<typeof newApp>;
  /** Two bodies of POST, without an id. */
  create: [Value, Value];
  /** Two bodies of PUT, of different fields. */
  update: [Value, Value];
  /** Bodies that the schemas refuse. */
  bad: { create: Value[]; update: Value[] };
  /** After this change, the rules refuse those. */
  rules?: { after: Step; refused: Step[] };
};

/** KV is at most a minute old. */
const FRESH_MS = 70_000;
/** Schedules of each race. RACES=n tries more. */
const SCHEDULES = Number(process.env.RACES ?? 15);
const TIMEOUT_MS = 600_000;

/** How many crash points and schedules were tried. */
export const tried = { points: 0, schedules: 0 };

/** The service's own Worker with these nouns mounted. */
export function workerOf(nouns: Sample[]): WorkerCode {
  const outbox = createOutbox(registryOf(nouns.map(({ resource }) => resource)));
  const app = createApp(outbox);
  for (const { resource, routes } of nouns) app.route(`/${resource.name}`, routes);
  return {
    fetch: (request, env, ctx) => app.fetch(request, env, ctx),
    scheduled: (_controller, env) => runCron(env, outbox, { tasks: cronTasks }),
  };
}

/** All that a noun is tried with, in a world that has no call yet. */
export function testResource(world: World, sample: Sample): void {
  describe(`/${sample.resource.name}`, () => {
    testLife(world, sample);
    testWebhooks(world, sample);
    testRefusals(world, sample);
    testCrashes(world, sample);
    testRaces(world, sample);
    if (sample.rules) testRules(world, sample, sample.rules);
  });
}

function pathOf({ resource }: Sample, action?: string): string {
  return `/${resource.name}/${resource.example.id}${action === undefined ? "" : `/${action}`}`;
}

/** A body of POST, with the example's id. */
function withId({ resource, create }: Sample, which: 0 | 1 = 0): Value {
  return { id: resource.example.id, ...create[which] };
}

/** The steps that change an existing one. */
function stepsOf({ update, actions = {} }: Sample): Step[] {
  return [
    { method: "PUT", body: update[0] },
    ...Object.keys(actions).map((action) => ({ method: "POST" as const, action })),
    { method: "DELETE" },
  ];
}

function stepName({ method, action }: Step): string {
  return action === undefined ? method : `${method} ${action}`;
}

/** Begins the step as `actor`. */
export function begin(
  world: World,
  actor: Actor,
  sample: Sample,
  { method, action, body }: Step,
): Call {
  return world.call(actor, method, pathOf(sample, action), body ? { body } : {});
}

/** One that has been there for a while, with an endpoint. */
async function setup(world: World, sample: Sample): Promise<void> {
  world.endpoints("e1");
  await create(world, sample);
}

/** Creates the example's one, and lets enough time pass for every read to see it. */
export async function create(world: World, sample: Sample): Promise<void> {
  await world.ask("POST", `/${sample.resource.name}`, { body: withId(sample) });
  await pass(FRESH_MS);
}

async function expectPromisesKept(world: World): Promise<void> {
  await world.rest();
  expect(await brokenPromises(world)).toEqual([]);
}

function testLife(world: World, sample: Sample): void {
  const { resource, defaults, update } = sample;
  const { name, label, verbs } = resource;
  const path = pathOf(sample);

  test("is created, read, listed, changed and removed, with one event each", async () => {
    await world.reset();
    world.endpoints("e1");
    const made = { ...defaults, ...withId(sample) };
    const ask = async (method: string, url: string, body?: Value) => {
      const call = await world.ask(method, url, body ? { body } : {});
      await pass(FRESH_MS);
      return call;
    };
    const added = await ask("POST", `/${name}`, withId(sample));
    expect(added).toMatchObject({ status: 201, answer: { data: `${label} added`, [name]: made } });
    expect(await ask("GET", path)).toMatchObject({ status: 200, answer: made });
    expect(await ask("GET", `/${name}`)).toMatchObject({ answer: { data: [made] } });
    expect((await ask("PUT", path, update[0])).status).toBe(200);
    const changed = { ...made, ...update[0] };
    expect(await ask("GET", path)).toMatchObject({ status: 200, answer: changed });
    expect((await ask("DELETE", path)).status).toBe(200);
    const gone = { error: `${label} not found` };
    expect(await ask("GET", path)).toMatchObject({ status: 404, answer: gone });
    for (const method of ["PUT", "DELETE"]) {
      const missing = await ask(method, path, method === "PUT" ? update[1] : undefined);
      expect(missing).toMatchObject({ status: 404, eventId: null, answer: gone });
    }
    const types = [verbs.created, verbs.updated, verbs.deleted].map(({ type }) => type);
    expect(world.history().map(({ type }) => type)).toEqual(types);
    await expectPromisesKept(world);
  });

  test("gets an id if none is sent, and none twice", async () => {
    await world.reset();
    const ids = new Set<unknown>();
    for (const body of [...sample.create, ...sample.create]) {
      const { answer } = await world.ask("POST", `/${name}`, { body });
      const made = resource.schema.parse(answer?.[name]) as { id: unknown };
      ids.add(made.id);
    }
    expect(ids.size).toBe(4);
  });
}

function testWebhooks(world: World, sample: Sample): void {
  test("is told of as the types of its webhooks say", async () => {
    const said: { event: string }[] = [];
    const query = "?endpoint=e1";
    for (const { method, action, body } of stepsOf(sample)) {
      await world.reset();
      await setup(world, sample);
      await world.ask(method, pathOf(sample, action) + query, body ? { body } : {});
      await pass(FRESH_MS);
      await world.ask("GET", pathOf(sample) + query);
      await world.ask("GET", `/${sample.resource.name}${query}`);
      await world.rest();
      const taken = await world.convoy.taken();
      said.push(...taken.map((one) => JSON.parse(one.body) as { event: string }));
    }
    expect(new Set(said.map(({ event }) => event))).toEqual(
      new Set([...sample.resource.types.values()].map(({ event }) => event)),
    );
    for (const one of said) expect(fitting(sample, one)).toEqual([one.event]);
  });
}

/** The events whose webhooks may be such a body, and have nothing else. */
function fitting({ resource }: Sample, body: object): string[] {
  const types = [...resource.types.values()].filter((type) => {
    const schema = z.strictObject(webhookSchema(resource, type).shape);
    // Parsing drops what a schema does not have, however deep.
    return isDeepStrictEqual(schema.safeParse(body).data, body);
  });
  return types.map(({ event }) => event);
}

function testRefusals(world: World, sample: Sample): void {
  const { resource, bad } = sample;
  test.each([
    ...bad.create.map((body) => ["POST", body] as const),
    ...bad.update.map((body) => ["PUT", body] as const),
  ])("refuses %s %j, and nothing has happened", async (method, body) => {
    await world.reset();
    await setup(world, sample);
    const url = method === "POST" ? `/${resource.name}` : pathOf(sample);
    expect((await world.ask(method, url, { body })).status).toBe(400);
    expect(world.history()).toHaveLength(1);
  });
}

function testCrashes(world: World, sample: Sample): void {
  const { resource } = sample;
  const takes = "D1 INSERT INTO event";
  const nothing = async () => world.endpoints("e1");
  const creations: Scenario[] = [sample.create[0], withId(sample)].map((body) => ({
    name: `POST ${"id" in body ? "with" : "without"} an id`,
    takes,
    setup: nothing,
    act: (_, actor) => void world.call(actor, "POST", `/${resource.name}`, { body }),
  }));
  const changes: Scenario[] = stepsOf(sample).map((step) => ({
    name: stepName(step),
    takes,
    setup: () => setup(world, sample),
    act: (_, actor) => void begin(world, actor, sample, step),
  }));
  test.for([...creations, ...changes])(
    "$name, cut off or failing at any step, loses nothing",
    { timeout: TIMEOUT_MS },
    async (scenario) => {
      const { points, broken } = await runMatrix(world, scenario);
      tried.points += points;
      expect(broken).toEqual([]);
      expect(points).toBeGreaterThan(10);
    },
  );
}

/** Plays calls that begin at once in many orders, in one isolate or each in its own, and checks the promises. */
export async function race(
  world: World,
  prepare: () => Promise<void>,
  calls: ((actor: Actor) => Call)[],
  check: (calls: Call[]) => void,
): Promise<void> {
  const plan = fc.record({ together: fc.boolean(), slow: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(plan, fc.scheduler(), async ({ together, slow }, scheduler) => {
      tried.schedules++;
      await world.reset();
      await prepare();
      const shared = createIsolate(world.stores);
      const begun = calls.map((call, index) => {
        const isolate = together ? shared : createIsolate(world.stores);
        return call(isolate(inTurn(scheduler, `call ${index}`, { slow })));
      });
      await playOut(scheduler);
      check(begun);
      await expectPromisesKept(world);
    }),
    { numRuns: SCHEDULES, seed: Number(process.env.SEED ?? 1), endOnFailure: true },
  );
}

const statuses = (calls: Call[]) => calls.map(({ status }) => status);

function testRaces(world: World, sample: Sample): void {
  const url = `/${sample.resource.name}`;

  test("of two creations of one id one wins", { timeout: TIMEOUT_MS }, async () => {
    const calls = ([0, 1] as const).map((which) => (actor: Actor) => {
      return world.call(actor, "POST", url, { body: withId(sample, which) });
    });
    const prepare = async () => world.endpoints("e1");
    await race(world, prepare, calls, (made) => {
      expect(statuses(made).toSorted()).toEqual([201, 409]);
      expect(world.history()).toHaveLength(1);
    });
  });

  test("two changes of one both stay", { timeout: TIMEOUT_MS }, async () => {
    const calls = sample.update.map((body) => (actor: Actor) => {
      return begin(world, actor, sample, { method: "PUT", body });
    });
    await race(
      world,
      () => setup(world, sample),
      calls,
      (made) => {
        expect(statuses(made)).toEqual([200, 200]);
        const last = JSON.parse(world.history().at(-1)?.data ?? "") as Value;
        expect(last).toMatchObject({ ...sample.update[0], ...sample.update[1] });
      },
    );
  });
}

function testRules(
  world: World,
  sample: Sample,
  { after, refused }: NonNullable<Sample["rules"]>,
): void {
  const named = refused.map((step) => [stepName(step), step] as const);

  test.each(named)("%s is refused by the rules, though KV is a minute old", async (_, step) => {
    await world.reset();
    await setup(world, sample);
    const ask = ({ method, action, body }: Step) =>
      world.ask(method, pathOf(sample, action), body ? { body } : {});
    expect((await ask(after)).status).toBe(200);
    expect(await ask(step)).toMatchObject({ status: 409, eventId: null });
    expect(world.history()).toHaveLength(2);
    await expectPromisesKept(world);
  });

  test.each(named)(
    "%s never comes after what forbids it when both race",
    { timeout: TIMEOUT_MS },
    async (_, step) => {
      const calls = [after, step].map((one) => (actor: Actor) => begin(world, actor, sample, one));
      await race(
        world,
        () => setup(world, sample),
        calls,
        (made) => {
          // The first one is done; after it the other is refused, finds nothing, or is done as well.
          expect(statuses(made)).toContain(200);
          for (const status of statuses(made)) expect([200, 404, 409]).toContain(status);
        },
      );
    },
  );
}
