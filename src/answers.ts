/**
 * Response bodies of the API, and webhook bodies. The Worker uses only the types; the schemas generate
 * the API document and check tests.
 */
import * as z from "zod/mini";
import { WORDS } from "./event/message.ts";
import { EventState, type EventType, LoggedType } from "./event/schema.ts";
import { NOUN } from "./resource.ts";
import { pageOf } from "./schema.ts";
import { Todo, TodoId } from "./todo/schema.ts";

/** Response to a change that was made, with the tutorial's text. */
export const Done = z.object({ data: z.string() });

export { Todo };

/** Response to GET /todo. */
export const TodoPage = pageOf(Todo);

/** Response to POST /todo. */
export const TodoAdded = z.object({ data: z.literal("Todo added"), todo: Todo });

/** An endpoint as the API returns it. */
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
/** An endpoint as the API returns it. */
export type Endpoint = z.infer<typeof Endpoint>;

/** Response to GET /endpoint. */
export const EndpointPage = pageOf(Endpoint);

/** Response to POST /endpoint: the secret is returned only this once. */
export const EndpointAdded = z.object({
  "Endpoint ID": z.string(),
  endpoint: Endpoint,
  secret: z.string(),
});

/** Response to POST /endpoint/:id/rotate-secret: the secret is returned only this once. */
export const Rotated = z.object({
  endpoint: Endpoint,
  secret: z.string(),
  overlap_hours: z.int(),
});

/** Response to POST /endpoint/:id/ping. */
export const PingQueued = z.object({ data: z.literal("Ping queued"), event_id: z.string() });

/** What a sync did. If not `complete`, Convoy or the budget stopped it; `cursor` is where to resume. */
export const ReconcileReport = z.object({
  adopted: z.int(),
  removed: z.int(),
  updated: z.int(),
  missing: z.int(),
  subscribed: z.int(),
  complete: z.boolean(),
  cursor: z.optional(z.string()),
});
/** What a sync did. */
export type ReconcileReport = z.infer<typeof ReconcileReport>;

/** A delivery as Convoy reports it, without secrets. */
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
/** A delivery as Convoy reports it, without secrets. */
export type Delivery = z.infer<typeof Delivery>;

/** One delivery attempt: the receiver's response, or why there was none. */
export const Attempt = z.object({
  id: z.string(),
  http_status: z.nullable(z.string()),
  response: z.nullable(z.string()),
  error: z.nullable(z.string()),
  requested_at: z.string(),
  responded_at: z.nullable(z.string()),
});
/** One delivery attempt: the receiver's response, or why there was none. */
export type Attempt = z.infer<typeof Attempt>;

/** Response to GET /endpoint/:id/delivery. */
export const DeliveryPage = pageOf(Delivery);

/** Response to GET /endpoint/:id/delivery/:delivery. */
export const DeliveryDetail = z.extend(Delivery, { attempts_made: z.array(Attempt) });

const Time = z.nullable(z.iso.datetime());

/** An event of the log as the API returns it. */
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
/** An event of the log as the API returns it. */
export type LoggedEvent = z.infer<typeof LoggedEvent>;

/** Response to GET /event. */
export const EventPage = pageOf(LoggedEvent);

/** Response to GET /event/:id. `deliveries` is null if Convoy cannot say; `deliveries_error` says why. */
export const EventDetail = z.extend(LoggedEvent, {
  deliveries: z.nullable(z.array(Delivery)),
  deliveries_error: z.optional(z.string()),
});

/** Response to POST /event/:id/replay. */
export const Replayed = z.object({
  data: z.literal("Event queued"),
  event_id: z.string(),
  idempotency_key: z.string(),
});

/** Response to POST /event/replay. */
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

/** Fields of every webhook of event type `type`, which in the body is the tutorial's `event`. */
function webhook<T extends EventType>(type: T) {
  type Words = (typeof WORDS)[T];
  return z.object({
    event: z.literal<Words["event"]>(WORDS[type].event),
    description: z.literal<Words["description"]>(WORDS[type].description),
    event_id: z.uuid(),
    occurred_at: z.iso.datetime(),
  });
}

const Sequence = z.int().check(z.gte(1));
const TodoGone = z.object({ id: TodoId });

/**
 * The body of each event type. `retrieved`, and the `failed` of a read, have no `sequence`: they
 * change nothing.
 */
export const WEBHOOKS = {
  ping: z.extend(webhook("ping"), { sequence: Sequence }),
  created: z.extend(webhook("created"), { sequence: Sequence, [NOUN]: Todo }),
  /** Present for a single read; absent for a list. */
  retrieved: z.extend(webhook("retrieved"), { [NOUN]: z.optional(Todo) }),
  updated: z.extend(webhook("updated"), { sequence: Sequence, [NOUN]: Todo }),
  deleted: z.extend(webhook("deleted"), { sequence: Sequence, [NOUN]: TodoGone }),
  failed: z.extend(webhook("failed"), { sequence: z.optional(Sequence), [NOUN]: TodoGone }),
} as const satisfies Record<EventType, z.ZodMiniType>;

/** A webhook's body, of one event type: `Webhook<"created">`; of any: `Webhook`. */
export type Webhook<T extends EventType = EventType> = z.infer<(typeof WEBHOOKS)[T]>;
/** Body of a `ping`. */
export type PingWebhook = Webhook<"ping">;
/** Body of a `created`. */
export type CreatedWebhook = Webhook<"created">;
/** Body of a `retrieved`. */
export type RetrievedWebhook = Webhook<"retrieved">;
/** Body of an `updated`. */
export type UpdatedWebhook = Webhook<"updated">;
/** Body of a `deleted`. */
export type DeletedWebhook = Webhook<"deleted">;
/** Body of a `failed`. */
export type FailedWebhook = Webhook<"failed">;

/** Response to GET /health. */
export const Alive = z.object({ status: z.literal("ok") });

/**
 * Response to GET /health?deep: "ok", or a description of the problem. Counts are null if D1 does not
 * respond. `owners`: whose `backlog` and `unstored` these are. `unstored`: changes that KV may lack.
 * For operators only: `walk_lag_ms`, how far the walk of Convoy's list is behind, and `closed_until`,
 * until when Convoy asked us to wait.
 */
export const Health = z.object({
  status: z.enum(["ok", "degraded"]),
  d1: z.string(),
  kv: z.string(),
  convoy: z.string(),
  owners: z.enum(["caller", "all"]),
  backlog: z.nullable(Backlog),
  unstored: z.nullable(z.object({ changes: z.int(), oldest_ms: z.nullable(z.int()) })),
  walk_lag_ms: z.nullable(z.int()),
  closed_until: z.nullable(z.iso.datetime()),
});
/** Response to GET /health?deep. */
export type Health = z.infer<typeof Health>;

/**
 * Response to POST /rebuild. `checked`: how many todos were compared; `data`: those that differ, with
 * the version of each in the log and in KV, null for none; `cursor` if there is more.
 */
export const Rebuilt = z.object({
  data: z.array(
    z.object({
      owner: z.string(),
      todo_id: z.int(),
      log: z.nullable(z.int()),
      kv: z.nullable(z.int()),
    }),
  ),
  checked: z.int(),
  cursor: z.optional(z.string()),
});

/** Response to POST /rebuild. */
export type Rebuilt = z.infer<typeof Rebuilt>;

/** Response to POST /portal-link. `expires_at` is null while AUTH is "open": the link has no token. */
export const PortalLink = z.object({ url: z.string(), expires_at: z.nullable(z.iso.datetime()) });
