/** Crash scenarios of the routes that change todos. */
import { anEndpoint, aTodo, endpointId, type Scenario } from "./scenario.ts";

const named = { ask: (id: string) => `?endpoint=${id}`, name: " for one endpoint" };
const fanout = { ask: () => "", name: "" };

/** Every route under /todo, with and without ?endpoint, with and without an id, hit and miss. */
export const TODO_SCENARIOS: Scenario[] = [named, fanout].flatMap((way) => [
  {
    route: "POST /todo",
    name: `create${way.name}`,
    setup: anEndpoint,
    act: (world, actor) => {
      world.call(actor, "POST", `/todo${way.ask(endpointId(world))}`, { item: "bread" });
    },
  },
  {
    route: "POST /todo",
    name: `create by id${way.name}`,
    setup: anEndpoint,
    act: (world, actor) => {
      world.call(actor, "POST", `/todo${way.ask(endpointId(world))}`, { id: 2, item: "bread" });
    },
  },
  {
    route: "POST /todo",
    name: `create what exists${way.name}`,
    setup: aTodo,
    act: (world, actor) => {
      world.call(actor, "POST", `/todo${way.ask(endpointId(world))}`, { id: 1, item: "bread" });
    },
  },
  {
    route: "PUT /todo/:id",
    name: `update${way.name}`,
    setup: aTodo,
    act: (world, actor) => {
      world.call(actor, "PUT", `/todo/1${way.ask(endpointId(world))}`, { completed: true });
    },
  },
  {
    route: "PUT /todo/:id",
    name: `update what is missing${way.name}`,
    setup: anEndpoint,
    act: (world, actor) => {
      world.call(actor, "PUT", `/todo/7${way.ask(endpointId(world))}`, { completed: true });
    },
  },
  {
    route: "DELETE /todo/:id",
    name: `delete${way.name}`,
    setup: aTodo,
    act: (world, actor) => {
      world.call(actor, "DELETE", `/todo/1${way.ask(endpointId(world))}`);
    },
  },
  {
    route: "DELETE /todo/:id",
    name: `delete what is missing${way.name}`,
    setup: anEndpoint,
    act: (world, actor) => {
      world.call(actor, "DELETE", `/todo/7${way.ask(endpointId(world))}`);
    },
  },
]);
