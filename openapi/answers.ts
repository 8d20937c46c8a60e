/** Answers by the name that the document gives them. */
import * as answers from "../src/answers.ts";
import { namedSchemas } from "./json-schema.ts";

const { ErrorBody, Done, ...rest } = answers;

/** The schemas of `components.schemas`. */
export const SCHEMAS = namedSchemas({ Error: ErrorBody, Done, ...rest });
