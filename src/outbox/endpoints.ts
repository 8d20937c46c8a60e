/**
 * What the log tells those who keep the endpoints. What it has to know of them it reads itself, in the view
 * `outbox_endpoint` (id, owner, active, event_types, rate_requests, rate_per_s): the endpoints that a caller has.
 */
import type { Bindings } from "../settings.ts";
import type { Statement } from "../storage.ts";

/** What was learned of the last delivery to an endpoint. `error` null: it arrived. */
export type Reported = { endpointId: string; at: number; error: string | null };

/** Given where the app is put together. A `Statement` is run in one transaction with what was learned. */
export type Endpoints = {
  /** The gateway delivers to these or does not, as it says itself: their records follow, at once and surely. */
  seen: (seen: { endpointId: string; active: boolean }[], now: number) => Statement;
  /** The gateway says that it has no such endpoints, which is no proof: to be looked at. */
  doubted: (endpointIds: string[], now: number) => Statement;
  /** How their last deliveries went: kept as `failing_since`, written only where it changes. */
  reported: (reports: Reported[]) => Statement;
  /** Makes the subscription that the endpoint lacks at the gateway. filtered: it has one that does not take all types. */
  subscribe: (env: Bindings, endpointId: string) => Promise<"subscribed" | "filtered" | "unknown">;
};
