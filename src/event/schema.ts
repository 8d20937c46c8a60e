/** The contract of /event: what callers may send, and what they get. */
import * as z from "zod/mini";
import { Delivery } from "../endpoint/schema.ts";
import { EndpointId, Limit, pageOf, text } from "../schema.ts";
import { Todo, TodoId } from "../todo/schema.ts";

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

const Time = z.nullable(z.iso.datetime());

/** An event of the log as given out. */
export const LoggedEvent = z.object({
  id: z.string(),
  sequence: z.int(),
  type: LoggedType,
  endpoint_id: z.nullable(z.string()),
  todo_id: z.nullable(TodoId),
  todo: z.nullable(Todo),
  state: EventState,
  attempts: z.int(),
  replays: z.int(),
  error: z.nullable(z.string()),
  occurred_at: z.iso.datetime(),
  accepted_at: Time,
  finished_at: Time,
  next_try_at: Time,
});
/** An event of the log as given out. */
export type LoggedEvent = z.infer<typeof LoggedEvent>;

/** Answer of GET /event. */
export const EventPage = pageOf(LoggedEvent);

/** Answer of GET /event/:id. `deliveries` is null, with the reason beside it, where Convoy does not tell. */
export const EventDetail = z.extend(LoggedEvent, {
  deliveries: z.nullable(z.array(Delivery)),
  deliveries_error: z.optional(z.string()),
});

/** Answer of POST /event/:id/replay. */
export const Replayed = z.object({
  data: z.literal("Event queued"),
  event_id: z.string(),
  idempotency_key: z.string(),
});

/** Answer of POST /event/replay. */
export const BulkReplayed = z.object({ data: z.string(), replayed: z.int() });

/** How much is waiting for Convoy. `errors`: why, most frequent first. */
export const Backlog = z.object({
  pending: z.int(),
  oldest_pending_ms: z.nullable(z.int()),
  dead: z.int(),
  errors: z.array(z.object({ error: z.string(), events: z.int() })),
});
/** How much is waiting for Convoy. `errors`: why, most frequent first. */
export type Backlog = z.infer<typeof Backlog>;
