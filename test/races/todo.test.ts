/**
 * Races: concurrent calls of the Worker's own fetch and scheduled on the same todo, in an order that
 * fast-check draws, on a KV as it really is. Steps may wait past their worker's lease, workers may die,
 * days may pass and the log be purged between two waves. RACES=n runs more schedules than CI does.
 */
import fc from "fast-check";
import { afterEach, expect, it, vi } from "vitest";
import { type Acknowledged, broken, keepPurged } from "../support/invariants.ts";
import { realityKv } from "../support/reality-kv.ts";
import { type Around, type Simulation, startSimulation } from "../support/simulation.ts";

const SCHEDULES = Number(process.env.RACES ?? 2_000);
const SETTINGS = { AUDIT: "off", RETENTION_DAYS: "1", SUBREQUEST_BUDGET: "10000" };
const DAY_MS = 86_400_000;
const LEASE_MS = 90_000;
/** Share of steps, in percent, that take longer than a lease. */
const LATE = 10;
/** Share of steps, in percent, before which so much time passes that KV takes the next write of a key. */
const SLOW = 15;
const SLOW_MS = 1_500;

type Call = { kind: "create" | "update" | "complete" | "delete" | "sweep" | "replay" };
const calls = fc.array(
  fc.record({
    kind: fc.constantFrom<Call["kind"]>(
      ...([
        "create",
        "create",
        "update",
        "complete",
        "delete",
        "sweep",
        "sweep",
        "replay",
      ] as const),
    ),
  }),
  { minLength: 2, maxLength: 4 },
);

type Mode = "prompt" | "late" | "landing";

const schedule = fc.record({
  seed: fc.integer(),
  waves: fc.tuple(calls, calls),
  /** Whether a day passes between the waves, so that the log is purged. */
  daysPass: fc.boolean(),
  /**
   * prompt: every step ends within its worker's lease. late: some do not, but what was put into KV has
   * landed by then. landing: puts too land after their lease, which only the scrub can repair.
   */
  mode: fc.constantFrom<Mode>("prompt", "late", "landing"),
  /** Share of steps, in percent, at which a worker dies. */
  dies: fc.constantFrom(0, 0, 3, 8),
});

let world: Simulation | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});

it(`keeps its promises on ${SCHEDULES} schedules`, { timeout: 600_000 }, async () => {
  let tried = 0;
  let deaths = 0;
  await fc.assert(
    fc.asyncProperty(schedule, fc.scheduler(), async (plan, scheduler) => {
      tried++;
      const random = randomOf(plan.seed);
      const { kv, fresh } = realityKv(random);
      world = await startSimulation(SETTINGS, kv);
      keepPurged(world);
      const seen = { ...world, kv: { get: async (key: string) => fresh(key) } as KVNamespace };
      // Not at the full hour: there the cron scrubs.
      await world.pass(5 * 60_000);
      const acknowledged: Acknowledged[] = [];
      const replayed = new Set<string>();
      const wrong: string[] = [];
      try {
        for (const [wave, planned] of plan.waves.entries()) {
          deaths += await race(world, planned, { ...plan, random, scheduler, wave }, (done) => {
            if (done.acknowledged) acknowledged.push(done.acknowledged);
            if (done.replayed) replayed.add(done.replayed);
            if (done.wrong) wrong.push(done.wrong);
          });
          await heal(world);
          // Only what lands after its lease may wait for the scrub.
          if (plan.mode !== "landing") {
            wrong.push(...(await broken(seen, acknowledged, { mayRepeat: replayed })));
          }
          await scrub(world);
          if (plan.daysPass) {
            await world.pass(DAY_MS + 5 * 60_000);
            // Half of the time the purge has run in between, half of the time it races.
            if (random() < 0.5) await world.cron();
          }
        }
        await heal(world);
        await scrub(world);
        wrong.push(...(await broken(seen, acknowledged, { mayRepeat: replayed })));
        expect(wrong).toEqual([]);
      } finally {
        await world.close();
        world = undefined;
      }
    }),
    // Shrinking takes minutes; the seed and path of a failure are printed, SHRINK=1 goes on from there.
    { numRuns: SCHEDULES, endOnFailure: !process.env.SHRINK },
  );
  console.info(`races: ${tried} schedules tried, 0 broken, ${deaths} workers died in them`);
});

type Plan = {
  mode: Mode;
  dies: number;
  random: () => number;
  scheduler: fc.Scheduler;
  wave: number;
};
type Done = { acknowledged?: Acknowledged; replayed?: string; wrong?: string };

