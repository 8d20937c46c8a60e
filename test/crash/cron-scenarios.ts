/** Crash scenarios of the cron: everything that it may have to do. */
import { pass } from "../support/virtual-clock.ts";
import type { World } from "../support/world.ts";
import {
  aThing,
  cutCall,
  DAY_MS,
  LEASE_OVER_MS,
  MINUTE_MS,
  runCron,
  type Scenario,
} from "./scenario.ts";

function cron(
  name: string,
  about: Pick<Scenario, "takes" | "shows" | "late" | "excuses">,
  setup: Scenario["setup"],
): Scenario {
  return { name: `cron: ${name}`, setup, act: runCron, ...about };
}

/** Creates things while Convoy is in some trouble. */
async function during(world: World, trouble: object, ...ids: number[]): Promise<void> {
  const before = { ...world.convoy.trouble };
  Object.assign(world.convoy.trouble, trouble);
  for (const id of ids) await world.ask("POST", "/thing", { body: { id } });
  await pass(10_000);
  Object.assign(world.convoy.trouble, before);
}

/** Lets time pass until what Convoy has taken is idle for long, with proof that it finishes others: one made later. */
async function longAfter(world: World): Promise<void> {
  await pass(MINUTE_MS);
  await world.ask("POST", "/thing", { body: { id: 99 } });
  await pass(4 * MINUTE_MS);
  await world.cron();
  await pass(50 * MINUTE_MS);
  world.d1.sqlite.exec(
    "UPDATE delivery SET looks = 1, due_at = accepted_at + 600000 WHERE status = 'sending'",
  );
}

/** SQL: a row of a delivery. */
const one = (where: string) => `SELECT 1 FROM delivery WHERE ${where}`;

const POST = "Convoy POST /events";
const LIST = "Convoy GET /eventdeliveries";

