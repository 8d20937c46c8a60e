/** What tests know of a noun beside its resource: what its routes do. */
import type { AnyResource } from "../../src/outbox/resource.ts";
import { part, thing } from "./thing.ts";

/** JSON of an object. */
export type Value = Record<string, unknown>;

/** A noun with the five routes, and perhaps further ones, `POST /name/:id/action`. */
export type Noun = {
  resource: AnyResource;
  /** What a creation fills in. */
  defaults: Value;
  /** By action: the type of its event, and what it changes. */
  actions?: Record<string, { type: string; patch: Value }>;
  /** Whether the rules refuse such a change of this value. */
  refuses?: (type: string, before: Value) => boolean;
};

/** Those of the log's own Worker. */
export const LOG_NOUNS: Noun[] = [
  { resource: thing, defaults: { name: "", size: 0 } },
  {
    resource: part,
    defaults: { name: "lid", sealed: false },
    actions: { seal: { type: "part.sealed", patch: { sealed: true } } },
    refuses: (type, before) => type === "part.sealed" && before.sealed === true,
  },
];
