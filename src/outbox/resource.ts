/** A resource: all that the log, its projection, webhooks, the API document and the portal know about a noun. */
import * as z from "zod/mini";
import { numeral } from "../schema.ts";
import type { Change } from "./rows.ts";

/** What a noun's webhooks tell of. `failed`: a change of one that does not exist. `retrieved`: a read. */
export type Verb = "created" | "retrieved" | "updated" | "deleted" | "failed";

/** The verb of each change. */
export const VERB_OF = {
  create: "created",
  update: "updated",
  delete: "deleted",
} as const satisfies Record<Change, Verb>;

/** An event type: what endpoints filter by, and the texts of its webhooks. `example`: what a test event sends. */
export type EventType = {
  type: string;
  event: string;
  description: string;
  example: object | null;
};

/** How an id is written: in the log and in KV it is text. */
export type IdKind<Id extends string | number> = {
  /** Parses an id from a path. */
  path: z.ZodMiniType<Id, string>;
  /** Checks an id in a body. */
  body: z.ZodMiniType<Id, Id>;
  fromText: (text: string) => Id;
  /** The end of its KV key, at most 100 characters, without `:`: sorts as ids are listed. */
  toKey: (text: string) => string;
  fromKey: (key: string) => string;
  random: () => Id;
};

const WholeNumber = z.int().check(z.nonnegative());

/** Whole numbers from 0 to 2^53 - 1, sorted as numbers; new ones are 53 random bits, so that KV need not be read. */
export const numberId: IdKind<number> = {
  path: numeral(WholeNumber),
  body: WholeNumber,
  fromText: Number,
  toKey: (text) => text.padStart(16, "0"),
  fromKey: (key) => String(Number(key)),
  random: () => {
    const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
    return (high >>> 11) * 2 ** 32 + low;
  },
};

/** Text with a prefix, such as `inv_…`; new ones sort by the time when they were made. */
export function textId(prefix: string): IdKind<string> {
  const error = `must be ${prefix} and 1 to 64 letters, digits, _ or -`;
  const id = z.string().check(z.regex(new RegExp(`^${prefix}[A-Za-z0-9_-]{1,64}$`), { error }));
  return {
    path: id,
    body: id,
    fromText: (text) => text,
    toKey: (text) => text,
    fromKey: (key) => key,
    random: () =>
      `${prefix}${Date.now().toString(36).padStart(9, "0")}${crypto.randomUUID().slice(-12)}`,
  };
}

/**
 * A condition on the current value, evaluated in the statement that commits: no stale read breaks it. `sql` is a
 * constant of the code; it sees `current.data`: `current.data ->> 'status' = 'open'`. Refused: 409 with `error`.
 */
export type Guard = { sql: string; error: string };

/** What `defineResource` takes. */
export type ResourceOptions<Name extends string, Id extends string | number, Value> = {
  /** Column `resource`, prefix of KV's keys, key in webhook bodies, and the path. */
  name: Name;
  id: IdKind<Id>;
  /** As stored and returned. */
  schema: z.ZodMiniType<Value, Value>;
  /** One line by which people recognise it, for the portal and the inbox. */
  title: (value: Value) => string;
  /** A value for the API document and for test events. */
  example: Value;
  /** Where the texts differ from `name.created`, `created`, `Name created`. */
  verbs?: Partial<Record<Verb, Partial<Omit<EventType, "example">>>>;
  /** Further event types by name, such as `invoice.paid`: `change` takes no type that is not declared. */
  types?: Record<string, { event?: string; description: string; example: Value }>;
};

/** A resource, with its defaults. */
export type Resource<
  Name extends string = string,
  Id extends string | number = string | number,
  Value = unknown,
> = Pick<ResourceOptions<Name, Id, Value>, "name" | "id" | "schema" | "title" | "example"> & {
  /** The name with a capital, for messages. */
  label: string;
  verbs: Record<Verb, EventType>;
  /** All of its event types, by type. */
  types: ReadonlyMap<string, EventType>;
};

/** Any resource. Function parameters make the specific ones unassignable, hence `any`. */
// biome-ignore lint/suspicious/noExplicitAny: variance
export type AnyResource = Resource<string, any, any>;

/** A resource with such values. */
// biome-ignore lint/suspicious/noExplicitAny: variance
export type ResourceOf<Value> = Resource<string, any, Value>;

const VERBS = ["created", "retrieved", "updated", "deleted", "failed"] as const;
/** The event type of `POST /endpoint/:id/ping`. */
export const PING: EventType = {
  type: "ping",
  event: "ping",
  description: "Webhook test from application.",
  example: null,
};

/** Defines a resource. @throws Error if it declares a type twice, or `ping` */
export function defineResource<
  const Name extends string,
  Id extends string | number,
  Value extends { id: Id },
>(options: ResourceOptions<Name, Id, Value>): Resource<Name, Id, Value> {
  const { name, id, schema, title, example, verbs = {}, types = {} } = options;
  if (!/^[a-z][a-z0-9_]{0,63}$/.test(name)) {
    throw new Error(`A resource's name is lower-case letters, digits and _: not ${name}.`);
  }
  const label = name.charAt(0).toUpperCase() + name.slice(1);
  const ofVerbs = Object.fromEntries(
    VERBS.map((verb) => {
      const whole = verb === "deleted" || verb === "failed" ? { id: example.id } : example;
      const words = { type: `${name}.${verb}`, event: verb, description: `${label} ${verb}` };
      return [verb, { ...words, example: whole, ...verbs[verb] }];
    }),
  ) as Record<Verb, EventType>;
  const further = Object.entries(types).map(([type, one]) => ({ type, event: type, ...one }));
  const all = [...Object.values(ofVerbs), ...further];
  refuseRepeats([PING, ...all]);
  return {
    ...{ name, id, schema, title, example, label, verbs: ofVerbs },
    types: new Map(all.map((one) => [one.type, one])),
  };
}

/** The resources of a service, by name. */
export type Registry = ReadonlyMap<string, AnyResource>;

/** @throws Error if two have the same name or declare the same event type */
export function registryOf(resources: readonly AnyResource[]): Registry {
  const names = resources.map(({ name }) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw new Error(`Two resources are named ${twice}.`);
  refuseRepeats([PING, ...resources.flatMap(({ types }) => [...types.values()])]);
  return new Map(resources.map((one) => [one.name, one]));
}

function refuseRepeats(types: EventType[]): void {
  const names = types.map(({ type }) => type);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw new Error(`Two event types are named ${twice}.`);
}

/** All event types of a service: those of its resources, and `ping`. */
export function eventTypesOf(registry: Registry): EventType[] {
  return [PING, ...[...registry.values()].flatMap(({ types }) => [...types.values()])];
}
