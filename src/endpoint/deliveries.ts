/** Convoy's deliveries in our words: no headers, since an endpoint's may carry its credentials. */

import type { ConvoyAttempt, ConvoyDelivery } from "../convoy/deliveries.ts";
import type { Attempt, Delivery } from "./schema.ts";

/** A delivery as given out; `next_attempt_at` only while Convoy will try again. */
export function toDelivery(told: ConvoyDelivery): Delivery {
  const waiting = ["Scheduled", "Retry", "Processing"].includes(told.status);
  return {
    id: told.uid,
    endpoint_id: told.endpoint_id,
    event_type: told.event_type,
    idempotency_key: told.idempotency_key,
    status: told.status,
    attempts: told.metadata?.num_trials ?? 0,
    max_attempts: told.metadata?.retry_limit ?? 0,
    next_attempt_at: waiting ? (told.metadata?.next_send_time ?? null) : null,
    created_at: told.created_at,
    updated_at: told.updated_at,
  };
}

/** An attempt as given out. */
export function toAttempt(told: ConvoyAttempt): Attempt {
  return {
    id: told.uid,
    http_status: told.http_status,
    response: told.response_data,
    error: told.error || null,
    requested_at: told.requested_at,
    responded_at: told.responded_at,
  };
}
