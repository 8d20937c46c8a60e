/** What callers may send to /endpoint, and how its responses are built. */
import * as z from "zod/mini";
import type { Attempt, Delivery, Endpoint } from "../answers.ts";
import { DELIVERY_PAGE_MAX, ROTATION_OVERLAP_MAX_H, TIMEOUT_MAX_S } from "../config.ts";
import type { ConvoyAttempt, ConvoyDelivery } from "../convoy/deliveries.ts";
import { Cursor, EndpointId, limitOf, notEmpty, text } from "../schema.ts";
import type { EndpointRow } from "./table.ts";
import { WebhookUrl } from "./url.ts";

/** `:id` of an endpoint in a path. */
export const EndpointPath = z.object({ id: EndpointId });

/** `:id` of an endpoint and `:delivery` of one of its deliveries in a path. */
export const DeliveryPath = z.object({ id: EndpointId, delivery: EndpointId });

/** Query of GET /endpoint/:id/delivery. */
export const DeliveryListQuery = z.strictObject({
  limit: limitOf(DELIVERY_PAGE_MAX),
  cursor: Cursor,
});

/** Query of POST /endpoint/sync: where to resume. */
export const SyncQuery = z.strictObject({ cursor: Cursor });

/**
 * 1 second to 1 minute, in Go's notation like the tutorial's `"10s"`, or in plain seconds: `10`,
 * `10s`, `1m`.
 */
export const DURATION = /^(?:(?:[1-9]|[1-5]\d|60)s?|1m(?:0s)?)$/;

/** Whole seconds of a text that matches DURATION: `"1m"` → 60. */
export function durationSeconds(text: string): number {
  return text.startsWith("1m") ? 60 : Number.parseInt(text, 10);
}

const Timeout = z.union(
  [
    z.int().check(z.gte(1), z.lte(TIMEOUT_MAX_S)),
    z.pipe(z.string().check(z.regex(DURATION)), z.transform(durationSeconds)),
  ],
  { error: `must be 1 second to 1 minute: 10, "10s" or "1m"` },
);

const Secret = text(1, 255);

const endpointFields = {
  name: text(1, 255),
  url: WebhookUrl,
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
    url: z.optional(WebhookUrl),
    description: endpointFields.description,
    http_timeout: endpointFields.http_timeout,
  }),
  "send at least one field",
);
/** Body of PUT /endpoint/:id, parsed. */
export type EndpointPatch = z.infer<typeof EndpointPatch>;

/** Body of POST /endpoint/:id/rotate-secret; all of it is optional. */
export const Rotation = z.strictObject({
  secret: z.optional(Secret),
  overlap_hours: z.optional(z.int().check(z.gte(1), z.lte(ROTATION_OVERLAP_MAX_H))),
});

/** The record as the API returns it: no owner, no subscription, never a secret. */
export function toEndpoint(row: EndpointRow): Endpoint {
  return {
    id: row.id,
    name: row.name,
    url: row.url,
    description: row.description,
    http_timeout: row.http_timeout_s,
    // `creating` rows are never read for a caller.
    status: row.status as Endpoint["status"],
    created_at: new Date(row.created_at).toISOString(),
    updated_at: new Date(row.updated_at).toISOString(),
  };
}

/**
 * A delivery as the API returns it, without headers, which may carry credentials; `next_attempt_at`
 * only if there will be one.
 */
export function toDelivery(one: ConvoyDelivery): Delivery {
  const waiting = ["Scheduled", "Retry", "Processing"].includes(one.status);
  return {
    id: one.uid,
    endpoint_id: one.endpoint_id,
    event_type: one.event_type,
    idempotency_key: one.idempotency_key,
    status: one.status,
    attempts: one.metadata?.num_trials ?? 0,
    max_attempts: one.metadata?.retry_limit ?? 0,
    next_attempt_at: waiting ? (one.metadata?.next_send_time ?? null) : null,
    created_at: one.created_at,
    updated_at: one.updated_at,
  };
}

/** An attempt as the API returns it: null if there was no HTTP response, and `error` says what happened. */
export function toAttempt(one: ConvoyAttempt): Attempt {
  return {
    id: one.uid,
    http_status: one.http_status || null,
    response: one.response_data ?? null,
    error: one.error || null,
    requested_at: one.requested_at,
    responded_at: one.responded_at ?? null,
  };
}
