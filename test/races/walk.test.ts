// Concurrent cron runs, one of which may die, walk Convoy's list while events come in: every event is
// confirmed, and none is replayed.
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
const SCHEDULES = Number(process.env.RACES ?? 100);

const cast = fc.record({
  before: fc.integer({ min: 1, max: 4 }),
  crons: fc.integer({ min: 2, max: 3 }),
  /** After which kind of step the first cron dies. */
  dies: fc.constantFrom(undefined, undefined, "D1", "Convoy", "D1 UPDATE event"),
});

test(`concurrent walks confirm all events: ${SCHEDULES} schedules`, {
  timeout: 600_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(cast, fc.scheduler(), async ({ before, crons, dies }, scheduler) => {
      await world.reset();
      for (let id = 1; id <= before; id++) await world.ask("POST", "/todo", { id, item: "milk" });
      await pass(3 * MINUTE_MS);
      for (let i = 0; i < crons; i++) {
        const fate = i === 0 && dies ? { dies } : {};
        const actor = createActor(world.stores, inTurn(scheduler, `cron ${i}`, fate));
        void actor.scheduled(Date.now());
      }
      const changer = createActor(world.stores, inTurn(scheduler, "change"));
      world.call(changer, "PUT", "/todo/1", { completed: true });
      await playOut(scheduler);
      await world.rest();
      expect(await brokenPromises(world)).toEqual([]);
      expect(world.rows("SELECT 1 FROM event WHERE state <> 'confirmed' OR replays > 0")).toEqual(
        [],
      );
    }),
    { numRuns: SCHEDULES, endOnFailure: true },
  );
});
