/** The answers' schemas by their names in the document. */
import type * as z from "zod/mini";
import * as rest from "../src/answers.ts";
import * as endpoint from "../src/endpoint/answers.ts";
import * as outbox from "../src/outbox/answers.ts";
import type { Registry } from "../src/outbox/outbox.ts";
import { namedSchemas } from "./json-schema.ts";
import { Done, nounSchemas } from "./noun.ts";
import type { Operation } from "./operation.ts";

const ANSWERS = { ...rest, ...endpoint, ...outbox, Done };
/** What only other answers contain. */
const PARTS = ["Endpoint", "Delivery", "Attempt", "LoggedEvent"];

/** The schemas of `components.schemas`. @throws Error if a noun's have the names of others */
export function schemasOf(nouns: Registry, operations: Operation[]) {
  const used = operations.flatMap(({ answers }) => Object.values(answers).map((one) => one.schema));
  const names = new Set([...used.flat(), ...PARTS]);
  const all: [string, z.ZodMiniType][] = [
    ...Object.entries(ANSWERS).filter(([name]) => names.has(name)),
    ["Error", rest.ErrorBody],
    ...[...nouns.values()].flatMap((noun) => Object.entries(nounSchemas(noun))),
  ];
  const twice = all.find(([name], at) => all.findIndex(([other]) => other === name) !== at);
  if (twice) {
    throw new Error(`Two schemas of the API document are named ${twice[0]}: rename the noun.`);
  }
  // By name: the order of a module's exports is its loader's.
  return namedSchemas(Object.fromEntries(all.sort(([a], [b]) => (a < b ? -1 : 1))));
}
