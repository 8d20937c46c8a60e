/** What the API answers. Handlers use only the types; the schemas make the API document, and check tests. */
import * as z from "zod/mini";
import { EventState, LoggedType, TodoId } from "./schema.ts";

/** Body of every error: what happened and what to do; `details` name the fields that are wrong. */
export const ErrorBody = z.object({
  error: z.string(),
  details: z.optional(z.array(z.object({ path: z.string(), message: z.string() }))),
  /** The tutorial's text, beside `error` where its code has one. */
  data: z.optional(z.string()),
});
/** Body of every error. */
export type ErrorBody = z.infer<typeof ErrorBody>;

/** The tutorial's answer to a change: what was done, in words. */
export const Done = z.object({ data: z.string() });

/** A todo as stored and as given out. */
export const Todo = z.object({ id: TodoId, item: z.string(), completed: z.boolean() });
/** A todo as stored and as given out. */
export type Todo = z.infer<typeof Todo>;

/** A list's page, with the cursor of the next one where there is more. */
function pageOf<T extends z.ZodMiniType>(item: T) {
  return z.object({ data: z.array(item), cursor: z.optional(z.string()) });
}

/** Answer of GET /todo. */
export const TodoPage = pageOf(Todo);

/** Answer of POST /todo. */
export const TodoAdded = z.object({ data: z.literal("Todo added"), todo: Todo });

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

/** Answer of GET /endpoint. */
export const EndpointPage = pageOf(Endpoint);

/** Answer of POST /endpoint: the secret is given this once. */
export const EndpointAdded = z.object({
  "Endpoint ID": z.string(),
  endpoint: Endpoint,
  secret: z.string(),
});

/** Answer of POST /endpoint/:id/rotate-secret: the secret is given this once. */
export const Rotated = z.object({
  endpoint: Endpoint,
  secret: z.string(),
  overlap_hours: z.int(),
});

/** Answer of POST /endpoint/:id/ping. */
export const PingQueued = z.object({ data: z.literal("Ping queued"), event_id: z.string() });

/** What a reconcile did. `complete` is false where Convoy or the budget ended it early. */
export const ReconcileReport = z.object({
  adopted: z.int(),
  removed: z.int(),
  updated: z.int(),
  missing: z.int(),
  complete: z.boolean(),
});
/** What a reconcile did. `complete` is false where Convoy or the budget ended it early. */
export type ReconcileReport = z.infer<typeof ReconcileReport>;

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

/** A delivery as Convoy tells it, without anything secret. */
export const Delivery = z.object({
  id: z.string(),
  endpoint_id: z.string(),
  event_type: z.string(),
  idempotency_key: z.string(),
  status: z.string(),
  attempts: z.int(),
  max_attempts: z.int(),
  next_attempt_at: z.nullable(z.string()),
  created_at: z.string(),
  updated_at: z.string(),
});
/** A delivery as Convoy tells it, without anything secret. */
export type Delivery = z.infer<typeof Delivery>;

/** One attempt of a delivery: what the receiver answered. */
export const Attempt = z.object({
  id: z.string(),
  http_status: z.string(),
  response: z.string(),
  error: z.nullable(z.string()),
  requested_at: z.string(),
  responded_at: z.string(),
});
/** One attempt of a delivery: what the receiver answered. */
export type Attempt = z.infer<typeof Attempt>;

/** Answer of GET /endpoint/:id/delivery. */
export const DeliveryPage = pageOf(Delivery);

/** Answer of GET /endpoint/:id/delivery/:delivery. */
export const DeliveryDetail = z.extend(Delivery, { attempts_made: z.array(Attempt) });

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

/** Answer of POST /portal-link. */
export const PortalLink = z.object({ url: z.string() });

/** How much is waiting for Convoy. `errors`: why, most frequent first. */
export const Backlog = z.object({
  pending: z.int(),
  oldest_pending_ms: z.nullable(z.int()),
  dead: z.int(),
  errors: z.array(z.object({ error: z.string(), events: z.int() })),
});
/** How much is waiting for Convoy. `errors`: why, most frequent first. */
export type Backlog = z.infer<typeof Backlog>;

/** Answer of GET /health. */
export const Alive = z.object({ status: z.literal("ok") });

/** Answer of GET /health?deep: "ok", or what is wrong in words. `backlog` is null where D1 does not answer. */
export const Health = z.object({
  status: z.enum(["ok", "degraded"]),
  d1: z.string(),
  kv: z.string(),
  convoy: z.string(),
  backlog: z.nullable(Backlog),
});
/** Answer of GET /health?deep. */
export type Health = z.infer<typeof Health>;
