/** What /endpoint answers. The Worker uses the types alone: the schemas make the API document, and check tests. */
import * as z from "zod/mini";
import { pageOf } from "../schema.ts";

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

/** What a sync did; where it is not `complete`, Convoy or its budget ended it, and `cursor` is where to go on. */
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

/** A delivery as Convoy gives it, without anything secret. */
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
/** A delivery as Convoy gives it, without anything secret. */
export type Delivery = z.infer<typeof Delivery>;

/** One attempt of a delivery: what the receiver answered, or why there was no answer. */
export const Attempt = z.object({
  id: z.string(),
  http_status: z.nullable(z.string()),
  response: z.nullable(z.string()),
  error: z.nullable(z.string()),
  requested_at: z.string(),
  responded_at: z.nullable(z.string()),
});
/** One attempt of a delivery: what the receiver answered, or why there was no answer. */
export type Attempt = z.infer<typeof Attempt>;

/** Answer of GET /endpoint/:id/delivery. */
export const DeliveryPage = pageOf(Delivery);

/** Answer of GET /endpoint/:id/delivery/:delivery. */
export const DeliveryDetail = z.extend(Delivery, { attempts_made: z.array(Attempt) });
