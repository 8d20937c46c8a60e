/** Crash scenarios of the cron: everything it may have to do. */
import type { Actor } from "../support/actors.ts";
import { pass } from "../support/virtual-clock.ts";
import type { World } from "../support/world.ts";
import {
  anEndpoint,
  aTodo,
  cutCall,
  endpointId,
  passToMinute,
  type Scenario,
  WEBHOOK_URL,
} from "./scenario.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** Longer than a lease. */
const LEASE_OVER_MS = 95_000;

function runCron(_world: World, actor: Actor): void {
  void actor.scheduled(Date.now());
}

function cron(name: string, setup: Scenario["setup"], late = false): Scenario {
  return { route: "cron", name: `cron: ${name}`, setup, act: runCron, late };
}

/** The cron with each kind of work. */
export const CRON_SCENARIOS: Scenario[] = [
  cron("to project and to post", async (world) => {
    await aTodo(world);
    await cutCall(world, ["KV put"], "POST", "/todo", { id: 2, item: "bread" });
    await cutCall(world, ["KV put"], "PUT", "/todo/1", { item: "cream" });
    await cutCall(world, ["KV delete"], "DELETE", "/todo/1");
    await pass(LEASE_OVER_MS);
    await passToMinute(17);
  }),
  cron("to post", async (world) => {
    await aTodo(world);
    await cutCall(world, ["Convoy POST /events"], ...pingOf(world));
    await cutCall(world, ["D1 UPDATE event"], "PUT", "/todo/1", { completed: true });
    await pass(LEASE_OVER_MS);
    await passToMinute(17);
  }),
  cron("to audit", async (world) => {
    await aTodo(world);
    await pass(2 * MINUTE_MS);
    await passToMinute(17);
  }),
  cron("to post what Convoy forgot", async (world) => {
    await anEndpoint(world);
    await world.convoy.setFaults({ swallow: true });
    await world.ask("POST", "/todo", { id: 1, item: "milk" });
    await world.ask("POST", "/todo", { id: 2, item: "bread" });
    await world.convoy.setFaults({});
    await pass(11 * MINUTE_MS);
    await passToMinute(27);
  }),
  cron("to look up by key", async (world) => {
    await anEndpoint(world);
    await world.convoy.setFaults({ swallow: true });
    await world.ask("POST", "/todo", { id: 1, item: "milk" });
    await world.ask("POST", `/todo?endpoint=${endpointId(world)}`, { id: 2, item: "bread" });
    await acceptedAgain(world);
    await world.convoy.setFaults({});
    await pass(11 * MINUTE_MS);
    await passToMinute(57);
  }),
  cron("to give a new key", async (world) => {
    await anEndpoint(world);
    await world.convoy.setFaults({ strand: { what: "event" } });
    await world.ask("POST", "/todo", { id: 1, item: "milk" });
    await world.convoy.setFaults({});
    for (let looks = 0; looks < 4; looks++) await acceptedAgain(world);
    await pass(11 * MINUTE_MS);
    await passToMinute(17);
  }),
  cron(
    "to scrub",
    async (world) => {
      await aTodo(world);
      await world.ask("PUT", "/todo/1", { item: "cream" });
      await pass(3 * MINUTE_MS);
      await world.cron();
      // The scrub does not look at anything younger than ten minutes.
      await pass(10 * MINUTE_MS);
      // A late put of the first version, by a worker that is gone.
      const [key] = [...world.kv.now().keys()];
      const late = JSON.stringify({ id: 1, item: "milk", completed: false });
      world.kv.write(key!, late, { seq: 1 });
      await passToMinute(0);
    },
    true,
  ),
  cron("to purge", async (world) => {
    await aTodo(world);
    await world.ask("PUT", "/todo/1", { item: "cream" });
    await world.ask("POST", "/todo", { id: 2, item: "bread" });
    await world.recover();
    await cutCall(world, ["KV put"], "PUT", "/todo/1", { completed: true });
    await pass(DAY_MS + MINUTE_MS);
    await passToMinute(17);
  }),
  cron("to end a creation", async (world) => {
    const body = { name: "new", url: `${WEBHOOK_URL}/new` };
    await cutCall(world, ["D1 UPDATE endpoint"], "POST", "/endpoint", body);
    await pass(6 * MINUTE_MS);
    await passToMinute(25);
  }),
  cron("to end a creation without subscription", async (world) => {
    const body = { name: "new", url: `${WEBHOOK_URL}/new` };
    await cutCall(world, ["Convoy POST /subscriptions"], "POST", "/endpoint", body);
    await pass(6 * MINUTE_MS);
    await passToMinute(25);
  }),
  cron("to end a pause", async (world) => {
    await anEndpoint(world);
    await cutCall(world, ["D1 UPDATE endpoint", 2], "POST", `/endpoint/${endpointId(world)}/pause`);
    await pass(LEASE_OVER_MS);
    await passToMinute(17);
  }),
  cron("to end an activation", async (world) => {
    await anEndpoint(world);
    await world.ask("POST", `/endpoint/${endpointId(world)}/pause`);
    await world.ask("POST", "/todo", { id: 1, item: "milk" });
    await cutCall(
      world,
      ["D1 UPDATE endpoint", 2],
      "POST",
      `/endpoint/${endpointId(world)}/activate`,
    );
    await pass(LEASE_OVER_MS);
    await passToMinute(17);
  }),
];

/** Waits out the audit's patience: accepted events are posted or looked up again, and accepted as before. */
async function acceptedAgain(world: World): Promise<void> {
  await pass(11 * MINUTE_MS);
  await world.cron();
  await world.cron();
}

function pingOf(world: World): [string, string] {
  return ["POST", `/endpoint/${endpointId(world)}/ping`];
}
