/** What /event, /delivery and /rebuild answer. The Worker uses only the types; the schemas make the API document. */
import * as z from "zod/mini";
import { pageOf } from "../schema.ts";
import { DELIVERY_STATUSES } from "./rows.ts";

const Time = z.iso.datetime();
const Count = z.int().check(z.nonnegative());

/** How far a delivery has come. */
export const DeliveryStatus = z.enum(DELIVERY_STATUSES);

const progress = {
  status: DeliveryStatus,
  attempts: Count,
  resends: Count,
  last_http_status: z.nullable(z.int()),
  error: z.nullable(z.string()),
  next_try_at: z.nullable(Time),
  finished_at: z.nullable(Time),
};
const DeliveryProgress = z.object(progress);
export type DeliveryProgress = z.infer<typeof DeliveryProgress>;

/** A delivery: one event for one endpoint. */
export const Delivery = z.object({
  id: z.string(),
  event_id: z.string(),
  sequence: z.int(),
  event_type: z.string(),
  endpoint_id: z.string(),
  resource: z.nullable(z.string()),
  resource_id: z.nullable(z.string()),
  title: z.nullable(z.string()),
  created_at: Time,
  ...progress,
});
export type Delivery = z.infer<typeof Delivery>;

/** Response to GET /delivery. */
export const DeliveryPage = pageOf(Delivery);

const Headers = z.record(z.string(), z.string());

/** One try of the gateway; null where the receiver did not answer. */
export const Attempt = z.object({
  at: z.string(),
  took_ms: z.nullable(z.int()),
  http_status: z.nullable(z.int()),
  response: z.nullable(z.string()),
  error: z.nullable(z.string()),
  request_headers: Headers,
  response_headers: Headers,
});

/** Response to GET /delivery/:id. `attempts_made` is null if the gateway cannot say; `attempts_error` says why. */
export const DeliveryDetail = z.extend(Delivery, {
  body: z.record(z.string(), z.unknown()),
  attempts_made: z.nullable(z.array(Attempt)),
  attempts_error: z.optional(z.string()),
});
export type DeliveryDetail = z.infer<typeof DeliveryDetail>;

/** Response to GET /delivery?owner=*: of all owners, without contents. */
export const OwnedDeliveryPage = pageOf(
  z.extend(z.omit(Delivery, { title: true }), { owner: z.string() }),
);

/**
 * Response to GET /delivery/poll. `data`: new deliveries, newest first; `has_more`: not all of them. `after`: the newest
 * sequence, for the next poll. `watched`: how those are that were asked for. `failing`: how many endpoints, and since when
 * the latest. `waiting`: what the gateway has not taken, counted up to ten. `gateway`: whether webhooks are being sent.
 */
export const Polled = z.object({
  data: z.array(Delivery),
  has_more: z.boolean(),
  after: Count,
  watched: z.array(z.extend(DeliveryProgress, { sequence: z.int(), endpoint_id: z.string() })),
  failing: z.object({ endpoints: Count, latest: z.nullable(Time) }),
  waiting: z.nullable(
    z.object({
      deliveries: Count,
      has_more: z.boolean(),
      since: Time,
      error: z.nullable(z.string()),
    }),
  ),
  gateway: z.enum(["ok", "down"]),
});
export type Polled = z.infer<typeof Polled>;

/** Response to POST /delivery/:id/resend. */
export const Resent = z.object({ data: z.literal("Delivery queued"), delivery: Delivery });

/** Response to POST /delivery/resend. With a `cursor` there may be more. After a dry run: how many would be resent. */
export const BulkResent = z.object({ resent: Count, cursor: z.optional(z.string()) });

/** The status of an event: the first of these that one of its deliveries has. */
export const EventStatus = z.enum([...DELIVERY_STATUSES, "none"]);

/** An event of the log. */
export const LoggedEvent = z.object({
  id: z.string(),
  sequence: z.int(),
  type: z.string(),
  change: z.nullable(z.enum(["create", "update", "delete"])),
  resource: z.nullable(z.string()),
  resource_id: z.nullable(z.string()),
  title: z.nullable(z.string()),
  data: z.nullable(z.record(z.string(), z.unknown())),
  test: z.optional(z.literal(true)),
  status: EventStatus,
  deliveries: z.partialRecord(DeliveryStatus, Count),
  occurred_at: Time,
});
export type LoggedEvent = z.infer<typeof LoggedEvent>;

/** Response to GET /event. */
export const EventPage = pageOf(LoggedEvent);

/** Response to GET /event?owner=*: of all owners, without contents. */
export const OwnedEventPage = pageOf(
  z.extend(z.omit(LoggedEvent, { title: true, data: true }), { owner: z.string() }),
);

/** Response to GET /event/:id. */
export const EventDetail = z.extend(LoggedEvent, {
  deliveries: z.array(Delivery),
});

/** Response to POST /event/:id/replay. */
export const Replayed = z.object({
  data: z.literal("Event queued"),
  event_id: z.string(),
  deliveries: z.array(Delivery),
});

/** Response to GET /event/summary: how many deliveries have which status (counts stop at 1,000), and why they wait. */
export const Summary = z.object({
  pending: Count,
  sending: Count,
  held: Count,
  failed: Count,
  dead: Count,
  oldest_pending_ms: z.nullable(Count),
  errors: z.array(z.object({ error: z.string(), deliveries: Count })),
});
export type Summary = z.infer<typeof Summary>;

/** Response to GET /event/type: the catalogue, with what a test event of each type sends. */
export const EventTypes = z.object({
  data: z.array(
    z.object({
      type: z.string(),
      description: z.string(),
      resource: z.nullable(z.string()),
      body: z.record(z.string(), z.unknown()),
    }),
  ),
});

/**
 * Response to POST /rebuild. `checked`: how many were compared; `data`: those that differ, with the version of each in
 * the log and in KV, null for none; `cursor` if there is more.
 */
export const Rebuilt = z.object({
  data: z.array(
    z.object({
      owner: z.string(),
      resource: z.string(),
      resource_id: z.string(),
      log: z.nullable(z.int()),
      kv: z.nullable(z.int()),
    }),
  ),
  checked: Count,
  cursor: z.optional(z.string()),
});
export type Rebuilt = z.infer<typeof Rebuilt>;
