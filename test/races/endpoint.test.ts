// Concurrent changes to one endpoint, overlapping cron runs, workers that die: no field and no delivery is lost.
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { createActor } from "../support/actors.ts";
import { brokenEndpoints } from "../support/endpoint-records.ts";
import { inTurn, playOut } from "../support/turns.ts";
import { pass } from "../support/virtual-clock.ts";
import { openWorld } from "../support/world.ts";

const world = openWorld();
afterAll(() => world.close());

const SCHEDULES = Math.ceil(Number(process.env.RACES ?? 200) / 3);
const RUNS = { numRuns: SCHEDULES, endOnFailure: true };
const url = "https://webhook.test/hook";
const MINUTE_MS = 60_000;

type AtConvoy = { name: string; description: string; status: string };
type Delivery = { status: string; body: string; idempotency_key: string };

async function anEndpoint(): Promise<string> {
  const made = await world.ask("POST", "/endpoint", { name: "one", url, description: "" });
  await world.cron();
  return String(made.answer?.["Endpoint ID"]);
}

test(`two concurrent PUTs, a pause and a cron lose no acknowledged field: ${SCHEDULES} schedules`, {
  timeout: 600_000,
}, async () => {
  const plans = fc.record({
    dies: fc.constantFrom(undefined, "Convoy PUT", "Convoy GET", "D1 UPDATE endpoint"),
    pauses: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(plans, fc.scheduler(), async ({ dies, pauses }, scheduler) => {
      await world.reset();
      const id = await anEndpoint();
      const begin = (name: string, ...call: [string, string, object?]) =>
        world.call(
          createActor(
            world.stores,
            inTurn(scheduler, name, name === "dies" && dies ? { dies } : {}),
          ),
          call[0],
          call[1],
          call[2] as Record<string, unknown>,
        );
      const first = begin("first", "PUT", `/endpoint/${id}`, { name: "N" });
      const second = begin("dies", "PUT", `/endpoint/${id}`, { description: "D" });
      const pause = pauses ? begin("pause", "POST", `/endpoint/${id}/pause`) : null;
      const cron = createActor(world.stores, inTurn(scheduler, "cron"));
      void cron.scheduled(Date.now());
      await playOut(scheduler);
      await world.rest();
      const there = await world.convoy.api<AtConvoy>("GET", `/endpoints/${id}`);
      if (first.status === 200) expect(there.name).toBe("N");
      if (second.status === 200) expect(there.description).toBe("D");
      if (pause?.status === 200) expect(there.status).toBe("paused");
      // No PUT waits so long that it is refused, unless one before it died.
      if (!dies) expect([first.status, second.status]).toEqual([200, 200]);
      expect(await brokenEndpoints(world)).toEqual([]);
    }),
    RUNS,
  );
});

test(`overlapping crons, one of which may die, recover each delivery once: ${SCHEDULES} schedules`, {
  timeout: 600_000,
}, async () => {
  const plans = fc.record({
    dies: fc.constantFrom(
      undefined,
      "Convoy POST",
      "Convoy GET",
      "D1 INSERT",
      "D1 UPDATE recovery",
    ),
    crons: fc.integer({ min: 2, max: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(plans, fc.scheduler(), async ({ dies, crons }, scheduler) => {
      await world.reset();
      const id = await anEndpoint();
      for (const what of ["delivery", "retry", "processing"] as const) {
        await world.convoy.setFaults({ strand: { what } });
        await world.ask("POST", "/todo", { item: what });
      }
      await world.convoy.setFaults({});
      await world.convoy.setStatus(id, "inactive");
      await world.ask("POST", "/todo", { item: "discarded" });
      await world.convoy.api("POST", `/endpoints/${id}/activate`);
      await pass(35 * MINUTE_MS);
      for (let i = 0; i < crons; i++) {
        const fate = i === 0 && dies ? { dies } : {};
        const actor = createActor(world.stores, inTurn(scheduler, `cron ${i}`, fate));
        void actor.scheduled(Date.now());
      }
      await playOut(scheduler);
      for (let i = 0; i < 40; i++) await world.cron();
      const all = await world.convoy.inbox<Delivery>("deliveries");
      const arrived = all.filter(({ status }) => status === "Success");
      const items = arrived.map(({ body }) => JSON.parse(body).todo.item as string).sort();
      expect(items).toEqual(["delivery", "discarded", "processing", "retry"]);
      expect(world.rows("SELECT * FROM recovery")).toEqual([]);
    }),
    RUNS,
  );
});
