/** Crash scenarios of a noun's changes. */
import type { EndpointGiven, World } from "../support/world.ts";
import { aThing, type Scenario } from "./scenario.ts";

type Way = { name: string; endpoints: (string | EndpointGiven)[]; query: string };

/** To nobody, to one, to three of which one is paused and one takes no updates, to the one that is named. */
const WAYS: Way[] = [
  { name: "without endpoints", endpoints: [], query: "" },
  { name: "with one endpoint", endpoints: ["e1"], query: "" },
  {
    name: "with three",
    endpoints: ["e1", { id: "e2", paused: true }, { id: "e3", types: ["thing.created"] }],
    query: "",
  },
  { name: "for one endpoint", endpoints: ["e1", "e2"], query: "?endpoint=e2" },
];

type Request = { what: string; method: string; path: string; body?: object; made?: boolean };

/** `made`: there is a thing 1 before. */
const REQUESTS: Request[] = [
  { what: "create", method: "POST", path: "/thing", body: { name: "nut" } },
  { what: "create by id", method: "POST", path: "/thing", body: { id: 2, name: "nut" } },
  { what: "create what exists", method: "POST", path: "/thing", body: { id: 1 }, made: true },
  { what: "update", method: "PUT", path: "/thing/1", body: { size: 7 }, made: true },
  { what: "update what is missing", method: "PUT", path: "/thing/7", body: { size: 7 } },
  { what: "delete", method: "DELETE", path: "/thing/1", made: true },
  { what: "delete what is missing", method: "DELETE", path: "/thing/7" },
];

function setupOf({ endpoints }: Way, isMade: boolean) {
  return async (world: World) => {
    world.endpoints(...endpoints);
    if (isMade) await aThing(world);
  };
}

const ALONE: Scenario[] = WAYS.flatMap((way) =>
  REQUESTS.map(({ what, method, path, body, made = false }) => ({
    name: `${what} ${way.name}`,
    takes: "D1 INSERT INTO event",
    setup: setupOf(way, made),
    act: (world, actor) => {
      const sent = body ? { body: body as Record<string, unknown> } : {};
      world.call(actor, method, `${path}${way.query}`, sent);
    },
  })),
);

/** A request also settles for others in its isolate: here it is broken while it does. */
const TOGETHER: Scenario[] = (["POST", "PUT"] as const).map((method) => ({
  name: `${method} while others settle`,
  takes: "Convoy POST /events",
  async setup(world) {
    world.endpoints("e1", { id: "x1", owner: "x" });
    await aThing(world);
  },
  act: (world, actor) => {
    const isNew = method === "POST";
    world.call(actor, method, isNew ? "/thing" : "/thing/1", { body: { name: "first" } });
  },
  company: (world, begin) => {
    world.call(begin(), "POST", "/thing", { body: { id: 2 } });
    world.call(begin(), "POST", "/thing?endpoint=e1", { body: { id: 3 } });
    world.call(begin(), "POST", "/thing", { body: { id: 1 }, owner: "x" });
    world.call(begin(), "PUT", "/thing/1", { body: { name: "second" } });
  },
}));

const GUARDED: Scenario[] = ["once", "again"].map((what) => ({
  name: `a guarded change, ${what}`,
  takes: "D1 INSERT INTO event",
  async setup(world) {
    world.endpoints("e1");
    await world.ask("POST", "/part", { body: { id: "part_1" } });
    if (what === "again") await world.ask("POST", "/part/part_1/seal");
  },
  act: (world, actor) => {
    world.call(actor, "POST", "/part/part_1/seal");
  },
}));

/** Every change, alone, in company, and under a guard. */
export const CHANGE_SCENARIOS: Scenario[] = [...ALONE, ...TOGETHER, ...GUARDED];
