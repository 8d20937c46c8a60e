/** Deliveries and their attempts at Convoy. */
import {
  type Convoy,
  call,
  convoyTime,
  LOOKUP_TIMEOUT_MS,
  list,
  type PageOptions,
  paging,
} from "./client.ts";

/** Statuses in which a delivery can be stuck forever (recorded; convoy/facts: Redis lost its data). */
export type StuckStatus = "Discarded" | "Scheduled" | "Retry" | "Processing";

/** A delivery as Convoy lists it; `endpoint_metadata.status` is the endpoint's current status (recorded). */
export type ConvoyDelivery = {
  uid: string;
  project_id: string;
  endpoint_metadata?: { status: string; deleted_at?: string | null } | null;
  event_id: string;
  endpoint_id: string;
  idempotency_key: string;
  event_type: string;
  status: string;
  latency_seconds: number;
  metadata: { num_trials: number; retry_limit: number; next_send_time: string } | null;
  created_at: string;
  updated_at: string;
};

/** Deliveries of one idempotency key or of one endpoint. */
export function listDeliveries(
  convoy: Convoy,
  page: PageOptions & { key?: string; endpointId?: string },
) {
  return list<ConvoyDelivery>(convoy, "/eventdeliveries", {
    query: { ...paging(page), idempotencyKey: page.key, endpointId: page.endpointId },
    timeoutMs: page.timeoutMs ?? LOOKUP_TIMEOUT_MS,
  });
}

/** A delivery attempt as Convoy lists it; without an HTTP response it has only `error` (facts). */
export type ConvoyAttempt = {
  uid: string;
  http_status?: string;
  response_data?: string;
  error?: string;
  status?: boolean;
  requested_at: string;
  responded_at?: string | null;
};

/** One delivery; 404 if there is none. */
export function getDelivery(convoy: Convoy, id: string) {
  return call<ConvoyDelivery>(convoy, `/eventdeliveries/${encodeURIComponent(id)}`, {
    timeoutMs: LOOKUP_TIMEOUT_MS,
  });
}

/** The attempts of one delivery. */
export function listAttempts(convoy: Convoy, deliveryId: string) {
  return call<ConvoyAttempt[] | null>(
    convoy,
    `/eventdeliveries/${encodeURIComponent(deliveryId)}/deliveryattempts`,
    { timeoutMs: LOOKUP_TIMEOUT_MS },
  );
}

/** Deliveries of one status created between two times, oldest first; of these endpoints, or of all. */
export function listByStatus(
  convoy: Convoy,
  page: PageOptions & {
    status: StuckStatus;
    fromMs: number;
    toMs: number;
    endpointIds?: readonly string[];
  },
) {
  return list<ConvoyDelivery>(convoy, "/eventdeliveries", {
    query: {
      ...paging(page),
      sort: "ASC",
      endpointId: page.endpointIds,
      status: page.status,
      startDate: convoyTime(page.fromMs),
      // Whole seconds: round up, or the last second is lost.
      endDate: convoyTime(page.toMs + 999),
    },
    timeoutMs: LOOKUP_TIMEOUT_MS,
  });
}

/**
 * Resends all deliveries of a status that these endpoints had between two times. One batch per project
 * at a time, else 400. It revives what is stuck in Scheduled and Retry (facts), but not in Processing
 * (facts).
 */
export function retryBatch(
  convoy: Convoy,
  batch: {
    endpointIds: readonly string[];
    status: Exclude<StuckStatus, "Processing">;
    fromMs: number;
    toMs: number;
  },
) {
  return call<null>(convoy, "/eventdeliveries/batchretry", {
    method: "POST",
    query: {
      endpointId: batch.endpointIds,
      status: batch.status,
      startDate: convoyTime(batch.fromMs),
      endDate: convoyTime(batch.toMs + 999),
    },
  });
}
