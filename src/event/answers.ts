/** What /event answers. The Worker uses the types alone: the schemas make the API document, and check tests. */
import * as z from "zod/mini";
import { Delivery } from "../endpoint/answers.ts";
import { pageOf } from "../schema.ts";
import { Todo } from "../todo/answers.ts";
import { TodoId } from "../todo/schema.ts";
import { EventState, LoggedType } from "./schema.ts";

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
