/** The bodies of a resource's webhooks, for receivers and for the API document: their types and their schemas. */
import * as z from "zod/mini";
import { type AnyResource, type EventType, PING, type Verb } from "./resource.ts";

/** What every webhook says. `description` is for people. */
type Common = { description: string; event_id: string; occurred_at: string };
/** A test event has no `sequence`: it changed nothing, and a receiver ignores it. */
type Logged = { sequence: number; test?: never } | { sequence?: never; test: true };
/** Of a read, or of a change that found nothing: a read has no `sequence`. */
type Unlogged = { sequence?: number; test?: true };

type Body<Event extends string, Order, Subject> = { event: Event } & Common & Order & Subject;
type Whole<Name extends string, Value> = { [N in Name]: Value };
type Gone<Name extends string, Id> = { [N in Name]: { id: Id } };

type Named<Name, Id, Value> = {
  name: Name;
  id: { fromText: (text: string) => Id };
  title: (value: Value) => string;
};

type OfVerb<R, V extends Verb> =
  R extends Named<infer Name extends string, infer Id, infer Value>
    ? R extends { verbs: { [T in V]: { event: infer Event extends string } } }
      ? {
          created: Body<Event, Logged, Whole<Name, Value>>;
          updated: Body<Event, Logged, Whole<Name, Value>>;
          deleted: Body<Event, Logged, Gone<Name, Id>>;
          retrieved: Body<Event, Unlogged, Partial<Whole<Name, Value>>>;
          failed: Body<Event, Unlogged, Gone<Name, Id>>;
        }[V]
      : never
    : never;

type OfFurther<R> =
  R extends Named<infer Name extends string, infer Id, infer Value>
    ? R extends { further: readonly (infer F)[] }
      ? F extends string
        ? Body<F, Logged, { [N in Name]: Value | { id: Id } }>
        : never
      : never
    : never;

/** A webhook about a resource, of one verb or of any type: `Webhook<typeof todo>`. `event` says which. */
export type Webhook<R extends AnyResource, V extends Verb = Verb> =
  | { [T in V]: OfVerb<R, T> }[V]
  | (Verb extends V ? OfFurther<R> : never);

/** The body of a `ping`. */
export type PingWebhook = Body<"ping", Logged, unknown>;

const Sequence = z.int().check(z.gte(1));

function schemaOf({ event, description }: EventType, rest: Record<string, z.ZodMiniType>) {
  return z.object({
    event: z.literal(event),
    description: z.literal(description),
    event_id: z.uuid(),
    occurred_at: z.iso.datetime(),
    ...rest,
  });
}

/** The schema of a `ping`. */
export const PingWebhook = schemaOf(PING, {
  sequence: z.optional(Sequence),
  test: z.optional(z.literal(true)),
});

/** The schema of a resource's webhooks of one event type: what a receiver may rely on. */
export function webhookSchema(resource: AnyResource, type: EventType): z.ZodMiniObject {
  const { name, schema, id, verbs } = resource;
  const gone = z.object({ id: id.body });
  const test = z.optional(z.literal(true));
  if (type === verbs.retrieved) return schemaOf(type, { test, [name]: z.optional(schema) });
  const whole = type.change === "create" || type.change === "update";
  return schemaOf(type, { sequence: z.optional(Sequence), test, [name]: whole ? schema : gone });
}
