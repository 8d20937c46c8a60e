/** Every shape that crosses the API: requests, answers, webhooks. One source for validation and document. */
import * as z from "zod/mini";
import { ITEM_MAX_CHARS, ROTATION_OVERLAP_MAX_H, TIMEOUT_MAX_S, TODO_ID_MAX } from "./config.ts";
import { DURATION, durationSeconds } from "./duration.ts";
import { WEBHOOK_URL } from "./url.ts";

/** A todo's id: a safe integer >= 0. */
export const TodoId = z.int().check(z.nonnegative());

/** Text of at most `max` characters, counted as JSON Schema does: in code points. */
function text(min: number, max: number) {
  return z.string().check(
    z.minLength(min),
    z.refine((value) => value.length <= max || [...value].length <= max, {
      error: `must be at most ${max} characters`,
    }),
  );
}

const Item = text(1, ITEM_MAX_CHARS);

/** Body of POST /todo. Without `id` the server chooses one. */
export const NewTodo = z.strictObject({
  id: z.optional(TodoId),
  item: Item,
  completed: z.optional(z.boolean()),
});

/** Body of PUT /todo/:id: at least one field. */
export const TodoPatch = z
  .strictObject({ item: z.optional(Item), completed: z.optional(z.boolean()) })
  .check(
    z.refine((patch) => Object.keys(patch).length > 0, { error: "send item, completed or both" }),
  );

/** `:id` of a todo in a path. */
export const TodoPath = z.object({
  id: z.pipe(
    z.string().check(z.regex(/^(0|[1-9]\d{0,15})$/, { error: "must be a whole number >= 0" })),
    z.pipe(z.transform(Number), z.number().check(z.lte(TODO_ID_MAX))),
  ),
});

const EndpointId = z.string().check(z.minLength(1), z.maxLength(255));

/** A page's size in a query: 1 to 1,000. */
const Limit = z.optional(
  z.pipe(
    z
      .string()
      .check(z.regex(/^([1-9]\d{0,2}|1000)$/, { error: "must be a number from 1 to 1000" })),
    z.transform(Number),
  ),
);

const Cursor = z.optional(z.string().check(z.minLength(1), z.maxLength(1_024)));

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
  limit: z.optional(
    z.pipe(
      z.string().check(z.regex(/^([1-9]\d?|100)$/, { error: "must be a number from 1 to 100" })),
      z.transform(Number),
    ),
  ),
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
export const EndpointPatch = z
  .strictObject({
    name: z.optional(endpointFields.name),
    url: z.optional(Url),
    description: endpointFields.description,
    http_timeout: endpointFields.http_timeout,
  })
  .check(z.refine((patch) => Object.keys(patch).length > 0, { error: "send at least one field" }));
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
export const EventPath = z.object({ id: z.string().check(z.minLength(1), z.maxLength(64)) });

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
