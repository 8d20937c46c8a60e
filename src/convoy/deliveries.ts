/** Deliveries and their attempts at Convoy. */
import { LOOKUP_TIMEOUT_MS } from "../config.ts";
import { type Convoy, call, convoyTime, list, type PageOptions, paging } from "./client.ts";

/** A delivery as Convoy lists it. */
export type ConvoyDelivery = {
  uid: string;
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

/** An attempt of a delivery as Convoy lists it. */
export type ConvoyAttempt = {
  uid: string;
  http_status: string;
  response_data: string;
  error?: string;
  status?: boolean;
  requested_at: string;
  responded_at: string;
};

/** One delivery; 404 where there is none. */
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

/** Sends again what was discarded while the endpoint was paused. One batch a project at a time, else 400. */
export function retryDiscarded(convoy: Convoy, endpointId: string, fromMs: number, toMs: number) {
  return call<null>(convoy, "/eventdeliveries/batchretry", {
    method: "POST",
    query: {
      endpointId,
      status: "Discarded",
      startDate: convoyTime(fromMs),
      endDate: convoyTime(toMs),
    },
  });
}
