/** What /endpoint answers. The Worker uses only the types; the schemas make the API document. */
import * as z from "zod/mini";
import { pageOf } from "../schema.ts";

const Time = z.iso.datetime();

/** As many requests in so many seconds. */
export const RateLimit = z.object({ requests: z.int(), per_s: z.int() });

/**
 * An endpoint. `pending`: what is wanted is not at Convoy yet; `error` says why. `failing_since`: since when its
 * deliveries fail, with the last answer. `held`: deliveries that wait for it, counted up to 1,000.
 */
export const Endpoint = z.object({
  id: z.string(),
  name: z.string(),
  url: z.string(),
  description: z.string(),
  http_timeout: z.int(),
  event_types: z.nullable(z.array(z.string())),
  header_names: z.array(z.string()),
  rate_limit: z.nullable(RateLimit),
  status: z.enum(["active", "paused", "disabled", "missing"]),
  pending: z.optional(z.literal(true)),
  error: z.optional(z.string()),
  failing_since: z.optional(Time),
  failing_error: z.optional(z.string()),
  held: z.optional(z.int()),
  created_at: Time,
  updated_at: Time,
});
/** An endpoint as the API returns it. */
export type Endpoint = z.infer<typeof Endpoint>;

/** Response to GET /endpoint. */
export const EndpointPage = pageOf(Endpoint);

const OwnedEndpoint = z.extend(
  z.omit(Endpoint, { name: true, description: true, url: true, header_names: true }),
  { owner: z.string(), host: z.string() },
);
/** An endpoint as operators see all owners'. */
export type OwnedEndpoint = z.infer<typeof OwnedEndpoint>;

/** Response to GET /endpoint?owner=*: of all owners, without what they wrote. */
export const OwnedEndpointPage = pageOf(OwnedEndpoint);

/** Response to POST /endpoint: the secret is returned only this once. */
export const EndpointAdded = z.object({
  "Endpoint ID": z.string(),
  endpoint: Endpoint,
  secret: z.string(),
});

/** Response to DELETE /endpoint/:id. */
export const EndpointRemoved = z.object({ data: z.literal("Endpoint ID has been removed.") });

/** Response to POST /endpoint/:id/rotate-secret: the secret is returned only this once. */
export const Rotated = z.object({
  endpoint: Endpoint,
  secret: z.string(),
  overlap_hours: z.int(),
});

/** Response to POST /endpoint/:id/ping. */
export const PingQueued = z.object({ data: z.literal("Ping queued"), event_id: z.string() });

/** Response to POST /endpoint/:id/test. */
export const TestQueued = z.object({ data: z.literal("Test queued"), event_id: z.string() });

/** What a sync did. If not `complete`, Convoy or the budget stopped it: the next one goes on, at the `cursor`. */
export const SyncReport = z.object({
  adopted: z.int(),
  removed: z.int(),
  updated: z.int(),
  missing: z.int(),
  complete: z.boolean(),
  cursor: z.optional(z.string()),
});
/** What a sync did. */
export type SyncReport = z.infer<typeof SyncReport>;
