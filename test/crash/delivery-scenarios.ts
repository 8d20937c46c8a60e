/** Crash scenarios of what users do to deliveries and endpoints. */
import { pass } from "../support/virtual-clock.ts";
import type { World } from "../support/world.ts";
import { eventId, MINUTE_MS, type Scenario } from "./scenario.ts";

const TOO_LARGE = Response.json({ status: false, message: "too large" }, { status: 413 });

/** Two things that Convoy refused for good, as too large: they can be sent again by now. */
async function deadOnes(world: World): Promise<void> {
  world.endpoints("e1", "e2");
  world.convoy.trouble.refuses = () => TOO_LARGE.clone();
  await world.ask("POST", "/thing", { body: { id: 1 } });
  await world.ask("POST", "/thing", { body: { id: 2 } });
  world.convoy.trouble.refuses = () => undefined;
  await pass(2 * MINUTE_MS);
}

/** One thing that has arrived. */
async function aDelivered(world: World): Promise<void> {
  world.endpoints("e1", "e2");
  await world.ask("POST", "/thing", { body: { id: 1 } });
  for (let i = 0; i < 4; i++) await world.cron();
}

/** Sends again what is still dead, as a user would whose call came to nothing. */
async function resendTheDead(world: World): Promise<boolean> {
  if (!world.statuses().dead) return false;
  await world.ask("POST", "/delivery/resend", { body: {} });
  return true;
}

const resendOne = (world: World) => `/delivery/${eventId(world)}.e1/resend`;

/** Deliveries in every status for the endpoint e1: pending, sending, held by a pause, delivered, dead. */
async function everyStatus(world: World): Promise<void> {
  world.endpoints("e1", "e2");
  await world.ask("POST", "/thing", { body: { id: 1 } });
  for (let i = 0; i < 4; i++) await world.cron();
  world.convoy.trouble.refuses = () => TOO_LARGE.clone();
  await world.ask("POST", "/thing", { body: { id: 2 } });
  world.convoy.trouble.refuses = () => undefined;
  await world.ask("POST", "/thing", { body: { id: 3 } });
  world.convoy.trouble.mode = "down";
  await world.ask("POST", "/thing", { body: { id: 4 } });
  await world.ask("POST", "/endpoint/e1/pause");
  await world.ask("POST", "/thing", { body: { id: 5 } });
  world.convoy.trouble.mode = "ok";
  await world.ask("POST", "/endpoint/e1/activate");
}

/** What is dead of an endpoint that is there was refused as too large. */
const tooLarge = {
  refused: ({ error }: { error: string | null }) => error === "Convoy answered 413",
};

/** Resends of one, of an event's, of many; a pause, its end, a removal. */
export const DELIVERY_SCENARIOS: Scenario[] = [
  {
    name: "resend a delivered one",
    takes: "Convoy POST /events",
    setup: aDelivered,
    act: (world, actor) => void world.call(actor, "POST", resendOne(world)),
  },
  {
    name: "resend a dead one",
    takes: "Convoy POST /events",
    setup: deadOnes,
    again: resendTheDead,
    act: (world, actor) => void world.call(actor, "POST", resendOne(world)),
  },
  {
    name: "replay an event that arrived",
    takes: "Convoy POST /events",
    setup: aDelivered,
    act: (world, actor) => void world.call(actor, "POST", `/event/${eventId(world)}/replay`),
  },
  {
    name: "replay an event of which one is dead",
    takes: "Convoy POST /events",
    async setup(world) {
      await aDelivered(world);
      world.convoy.trouble.refuses = ({ endpoint_id }) =>
        endpoint_id === "e1" ? TOO_LARGE.clone() : undefined;
      await world.ask("PUT", "/thing/1", { body: { size: 2 } });
      world.convoy.trouble.refuses = () => undefined;
      await pass(2 * MINUTE_MS);
    },
    again: resendTheDead,
    act: (world, actor) => void world.call(actor, "POST", `/event/${eventId(world, 2)}/replay`),
  },
  {
    name: "resend all that are dead",
    takes: "D1 UPDATE delivery",
    setup: deadOnes,
    again: resendTheDead,
    act: (world, actor) => void world.call(actor, "POST", "/delivery/resend", { body: {} }),
  },
  {
    name: "pause",
    takes: "D1 UPDATE endpoint",
    setup: everyStatus,
    excuses: tooLarge,
    act: (world, actor) => void world.call(actor, "POST", "/endpoint/e1/pause"),
  },
  {
    name: "activate",
    takes: "D1 UPDATE endpoint",
    async setup(world) {
      world.endpoints({ id: "e1", paused: true });
      for (let id = 1; id <= 3; id++) await world.ask("POST", "/thing", { body: { id } });
    },
    // Else what is held is held for a reason.
    act: (world, actor) => void world.call(actor, "POST", "/endpoint/e1/activate"),
  },
  {
    name: "remove an endpoint",
    takes: "D1 UPDATE endpoint",
    setup: everyStatus,
    excuses: tooLarge,
    act: (world, actor) => void world.call(actor, "DELETE", "/endpoint/e1"),
  },
  {
    name: "look at deliveries under way",
    takes: "Convoy GET /eventdeliveries",
    async setup(world) {
      await everyStatus(world);
      await pass(5_000);
    },
    excuses: tooLarge,
    act: (world, actor) => void world.call(actor, "GET", "/delivery"),
  },
];
