// Replays race the purge of the log, changes, and workers that come back late.
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { type Around, createActor } from "../support/actors.ts";
import { brokenPromises } from "../support/promises.ts";
import { heldUp, inTurn, playOut } from "../support/turns.ts";
import { goOnUntil, pass } from "../support/virtual-clock.ts";
import { openWorld } from "../support/world.ts";

const world = openWorld({ settings: { RETENTION_DAYS: "1" } });
afterAll(() => world.close());

/** Longer than a lease (LEASE_MS in src/config.ts). */
const LEASE_OVER_MS = 95_000;
/** Longer than the retention. */
const RETENTION_OVER_MS = 25 * 3_600_000;
const SCHEDULES = Number(process.env.RACES ?? 200);
const RUNS = { numRuns: SCHEDULES, endOnFailure: true };

function begin(around: Around, ...call: [string, string, Record<string, unknown>?]): void {
  world.call(createActor(world.stores, around), ...call);
}

test(`replaying an old event while later ones are due for purge breaks no promise: ${SCHEDULES} schedules`, {
  timeout: 600_000,
}, async () => {
  const plans = fc.record({ dies: fc.boolean(), slow: fc.boolean(), twice: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(plans, fc.scheduler(), async ({ dies, slow, twice }, scheduler) => {
      await world.reset();
      await world.ask("POST", "/todo", { id: 1, item: "first" });
      await world.rest();
      await world.ask("PUT", "/todo/1", { item: "second" });
      await world.rest();
      await pass(RETENTION_OVER_MS);

      const [first] = world.history();
      const fate = { slow, ...(dies ? { diesBefore: "Convoy" } : {}) };
      begin(inTurn(scheduler, "replay", fate), "POST", `/event/${first!.id}/replay`);
      const sweeper = createActor(world.stores, inTurn(scheduler, "sweeper", { slow }));
      void sweeper.scheduled(Date.now());
      begin(inTurn(scheduler, "change", { slow }), "PUT", "/todo/1", { completed: true });
      if (twice) begin(inTurn(scheduler, "delete", { slow }), "DELETE", "/todo/1");
      await playOut(scheduler);
      await world.rest();
      expect(await brokenPromises(world)).toEqual([]);
    }),
    RUNS,
  );
});

test(`a worker that comes back late breaks no promise of a replay: ${SCHEDULES} schedules`, {
  timeout: 600_000,
}, async () => {
  const plans = fc.record({ dies: fc.boolean(), slow: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(plans, fc.scheduler(), async ({ dies, slow }, scheduler) => {
      await world.reset();
      const { around, go } = heldUp(inTurn(scheduler, "late", { slow }));
      begin(around, "POST", "/todo", { id: 1, item: "first" });
      await goOnUntil(() => false);
      await world.rest();

      go();
      const [first] = world.history();
      const fate = { slow, ...(dies ? { diesBefore: "Convoy" } : {}) };
      begin(inTurn(scheduler, "replay", fate), "POST", `/event/${first!.id}/replay`);
      await playOut(scheduler);
      await pass(LEASE_OVER_MS);
      await world.rest();
      expect(await brokenPromises(world)).toEqual([]);
    }),
    RUNS,
  );
});
