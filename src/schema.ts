/** Every shape that crosses the API: requests, answers, webhooks. One source for validation and document. */
import * as z from "zod/mini";
import { ITEM_MAX_CHARS, TIMEOUT_MAX_S, TODO_ID_MAX } from "./config.ts";
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

/** A todo as stored and as given out. */
export const Todo = z.object({ id: TodoId, item: z.string(), completed: z.boolean() });
/** A todo as stored and as given out. */
export type Todo = z.infer<typeof Todo>;

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

/** Query of GET /endpoint and GET /endpoint/:id/delivery. */
export const PageQuery = z.object({ limit: Limit, cursor: Cursor });

/** `:id` of an endpoint in a path. */
export const EndpointPath = z.object({ id: EndpointId });

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

const endpointFields = {
  name: text(1, 255),
  url: Url,
  description: z.optional(text(0, 1_000)),
  http_timeout: z.optional(Timeout),
};

/** Body of POST /endpoint. `http_timeout` becomes whole seconds. */
export const NewEndpoint = z.strictObject({
  ...endpointFields,
  secret: z.optional(text(1, 255)),
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

/** An endpoint as given out. */
export const Endpoint = z.object({
  id: z.string(),
  name: z.string(),
  url: z.string(),
  description: z.string(),
  http_timeout: z.int(),
  status: z.enum(["active", "pausing", "paused", "activating", "inactive", "missing"]),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
});
/** An endpoint as given out. */
export type Endpoint = z.infer<typeof Endpoint>;

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
