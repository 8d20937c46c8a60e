/**
 * Concurrent calls of the Worker's own fetch and scheduled on the same todo, in an order drawn by fast-check,
 * on a realistic KV. Steps may outlast their worker's lease, workers may die, and days may pass and the log be
 * purged between two waves. RACES=n runs more schedules than CI does.
 */
import fc from "fast-check";
import { afterAll, expect, it } from "vitest";
import type { Actor } from "../support/actors.ts";
import { ERRATIC } from "../support/kv.ts";
import { brokenPromises } from "../support/promises.ts";
import { randomOf } from "../support/random.ts";
import { frailty, type Pace, playOut } from "../support/turns.ts";
import { pass } from "../support/virtual-clock.ts";
import { type Call, openWorld } from "../support/world.ts";

const SCHEDULES = Number(process.env.RACES ?? 1_000);
const DAY_MS = 86_400_000;
/** Sweeps begin with the calls, or within two leases after them. */
const SWEEPS_MS = 180_000;

const world = openWorld({
  settings: { RETENTION_DAYS: "1", SUBREQUEST_BUDGET: "10000" },
  kv: ERRATIC,
});
afterAll(() => world.close());

const CALLS = {
  create: ["POST", "/todo"],
  update: ["PUT", "/todo/1"],
  complete: ["PUT", "/todo/1"],
  delete: ["DELETE", "/todo/1"],
} as const;
const kind = fc.constantFrom(
  ...(["create", "create", "update", "complete", "delete", "sweep", "sweep", "replay"] as const),
);
const wave = fc.array(kind, { minLength: 2, maxLength: 4 });

const schedule = fc.record({
  seed: fc.integer(),
  waves: fc.tuple(wave, wave),
  /** Whether a day passes between the waves, so that the log is purged. */
  daysPass: fc.boolean(),
  pace: fc.constantFrom<Pace>("prompt", "late", "landing"),
  /** Share of steps, in percent, at which a worker dies. */
  dies: fc.constantFrom(0, 0, 3, 8),
  /** Whether all calls of a wave meet in one isolate. */
  together: fc.boolean(),
});

it(`keeps its promises on ${SCHEDULES} schedules`, { timeout: 600_000 }, async () => {
  let tried = 0;
  let deaths = 0;
  await fc.assert(
    fc.asyncProperty(schedule, fc.scheduler(), async (plan, scheduler) => {
      tried++;
      await world.reset();
      const random = randomOf(plan.seed);
      world.kv.behaviour.random = random;
      for (const [wave, kinds] of plan.waves.entries()) {
        const fates = frailty(scheduler, random, plan);
        const shared = world.isolate();
        for (const [index, kind] of kinds.entries()) {
          const name = `${kind} ${wave}.${index}`;
          const actor = (plan.together ? shared : world.isolate())(fates.worker(name));
          begin(kind, name, actor, random() < 0.5 ? 0 : random() * SWEEPS_MS);
        }
        await playOut(scheduler);
        deaths += fates.deaths();
        await world.rest();
        // Only what lands after its lease may wait for the scrub.
        if (plan.pace !== "landing") expect(await broken()).toEqual([]);
        await world.recover();
        if (plan.daysPass) {
          await pass(DAY_MS + 5 * 60_000);
          // Half the time the purge runs in between, half the time it races.
          if (random() < 0.5) await world.cron();
        }
      }
      await world.recover();
      expect(await broken()).toEqual([]);
    }),
    // Shrinking takes minutes, so only SHRINK=1 does it; a failure's seed and path are printed.
    { numRuns: SCHEDULES, endOnFailure: !process.env.SHRINK },
  );
  console.info(`races: ${tried} schedules tried, 0 broken, ${deaths} workers died in them`);
});

function begin(
  kind: keyof typeof CALLS | "sweep" | "replay",
  name: string,
  actor: Actor,
  afterMs: number,
): void {
  if (kind === "sweep") {
    setTimeout(() => void actor.scheduled(Date.now()), afterMs);
  } else if (kind === "replay") {
    const [event] = world.rows("SELECT * FROM event ORDER BY seq DESC LIMIT 1");
    if (event) world.call(actor, "POST", `/event/${event.id}/replay`);
  } else {
    const [method, url] = CALLS[kind];
    const bodies = {
      create: { id: 1, item: `made by ${name}`, completed: false },
      update: { item: `changed by ${name}` },
      complete: { completed: true },
      delete: undefined,
    };
    world.call(actor, method, url, bodies[kind]);
  }
}

async function broken(): Promise<string[]> {
  return [...(await brokenPromises(world)), ...world.calls.filter(isWrong).map(describe)];
}

/** Whether an answer is none of those expected; only a change or an unknown outcome may name an event. */
function isWrong({ url, status, eventId }: Call): boolean {
  if (status === null || url.endsWith("/replay")) return false;
  if (status < 300) return eventId === null;
  return ![404, 409, 503].includes(status) || (eventId !== null && status !== 503);
}

function describe({ method, status, eventId }: Call): string {
  return `${method} answered ${status} with event ${eventId}`;
}