/** The cron with each kind of work. */
export const CRON_SCENARIOS: Scenario[] = [
  cron("to project", { takes: "KV put" }, async (world) => {
    await aThing(world);
    await cutCall(world, ["KV put"], "POST", "/thing", { body: { id: 2 } });
    await cutCall(world, ["KV put"], "PUT", "/thing/1", { body: { name: "cream" } });
    await cutCall(world, ["KV delete"], "DELETE", "/thing/1");
    await pass(LEASE_OVER_MS);
  }),
  cron("to post, of two owners", { takes: POST }, async (world) => {
    world.endpoints("e1", "e2", { id: "x1", owner: "x" });
    await during(world, { mode: "down" }, 1, 2);
    await cutCall(world, ["Convoy POST /events"], "POST", "/thing", {
      owner: "x",
      body: { id: 1 },
    });
    await pass(LEASE_OVER_MS);
  }),
  cron("to post, and Convoy is down", { takes: POST }, async (world) => {
    world.endpoints("e1", "e2");
    await during(world, { mode: "down" }, 1, 2, 3);
    world.convoy.trouble.mode = "down";
    await pass(LEASE_OVER_MS);
    setTimeout(() => {
      world.convoy.trouble.mode = "ok";
    }, 3 * MINUTE_MS);
  }),
  cron(
    "to release what was held",
    { takes: POST, shows: one("endpoint_id = 'e1' AND status = 'sending'") },
    async (world) => {
      world.endpoints({ id: "e1", paused: true }, "e2");
      for (let id = 1; id <= 3; id++) await world.ask("POST", "/thing", { body: { id } });
      await world.ask("POST", "/endpoint/e1/activate");
      await pass(MINUTE_MS);
    },
  ),
  cron(
    "to hold what is pending",
    { takes: "UPDATE delivery", shows: one("status = 'held'") },
    async (world) => {
      world.endpoints("e1", "e2");
      await during(world, { mode: "down" }, 1, 2);
      await world.ask("POST", "/endpoint/e1/pause");
      await pass(LEASE_OVER_MS);
    },
  ),
  cron("to post for an endpoint that Convoy does not know", { takes: POST }, async (world) => {
    world.endpoints("e1", "e2");
    world.convoy.endpoint("e1").status = "gone";
    for (const id of [1, 2]) await world.ask("POST", "/thing", { body: { id } });
    await pass(LEASE_OVER_MS);
  }),
  cron("to walk", { takes: LIST, shows: one("status = 'delivered'") }, async (world) => {
    world.endpoints("e1", "e2");
    for (const id of [1, 2]) await world.ask("POST", "/thing", { body: { id } });
    await pass(3 * MINUTE_MS);
  }),
  cron(
    "to walk past what was discarded",
    { takes: LIST, shows: one("endpoint_id = 'e1' AND status = 'held'") },
    async (world) => {
      world.endpoints("e1", "e2", "e3");
      world.convoy.setActive("e1", false);
      world.convoy.setActive("e2", false);
      await world.ask("POST", "/thing", { body: { id: 1 } });
      await pass(3 * MINUTE_MS);
      world.convoy.setActive("e2", true);
      setTimeout(() => world.convoy.setActive("e1", true), 20 * MINUTE_MS);
    },
  ),
  cron(
    "to look at an endpoint that is active again",
    { takes: "Convoy GET /endpoints" },
    async (world) => {
      world.endpoints("e1");
      world.convoy.setActive("e1", false);
      await world.ask("POST", "/thing", { body: { id: 1 } });
      for (let i = 0; i < 4; i++) await world.cron();
      world.convoy.setActive("e1", true);
      await pass(6 * MINUTE_MS);
    },
  ),
  cron(
    "to post what Convoy forgot",
    { takes: LIST, shows: one("looks = 1 AND status = 'pending'") },
    async (world) => {
      world.endpoints("e1");
      await during(world, { mode: "swallow" }, 1, 2);
      await during(world, {}, 3);
      for (let i = 0; i < 9; i++) await world.cron();
      await pass(2 * MINUTE_MS);
    },
  ),
  cron(
    "to post a canary",
    { takes: LIST, shows: one("status = 'sending' AND looks = 0") },
    async (world) => {
      world.endpoints("e1");
      await during(world, { mode: "swallow" }, 1, 2);
      for (let i = 0; i < 9; i++) await world.cron();
      await pass(2 * MINUTE_MS);
    },
  ),
  cron(
    "to look up by key",
    { takes: LIST, shows: one("looks = 2 AND status = 'pending'") },
    async (world) => {
      world.endpoints("e1", "e2");
      await during(world, { mode: "swallow" }, 1);
      // Looked for once already, and swallowed again.
      world.d1.sqlite.exec("UPDATE delivery SET looks = 1");
      await during(world, { loses: 1 }, 2);
      await pass(11 * MINUTE_MS);
    },
  ),
  cron("to subscribe an endpoint", { takes: "Convoy POST /subscriptions" }, async (world) => {
    world.endpoints("e1");
    world.convoy.endpoint("e1").isSubscribed = false;
    await world.ask("POST", "/thing", { body: { id: 1 } });
    world.d1.sqlite.exec("UPDATE delivery SET looks = 1");
    await pass(11 * MINUTE_MS);
  }),
  cron(
    "to give a new key to what is stuck",
    { takes: LIST, shows: one("key_version = 1") },
    async (world) => {
      world.endpoints("e1", "e2");
      await during(world, { strands: 1 }, 1);
      await longAfter(world);
    },
  ),
  cron("to scrub", { takes: "KV getWithMetadata", late: true }, async (world) => {
    world.endpoints("e1");
    await aThing(world);
    await world.ask("PUT", "/thing/1", { body: { name: "cream" } });
    for (let i = 0; i < 4; i++) await world.cron();
    // The scrub does not look at anything younger than ten minutes.
    await pass(10 * MINUTE_MS);
    // A late put of the first version, by a worker that is gone.
    const [key] = [...world.kv.now().keys()];
    world.kv.write(String(key), JSON.stringify({ id: 1, name: "bolt", size: 0 }), { seq: 1 });
    await pass(MINUTE_MS);
  }),
  cron("to purge", { takes: "DELETE FROM event" }, async (world) => {
    world.endpoints("e1");
    await aThing(world);
    await world.ask("PUT", "/thing/1", { body: { name: "cream" } });
    await world.ask("POST", "/thing", { body: { id: 2 } });
    await world.recover();
    await cutCall(world, ["KV put"], "PUT", "/thing/1", { body: { size: 3 } });
    await pass(DAY_MS + MINUTE_MS);
  }),
  cron(
    "to give up what was held too long",
    {
      takes: "UPDATE delivery",
      shows: one("status = 'dead'"),
      excuses: { refused: ({ error }) => error === "It was held for too long." },
    },
    async (world) => {
      world.endpoints({ id: "e1", paused: true }, "e2");
      for (const id of [1, 2]) await world.ask("POST", "/thing", { body: { id } });
      await world.rest();
      await pass(2 * DAY_MS + MINUTE_MS);
    },
  ),
];
