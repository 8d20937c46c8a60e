/** A resource: all that the log, its projection, webhooks, the API document and the portal know about a noun. */
import * as z from "zod/mini";
import { numeral } from "../schema.ts";
import type { Change } from "./rows.ts";

const VERBS = ["created", "retrieved", "updated", "deleted", "failed"] as const;
/** What a noun's webhooks tell of. `failed`: a change of one that does not exist. `retrieved`: a read. */
export type Verb = (typeof VERBS)[number];

/** The verb of each change. */
export const VERB_OF = {
  create: "created",
  update: "updated",
  delete: "deleted",
} as const satisfies Record<Change, Verb>;

/** An event type: what endpoints filter by, and the texts of its webhooks. */
export type EventType = {
  type: string;
  event: string;
  description: string;
  /** The noun's name; null: of none. */
  resource: string | null;
  /** The change that it tells of; null: none. */
  change: Change | null;
  /** What a test event sends. */
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

const WholeNumber = z.int().check(z.nonnegative()).register(z.globalRegistry, { format: "int64" });

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

/**
 * Text with a prefix, such as `inv_…`; new ones sort by the time when they were made.
 * @throws Error if the prefix is not 1 to 32 letters, digits, _ or -
 */
export function textId(prefix: string): IdKind<string> {
  if (!/^[A-Za-z0-9_-]{1,32}$/.test(prefix)) {
    throw new Error(`An id's prefix is 1 to 32 letters, digits, _ or -: not ${prefix}.`);
  }
  const error = `must be ${prefix} and 1 to 64 letters, digits, _ or -`;
  const id = z.string().check(z.regex(new RegExp(`^${prefix}[A-Za-z0-9_-]{1,64}$`), { error }));
  return {
    path: id,
    body: id,
    fromText: (text) => text,
    toKey: (text) => text,
    fromKey: (key) => key,
    random: () => {
      const time = Date.now().toString(36).padStart(9, "0");
      return `${prefix}${time}${crypto.randomUUID().slice(-12)}`;
    },
  };
}

/**
 * A condition on the current value, evaluated in the statement that commits: no stale read breaks it. `sql` is a
 * constant of the code; it sees `current.data`: `current.data ->> 'status' = 'open'`. Refused: 409 with `error`.
 */
export type Guard = { sql: string; error: string };

/** What a noun says differently of a verb: its type, and the texts of its webhooks. */
export type Texts = Partial<
  Record<Verb, Partial<Pick<EventType, "type" | "event" | "description">>>
>;

/** An event type beyond the five verbs'. `change`: the one that it tells of, an update if it does not say. */
export type FurtherType<Value> = {
  event?: string;
  description: string;
  change?: Change;
  example: Value;
};

/** What `defineResource` takes. */
export type ResourceOptions<
  Name extends string,
  Id extends string | number,
  Value,
  Verbs extends Texts,
  Further extends string,
> = {
  /** Column `resource`, prefix of KV's keys, key in webhook bodies, and the path. */
  name: Name;
  id: IdKind<Id>;
  /** As stored and returned. */
  schema: z.ZodMiniType<Value, Value>;
  /** One line by which people recognise it, for the portal and the inbox. */
  title: (value: Value) => string;
  /** A value for the API document and for test events. */
  example: Value;
  /** What POST and PUT take: the API document is made from them. */
  bodies: { create: z.ZodMiniObject; update: z.ZodMiniObject };
  /** Where the texts differ from `name.created`, `created`, `Name created`. */
  verbs?: Verbs;
  /** Further event types by name, such as `invoice.paid`: `change` takes no type that is not declared. */
  types?: Record<Further, FurtherType<Value>>;
};

/** A resource, with its defaults. */
export type Resource<
  Name extends string = string,
  Id extends string | number = string | number,
  Value = unknown,
  Verbs extends Texts = Texts,
  Further extends string = string,
> = Pick<
  ResourceOptions<Name, Id, Value, Verbs, Further>,
  "name" | "id" | "schema" | "title" | "example" | "bodies"
> & {
  /** The name as messages begin with it: `Todo`, `Line item`. */
  label: string;
  verbs: { [V in Verb]: EventType & { event: EventOf<Verbs, V> } };
  /** The names of the further types. */
  further: readonly Further[];
  /** All of its event types, by type. */
  types: ReadonlyMap<string, EventType>;
};

/** `event` in the webhooks of a verb. */
type EventOf<Verbs, V extends Verb> =
  Verbs extends Record<V, { event: infer E extends string }> ? E : V;

/** Any resource. Function parameters make the specific ones unassignable, hence `any`. */
// biome-ignore lint/suspicious/noExplicitAny: variance
export type AnyResource = Resource<string, any, any, any, any>;

/** A resource with such values, and further types. */
// biome-ignore lint/suspicious/noExplicitAny: variance
export type ResourceOf<Value, F extends string = any> = Resource<string, any, Value, any, F>;

/** The event type of `POST /endpoint/:id/ping`. */
export const PING: EventType = {
  type: "ping",
  event: "ping",
  description: "Webhook test from application.",
  resource: null,
  change: null,
  example: null,
};

// Other keys of webhook bodies and of KV's metadata (each object has a constructor), of answers, and the paths of this API.
const RESERVED = [
  ...["event", "description", "event_id", "sequence", "occurred_at", "test", "seq", "constructor"],
  ...["data", "error", "details", "cursor"],
  ...["endpoint", "delivery", "health", "rebuild", "portal", "docs"],
];

/** Defines a resource. @throws Error if a name is none, or taken, or a type is declared twice */
export function defineResource<
  const Name extends string,
  Id extends string | number,
  Value extends { id: Id },
  // biome-ignore lint/complexity/noBannedTypes: no text differs, no further type
  const Verbs extends Texts = {},
  const Further extends string = never,
>(
  options: ResourceOptions<Name, Id, Value, Verbs, Further>,
): Resource<Name, Id, Value, Verbs, Further> {
  const { name, id, schema, title, example, bodies } = options;
  if (!/^[a-z][a-z0-9_]{0,63}$/.test(name)) {
    throw new Error(`A resource's name is lower-case letters, digits and _: not ${name}.`);
  }
  if (RESERVED.includes(name)) throw new Error(`No resource can be named ${name}: it is taken.`);
  const label = (name.charAt(0).toUpperCase() + name.slice(1)).replaceAll("_", " ");
  const verbs = Object.fromEntries(
    VERBS.map((verb) => [verb, typeOfVerb(verb, { name, label, example }, options.verbs?.[verb])]),
  ) as Resource<Name, Id, Value, Verbs, Further>["verbs"];
  const declared = Object.entries<FurtherType<Value>>(options.types ?? {});
  const further = declared.map(([type, { change = "update", ...one }]): EventType => {
    const shown = exampleOf(change, one.example);
    return { type, event: type, ...one, resource: name, change, example: shown };
  });
  const all = [...Object.values<EventType>(verbs), ...further];
  checkTypes([PING, ...all]);
  return {
    ...{ name, id, schema, title, example, bodies, label, verbs },
    further: further.map(({ type }) => type as Further),
    types: new Map(all.map((one) => [one.type, one])),
  };
}

function typeOfVerb(
  verb: Verb,
  { name, label, example }: { name: string; label: string; example: { id: unknown } },
  texts: Texts[Verb],
): EventType {
  const changes = Object.keys(VERB_OF) as Change[];
  const change = changes.find((one) => VERB_OF[one] === verb) ?? null;
  const shown = verb === "failed" ? { id: example.id } : exampleOf(change, example);
  const words = { type: `${name}.${verb}`, event: verb, description: `${label} ${verb}` };
  return { ...words, ...texts, resource: name, change, example: shown };
}

/** Of what is removed, webhooks have the id. */
function exampleOf(change: Change | null, example: { id: unknown }): object {
  return change === "delete" ? { id: example.id } : example;
}

/** The resources of a service, by name. */
export type Registry = ReadonlyMap<string, AnyResource>;

/** @throws Error if two have the same name or declare the same event type */
export function registryOf(resources: readonly AnyResource[]): Registry {
  const names = resources.map(({ name }) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw new Error(`Two resources are named ${twice}.`);
  checkTypes([PING, ...resources.flatMap(({ types }) => [...types.values()])]);
  return new Map(resources.map((one) => [one.name, one]));
}

/** `*` is every type, for an endpoint's filter and for the gateway: no type is named so. */
function checkTypes(types: EventType[]): void {
  const names = types.map(({ type }) => type);
  const wrong = names.find((name) => !/^[A-Za-z0-9_.:-]{1,128}$/.test(name));
  if (wrong !== undefined) {
    throw new Error(`An event type is 1 to 128 letters, digits, and _ . : -: not ${wrong}.`);
  }
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw new Error(`Two event types are named ${twice}.`);
}

/** All event types of a service: those of its resources, and `ping`. */
export function eventTypesOf(registry: Registry): EventType[] {
  return [PING, ...[...registry.values()].flatMap(({ types }) => [...types.values()])];
}
