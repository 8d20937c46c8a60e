// Runs of the cron at once, one of which may die, walk Convoy's list and look up, while changes, resends and a removal
// come in: each delivery arrives once, and none gets a key that nobody asked for.
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { createActor } from "../support/actors.ts";
import { brokenPromises } from "../support/promises.ts";
import { inTurn, playOut } from "../support/turns.ts";
import { pass } from "../support/virtual-clock.ts";
import { openWorld } from "../support/world.ts";

const world = openWorld({ settings: { RETENTION_DAYS: "1" } });
afterAll(() => world.close());

const MINUTE_MS = 60_000;
/** Fixed in CI: a failure there is one here. */
const SEEDED = { seed: Number(process.env.SEED ?? 1) };
const SCHEDULES = Number(process.env.RACES ?? 60);

const cast = fc.record({
  before: fc.integer({ min: 1, max: 4 }),
  /** How many minutes pass before: the walk's time, or the look-up's. */
  minutes: fc.constantFrom(3, 3, 12),
  /** Whether Convoy has forgotten what it took. */
  forgets: fc.boolean(),
  crons: fc.integer({ min: 2, max: 3 }),
  /** After which kind of step the first run dies. */
  dies: fc.constantFrom(undefined, undefined, "D1", "Convoy", "D1 UPDATE delivery"),
  beside: fc.constantFrom("resend", "remove", "purge", "nothing"),
});

test(`walks, look-ups and resends at once deliver each once: ${SCHEDULES} schedules`, {
  timeout: 3_600_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(cast, fc.scheduler(), async (plan, scheduler) => {
      await world.reset();
      world.endpoints("e1", "e2");
      if (plan.beside === "resend" || plan.beside === "purge") {
        await world.ask("POST", "/thing", { body: { id: 100 } });
        for (let i = 0; i < 4; i++) await world.cron();
        if (plan.beside === "purge") await pass(25 * 60 * MINUTE_MS);
      }
      if (plan.forgets) world.convoy.trouble.mode = "swallow";
      for (let id = 1; id <= plan.before; id++) await world.ask("POST", "/thing", { body: { id } });
      world.convoy.trouble.mode = "ok";
      await pass(plan.minutes * MINUTE_MS);

      const begin = (name: string, fate = {}) =>
        createActor(world.stores, inTurn(scheduler, name, fate));
      for (let i = 0; i < plan.crons; i++) {
        const fate = i === 0 && plan.dies ? { dies: plan.dies } : {};
        void begin(`cron ${i}`, fate).scheduled(Date.now());
      }
      world.call(begin("change"), "PUT", "/thing/1", { body: { size: 2 } });
      if (plan.beside === "resend") {
        const [first] = world.history();
        world.call(begin("resend"), "POST", `/delivery/${first?.id}.e1/resend`);
        world.call(begin("replay"), "POST", `/event/${first?.id}/replay`);
      }
      if (plan.beside === "remove") world.call(begin("remove"), "DELETE", "/endpoint/e1");
      await playOut(scheduler);
      await world.rest();
      expect(await brokenPromises(world)).toEqual([]);
      const keys = world.deliveries().map(({ key_version, resends }) => key_version - resends);
      expect(Math.max(...keys)).toBe(0);
    }),
    { numRuns: SCHEDULES, ...SEEDED, endOnFailure: true },
  );
});
