/** Crash scenarios of the routes that change endpoints, or replay events. */
import type { Actor } from "../support/actors.ts";
import { pass } from "../support/virtual-clock.ts";
import type { World } from "../support/world.ts";
import { anEndpoint, aTodo, endpointId, type Scenario, WEBHOOK_URL } from "./scenario.ts";

/** A call on the first endpoint. */
function onEndpoint(method: string, rest: string, body?: Record<string, unknown>) {
  return (world: World, actor: Actor) => {
    world.call(actor, method, `/endpoint/${endpointId(world)}${rest}`, body);
  };
}

/** A paused endpoint, with a webhook discarded during the pause. */
async function aPausedEndpoint(world: World): Promise<void> {
  await anEndpoint(world);
  await world.ask("POST", `/endpoint/${endpointId(world)}/pause`);
  await world.ask("POST", "/todo", { id: 1, item: "milk" });
}

/** A todo whose event Convoy refuses for good, as too large. */
async function aDeadEvent(world: World): Promise<void> {
  await anEndpoint(world);
  await world.convoy.setFaults({ status: 413, message: "too large" });
  await world.ask("POST", "/todo", { id: 1, item: "milk" });
  await world.convoy.setFaults({});
  await pass(95_000);
}

/** Asks again for a replay that never began. */
async function replayTheDead(world: World): Promise<boolean> {
  if (world.rows("SELECT 1 FROM event WHERE state = 'dead'").length === 0) return false;
  await world.ask("POST", "/event/replay", { state: "dead" });
  return true;
}

/** The id of the first event. */
function eventId(world: World): string {
  return world.history()[0]!.id;
}

/** Every changing route under /endpoint and /event. */
export const OTHER_SCENARIOS: Scenario[] = [
  {
    route: "POST /endpoint",
    name: "create an endpoint",
    setup: async () => {},
    act: (world, actor) => {
      world.call(actor, "POST", "/endpoint", { name: "new", url: `${WEBHOOK_URL}/new` });
    },
  },
  {
    route: "PUT /endpoint/:id",
    name: "change an endpoint",
    setup: anEndpoint,
    act: onEndpoint("PUT", "", { url: `${WEBHOOK_URL}/changed` }),
  },
  {
    route: "DELETE /endpoint/:id",
    name: "remove an endpoint",
    setup: aTodo,
    act: onEndpoint("DELETE", ""),
  },
  {
    route: "POST /endpoint/:id/ping",
    name: "ping",
    setup: anEndpoint,
    act: onEndpoint("POST", "/ping"),
  },
  {
    route: "POST /endpoint/:id/pause",
    name: "pause",
    setup: anEndpoint,
    act: onEndpoint("POST", "/pause"),
  },
  {
    route: "POST /endpoint/:id/activate",
    name: "activate",
    setup: aPausedEndpoint,
    act: onEndpoint("POST", "/activate"),
  },
  {
    route: "POST /endpoint/:id/rotate-secret",
    name: "rotate the secret",
    setup: anEndpoint,
    act: onEndpoint("POST", "/rotate-secret", {}),
  },
  {
    route: "POST /endpoint/sync",
    name: "sync",
    setup: anEndpoint,
    act: (world, actor) => {
      world.call(actor, "POST", "/endpoint/sync");
    },
  },
  {
    route: "POST /event/:id/replay",
    name: "replay a finished event",
    setup: async (world) => {
      await aTodo(world);
      await pass(120_000);
      await world.cron();
    },
    act: (world, actor) => {
      world.call(actor, "POST", `/event/${eventId(world)}/replay`);
    },
  },
  {
    route: "POST /event/:id/replay",
    name: "replay a dead event",
    setup: aDeadEvent,
    again: replayTheDead,
    act: (world, actor) => {
      world.call(actor, "POST", `/event/${eventId(world)}/replay`);
    },
  },
  {
    route: "POST /event/replay",
    name: "replay all dead events",
    setup: aDeadEvent,
    again: replayTheDead,
    act: (world, actor) => {
      world.call(actor, "POST", "/event/replay", { state: "dead" });
    },
  },
];
