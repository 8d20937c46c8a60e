/** Deliveries and their attempts at Convoy. */
import {
  type Answer,
  type Convoy,
  call,
  convoyTime,
  LOOKUP_TIMEOUT_MS,
  list,
  paging,
  unreadable,
} from "./client.ts";

/** A delivery as Convoy lists it; `endpoint_metadata` is the endpoint now: a deleted one keeps its status (recorded). */
export type ConvoyDelivery = {
  uid: string;
  project_id: string;
  endpoint_metadata?: { status?: string; deleted_at?: string | null } | null;
  endpoint_id: string;
  idempotency_key: string;
  status: string;
  metadata?: { num_trials?: number; next_send_time?: string } | null;
  created_at: string;
  updated_at: string;
};

/** Deliveries of one key, or made between two times; of these endpoints, or of all. Times in ms. */
export type DeliveryQuery = {
  key?: string;
  fromMs?: number;
  toMs?: number;
  endpointIds?: readonly string[];
  limit: number;
  cursor?: string | null;
};

/** One page, oldest first, each delivery once over all pages (recorded). */
export function listDeliveries(convoy: Convoy, query: DeliveryQuery) {
  const { key, fromMs, toMs, endpointIds, limit, cursor } = query;
  return list<ConvoyDelivery>(convoy, "/eventdeliveries", {
    query: {
      ...paging({ perPage: limit, cursor: cursor ?? undefined }),
      sort: "ASC",
      idempotencyKey: key,
      endpointId: endpointIds,
      startDate: fromMs === undefined ? undefined : convoyTime(fromMs),
      // Whole seconds: round up, or the last second is lost.
      endDate: toMs === undefined ? undefined : convoyTime(toMs + 999),
    },
    timeoutMs: LOOKUP_TIMEOUT_MS,
  });
}

/** A try as Convoy lists it, unchecked; without an HTTP response it has only `error` (facts of two versions). */
export type ConvoyAttempt = {
  http_status?: unknown;
  response_data?: unknown;
  error?: unknown;
  requested_at?: unknown;
  responded_at?: unknown;
  request_http_header?: unknown;
  response_http_header?: unknown;
};

/** The tries of one delivery. */
export async function listAttempts(
  convoy: Convoy,
  deliveryId: string,
): Promise<Answer<ConvoyAttempt[]>> {
  const path = `/eventdeliveries/${encodeURIComponent(deliveryId)}/deliveryattempts`;
  const answer = await call(convoy, path, { timeoutMs: LOOKUP_TIMEOUT_MS });
  if (!answer.ok) return answer;
  const made = answer.data ?? [];
  return Array.isArray(made) ? { ...answer, data: made.map(Object) } : unreadable(answer);
}
