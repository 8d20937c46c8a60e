/** Answers by the name that the document gives them. */
import * as answers from "../src/answers.ts";
import { namedSchemas } from "./json-schema.ts";

const { ErrorBody, ...rest } = answers;
// By name: the order of a module's exports is its loader's.
const byName = Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1));

/** The schemas of `components.schemas`. */
export const SCHEMAS = namedSchemas({ Error: ErrorBody, ...Object.fromEntries(byName) });
