/** The contract of /endpoint: what callers may send, and what they get. */
import * as z from "zod/mini";
import { DELIVERY_PAGE_MAX, ROTATION_OVERLAP_MAX_H, TIMEOUT_MAX_S } from "../config.ts";
import { Cursor, EndpointId, limitOf, notEmpty, pageOf, text } from "../schema.ts";
import { DURATION, durationSeconds } from "./duration.ts";
import { WEBHOOK_URL } from "./url.ts";

/** `:id` of an endpoint in a path. */
export const EndpointPath = z.object({ id: EndpointId });

/** `:id` of an endpoint and `:delivery` of one of its deliveries in a path. */
export const DeliveryPath = z.object({ id: EndpointId, delivery: EndpointId });

/** Query of GET /endpoint/:id/delivery. */
export const DeliveryListQuery = z.object({ limit: limitOf(DELIVERY_PAGE_MAX), cursor: Cursor });

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