/** Runs the calls at once, one step after the other, in the scheduler's order. @returns how many died */
async function race(
  world: Simulation,
  planned: Call[],
  plan: Plan,
  tell: (done: Done) => void,
): Promise<number> {
  let running = planned.length;
  let deaths = 0;
  for (const [index, { kind }] of planned.entries()) {
    const actor = { dead: false };
    const invocation = world.invocation(stepping(plan, actor, `${kind} ${index}`));
    const label = `${plan.wave}.${index}`;
    const work = run(world, invocation, kind, label, tell).then(async () => {
      while (invocation.pending.size > 0) await Promise.all(invocation.pending);
    });
    const end = () => {
      running--;
    };
    void Promise.race([work, diedOf(actor)]).then(end, end);
    actors.add(actor);
  }
  // Steps first; the clock moves only where nothing else can.
  while (running > 0) {
    await new Promise((resolve) => setImmediate(resolve));
    if (running === 0) break;
    if (plan.scheduler.count() > 0) await plan.scheduler.waitOne();
    else await vi.advanceTimersToNextTimerAsync();
  }
  for (const actor of actors) if (actor.dead) deaths++;
  actors.clear();
  return deaths;
}

/** Puts that are on their way into KV. */
let puts = 0;

type Actor = { dead: boolean; onDeath?: () => void };
const actors = new Set<Actor>();

function diedOf(actor: Actor): Promise<void> {
  return new Promise((resolve) => {
    actor.onDeath = resolve;
  });
}

/** Before and after each step somebody else may come first; a step may be late, a worker may die. */
function stepping({ mode, dies, random, scheduler }: Plan, actor: Actor, name: string): Around {
  const never = <T>() => new Promise<T>(() => {});
  const die = <T>() => {
    actor.dead = true;
    actor.onDeath?.();
    return never<T>();
  };
  return async <T>(step: { store: string; name: string }, go: () => T | Promise<T>): Promise<T> => {
    if (actor.dead) return never<T>();
    await scheduler.schedule(Promise.resolve(), `${name}: ${step.store} ${step.name.slice(0, 24)}`);
    if (actor.dead || random() * 100 < dies) return die<T>();
    if (random() * 100 < SLOW) vi.setSystemTime(Date.now() + SLOW_MS);
    const isPut = step.store === "KV" && (step.name === "put" || step.name === "delete");
    if (isPut) puts++;
    const late = mode === "landing" || (mode === "late" && puts === 0);
    if (late && random() * 100 < LATE) {
      vi.setSystemTime(Date.now() + LEASE_MS + 1_000);
      await scheduler.schedule(Promise.resolve(), `${name}: late`);
    }
    if (isPut) puts--;
    const answer = await go();
    await scheduler.schedule(Promise.resolve(), `${name}: answer`);
    if (actor.dead || random() * 100 < dies) return die<T>();
    return answer;
  };
}

async function run(
  world: Simulation,
  invocation: ReturnType<Simulation["invocation"]>,
  kind: Call["kind"],
  label: string,
  tell: (done: Done) => void,
): Promise<void> {
  if (kind === "sweep") return invocation.scheduled();
  if (kind === "replay") {
    const [event] = world.rows<{ id: string }>("SELECT id FROM event ORDER BY seq DESC LIMIT 1");
    if (!event) return;
    tell({ replayed: event.id });
    await invocation.fetch("POST", `/event/${event.id}/replay`);
    return;
  }
  const patches = {
    create: { id: 1, item: `made by ${label}`, completed: false },
    update: { item: `changed by ${label}` },
    complete: { completed: true },
    delete: undefined,
  };
  const methods = { create: "POST", update: "PUT", complete: "PUT", delete: "DELETE" };
  const types = { create: "created", update: "updated", complete: "updated", delete: "deleted" };
  const url = kind === "create" ? "/todo" : "/todo/1";
  const patch = patches[kind];
  const response = await invocation.fetch(methods[kind], url, patch);
  const id = response.headers.get("X-Event-Id");
  if (response.ok && id) {
    tell({ acknowledged: { id, type: types[kind], ...(patch ? { patch } : {}) } });
  } else if (![404, 409, 503].includes(response.status) || (id && response.status !== 503)) {
    tell({ wrong: `${kind} answered ${response.status} with event ${id}` });
  }
}

/** Leases run out, reads are fresh again, the cron has its turns. */
async function heal(world: Simulation): Promise<void> {
  await world.pass(3 * 60_000);
  for (let turn = 0; turn < 4; turn++) {
    if (new Date(Date.now() + 60_000).getUTCMinutes() === 0) await world.pass(2 * 60_000);
    await world.cron();
  }
}

/** The full hour comes, and what the scrub found is put right. */
async function scrub(world: Simulation): Promise<void> {
  await world.pass(3_600_000 - (Date.now() % 3_600_000) - 60_000);
  for (let turn = 0; turn < 2; turn++) await world.cron();
  await world.pass(5 * 60_000);
}

/** A small generator, so that a seed gives the same KV again. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return state / 2 ** 32;
  };
}
