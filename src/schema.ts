/** What callers may send. One source for validation and the API document; answers.ts has what they get. */
import * as z from "zod/mini";
import {
  DELIVERY_PAGE_MAX,
  ITEM_MAX_CHARS,
  PAGE_MAX,
  ROTATION_OVERLAP_MAX_H,
  TIMEOUT_MAX_S,
} from "./config.ts";
import { DURATION, durationSeconds } from "./duration.ts";
import { WEBHOOK_URL } from "./url.ts";

/** A todo's id: a safe integer >= 0. */
export const TodoId = z.int().check(z.nonnegative());

/** Text of at most `max` characters, counted as JSON Schema does: in code points. */
function text(min: number, max: number) {
  const counted = z.refine<string>((value) => value.length <= max || [...value].length <= max, {
    error: `must be at most ${max} characters`,
  });
  return z.string().check(z.minLength(min), counted).register(z.globalRegistry, { maxLength: max });
}

/** A whole number in a path or query: written out, without a sign or leading zeros. */
function numeral<T extends z.ZodMiniType<number, number>>(number: T) {
  const digits = z.regex(/^(0|[1-9]\d{0,15})$/, { error: "must be a whole number >= 0" });
  return z.pipe(z.string().check(digits), z.pipe(z.transform<string, number>(Number), number));
}

/** An object that says at least one thing. */
function notEmpty<T extends z.ZodMiniObject>(fields: T, error: string): T {
  const checked = fields.check(z.refine((value) => Object.keys(value).length > 0, { error }));
  z.globalRegistry.add(checked, { minProperties: 1 });
  return checked;
}

const Item = text(1, ITEM_MAX_CHARS);

/** Body of POST /todo. Without `id` the server chooses one. */
export const NewTodo = z.strictObject({
  id: z.optional(TodoId),
  item: Item,
  completed: z.optional(z.boolean()),
});

/** Body of PUT /todo/:id: at least one field. */
export const TodoPatch = notEmpty(
  z.strictObject({ item: z.optional(Item), completed: z.optional(z.boolean()) }),
  "send item, completed or both",
);

/** `:id` of a todo in a path. */
export const TodoPath = z.object({ id: numeral(TodoId) });

const EndpointId = text(1, 255);

/** A page's size in a query: 1 to 1,000. */
const Limit = z.optional(numeral(z.int().check(z.gte(1), z.lte(PAGE_MAX))));

const Cursor = z.optional(text(1, 1_024));

/** Query of a call that may name an endpoint. */
export const EndpointQuery = z.object({ endpoint: z.optional(EndpointId) });

/** Query of GET /todo. */
export const TodoListQuery = z.object({
  limit: Limit,
  cursor: Cursor,
  endpoint: z.optional(EndpointId),
});

/** Query of GET /endpoint. */
export const PageQuery = z.object({ limit: Limit, cursor: Cursor });

/** `:id` of an endpoint in a path. */
export const EndpointPath = z.object({ id: EndpointId });

/** `:id` of an endpoint and `:delivery` of one of its deliveries in a path. */
export const DeliveryPath = z.object({ id: EndpointId, delivery: EndpointId });

/** Query of GET /endpoint/:id/delivery. */
export const DeliveryListQuery = z.object({
  limit: z.optional(numeral(z.int().check(z.gte(1), z.lte(DELIVERY_PAGE_MAX)))),
  cursor: Cursor,
});

const Url = z.string().check(
  z.maxLength(2_048),
  z.regex(WEBHOOK_URL, {
    error: "must be an http or https URL with a host, without credentials or a fragment",
  }),
);

const Timeout = z.union(
  [
    z.int().check(z.gte(1), z.lte(TIMEOUT_MAX_S)),
    z.pipe(z.string().check(z.regex(DURATION)), z.transform(durationSeconds)),
  ],
  { error: `must be 1 second to 1 hour: 10, "10s" or "1m30s"` },
);

const Secret = text(1, 255);

const endpointFields = {
  name: text(1, 255),
  url: Url,
  description: z.optional(text(0, 1_000)),
  http_timeout: z.optional(Timeout),
};

/** Body of POST /endpoint. `http_timeout` becomes whole seconds. */
export const NewEndpoint = z.strictObject({
  ...endpointFields,
  secret: z.optional(Secret),
});
/** Body of POST /endpoint, parsed. */
export type NewEndpoint = z.infer<typeof NewEndpoint>;

/** Body of PUT /endpoint/:id: the fields to change, at least one. */
export const EndpointPatch = notEmpty(
  z.strictObject({
    name: z.optional(endpointFields.name),
    url: z.optional(Url),
    description: endpointFields.description,
    http_timeout: endpointFields.http_timeout,
  }),
  "send at least one field",
);
/** Body of PUT /endpoint/:id, parsed. */
export type EndpointPatch = z.infer<typeof EndpointPatch>;

/** Body of POST /endpoint/:id/rotate-secret; all of it may be left out. */
export const Rotation = z.strictObject({
  secret: z.optional(Secret),
  overlap_hours: z.optional(z.int().check(z.gte(1), z.lte(ROTATION_OVERLAP_MAX_H))),
});

/** What an event in the log can be about. */
export const LoggedType = z.enum(["ping", "created", "updated", "deleted", "failed"]);
/** What an event in the log can be about. */
export type LoggedType = z.infer<typeof LoggedType>;
/** Every event type at Convoy; `retrieved` is never in the log. */
export type EventType = LoggedType | "retrieved";

/** How far an event is. */
export const EventState = z.enum(["pending", "accepted", "confirmed", "dead"]);
/** How far an event is. */
export type EventState = z.infer<typeof EventState>;

/** `:id` of an event in a path. */
export const EventPath = z.object({ id: text(1, 64) });

/** Query of GET /event. `cursor` is the last page's. */
export const EventListQuery = z.object({
  state: z.optional(EventState),
  type: z.optional(LoggedType),
  endpoint: z.optional(EndpointId),
  limit: Limit,
  cursor: z.optional(
    z.pipe(
      z.string().check(z.regex(/^[1-9]\d{0,14}$/, { error: "is not one that this list gave out" })),
      z.transform(Number),
    ),
  ),
});

/** Body of POST /event/replay. */
export const BulkReplay = z.strictObject({ state: z.literal("dead") });

/** Query of GET /health. */
export const HealthQuery = z.object({ deep: z.optional(z.string()) });
