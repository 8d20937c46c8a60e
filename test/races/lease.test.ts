// A worker that comes back after its lease ran out races sweepers, one of which may die, and another change.
// No put lands after its lease here: KV must come right without the scrub, and the lease alone sees to that.
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { type Around, createActor } from "../support/actors.ts";
import { brokenPromises } from "../support/promises.ts";
import { goOnUntil, pass, settle } from "../support/virtual-clock.ts";
import { openWorld } from "../support/world.ts";

const world = openWorld({ RETENTION_DAYS: "1" });
afterAll(() => world.close());

/** Longer than a lease (LEASE_MS in src/config.ts). */
const LEASE_OVER_MS = 95_000;
/** A little more than the second in which KV takes one write of a key. */
const SECOND_MS = 1_100;
const SCHEDULES = Number(process.env.RACES ?? 600);

const cast = fc.record({
  /** What the late worker did, and the change that races it; legal in this order. */
  changes: fc.constantFrom(
    ["POST", "PUT"],
    ["POST", "DELETE"],
    ["PUT", "PUT"],
    ["PUT", "DELETE"],
    ["DELETE", "POST"],
  ),
  sweepers: fc.integer({ min: 1, max: 2 }),
  /** Which sweeper dies once it has put a todo; 2: none. */
  dies: fc.constantFrom(0, 0, 0, 1, 2),
  /** Whether KV has had its second before each write, so that none is refused. */
  slow: fc.constantFrom(true, true, false),
});
type Cast = typeof cast extends fc.Arbitrary<infer T> ? T : never;

/** Each step waits for its turn; with `dies`, nothing runs after the first put. */
function inTurn(
  scheduler: fc.Scheduler,
  name: string,
  { slow, dies = false }: { slow: Cast["slow"]; dies?: boolean },
): Around {
  let dead = false;
  return async <T>(step: { store: string; what: string }, run: () => Promise<T>): Promise<T> => {
    const never = () => new Promise<T>(() => {});
    if (dead) return never();
    await scheduler.schedule(Promise.resolve(), `${name}: ${step.store} ${step.what}`);
    if (dead) return never();
    if (slow && ["put", "delete"].includes(step.what)) await pass(SECOND_MS);
    const answer = await run();
    if (dies && step.store === "KV") dead = true;
    return dead ? never() : answer;
  };
}

/** Held up before its check after the put; from then on in turn with the others. */
function heldUp(rest: Around): { around: Around; go: () => void } {
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  let held = false;
  const around: Around = async (step, run) => {
    if (!held && `${step.store} ${step.what}` === "D1 UPDATE event") held = true;
    if (!held) return run();
    await gate;
    return rest(step, run);
  };
  return { around, go };
}

function change(method: string): [string, string, Record<string, unknown>?] {
  if (method === "POST") return [method, "/todo", { id: 1, item: "again" }];
  return method === "PUT" ? [method, "/todo/1", { completed: true }] : [method, "/todo/1"];
}

test(`only who holds a row marks or settles it: ${SCHEDULES} schedules`, {
  timeout: 600_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(cast, fc.scheduler(), async (plan, scheduler) => {
      await world.reset();
      const [first = "", second = ""] = plan.changes;
      const { slow } = plan;
      if (first !== "POST") await world.ask("POST", "/todo", { id: 1, item: "first" });
      await pass(LEASE_OVER_MS);

      const { around, go } = heldUp(inTurn(scheduler, "late", { slow }));
      const late = createActor(world.stores, around);
      world.call(late, ...change(first));
      await goOnUntil(() => false);
      await pass(LEASE_OVER_MS);

      go();
      const actors = [late];
      for (let i = 0; i < plan.sweepers; i++) {
        const sweeper = inTurn(scheduler, `sweeper ${i}`, { slow, dies: plan.dies === i });
        const actor = createActor(world.stores, sweeper);
        void actor.scheduled(Date.now());
        actors.push(actor);
      }
      const changer = createActor(world.stores, inTurn(scheduler, "change", { slow }));
      world.call(changer, ...change(second));
      actors.push(changer);
      await settle();
      while (scheduler.count() > 0) {
        await scheduler.waitNext(1);
        await settle();
        if (scheduler.count() === 0) {
          await goOnUntil(() => scheduler.count() > 0 || actors.every((each) => each.idle()));
        }
      }
      await world.rest();
      expect(await brokenPromises(world)).toEqual([]);
    }),
    { numRuns: SCHEDULES, endOnFailure: true },
  );
});
