/** Crash scenarios of the routes that change todos. */
import { anEndpoint, aTodo, endpointId, type Scenario } from "./scenario.ts";

const named = { ask: (id: string) => `?endpoint=${id}`, name: " for one endpoint" };
const fanout = { ask: () => "", name: "" };

/** A request also settles for others in its isolate: here it is broken while it does. */
const TOGETHER: Scenario[] = [
  { method: "POST", url: "/todo", body: { id: 7, item: "bread" }, setup: anEndpoint },
  { method: "PUT", url: "/todo/1", body: { completed: true }, setup: aTodo },
].map(({ method, url, body, setup }) => ({
  route: method === "POST" ? "POST /todo" : "PUT /todo/:id",
  name: `${method} while others settle`,
  setup,
  act: (world, actor) => {
    world.call(actor, method, `${url}?endpoint=${endpointId(world)}`, body);
  },
  company: (world, begin) => {
    world.call(begin(), "POST", "/todo", { id: 2, item: "cheese" });
    world.call(begin(), "POST", `/todo?endpoint=${endpointId(world)}`, { id: 3, item: "eggs" });
    world.call(begin(), "POST", `/endpoint/${endpointId(world)}/ping`);
    if (method === "PUT") world.call(begin(), "PUT", "/todo/1", { item: "cream" });
  },
}));

/** Every changing route under /todo, with and without ?endpoint, with and without an id, hit and miss. */
const ALONE: Scenario[] = [named, fanout].flatMap((way) => [
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

/** Every changing route under /todo, alone and in company. */
export const TODO_SCENARIOS: Scenario[] = [...ALONE, ...TOGETHER];
