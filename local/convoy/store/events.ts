// Events as they were accepted, and what they turn into: deliveries, one for each subscription that matches.
import type { Context } from "../context.ts";
import { insertDelivery } from "./deliveries.ts";
import { findEndpoint } from "./endpoints.ts";
import { matchingSubscriptions } from "./subscriptions.ts";

/** A row of the table. `data` is the JSON as posted; `custom_headers` JSON of name to values; `endpoints` of string[]. */
export type EventRow = {
  uid: string;
  kind: "endpoint" | "owner" | "broadcast";
  target: string;
  event_type: string;
  idempotency_key: string;
  is_duplicate: number;
  data: string;
  custom_headers: string;
  endpoints: string;
  status: string;
  failure_reason: string | null;
  acknowledged_at: string;
  created_at: string;
  processed: number;
  swallowed: number;
};

/** Keeps an accepted event for processing; a swallowed one is kept for the inbox's eyes only. */
export function acceptEvent(
  context: Context,
  event: Pick<EventRow, "kind" | "target" | "event_type" | "idempotency_key" | "data"> & {
    custom_headers: Record<string, string[]>;
    swallowed: boolean;
  },
): void {
  const at = context.timestamp();
  context.db.run(
    `INSERT INTO event (uid, kind, target, event_type, idempotency_key, data, custom_headers, status,
       acknowledged_at, created_at, swallowed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    context.id(),
    event.kind,
    event.target,
    event.event_type,
    event.idempotency_key,
    event.data,
    JSON.stringify(event.custom_headers),
    event.swallowed ? "Swallowed" : "Pending",
    at,
    at,
    Number(event.swallowed),
  );
}

/** The oldest events that still wait to be processed. */
export function waitingEvents(context: Context, limit: number): EventRow[] {
  return context.db.all<EventRow>(
    "SELECT * FROM event WHERE processed = 0 AND swallowed = 0 ORDER BY uid LIMIT ?",
    limit,
  );
}

function endpointIdsOf(context: Context, event: EventRow): string[] {
  if (event.kind === "endpoint") return [event.target];
  const sql =
    event.kind === "owner"
      ? "SELECT uid FROM endpoint WHERE owner_id = ? AND deleted_at IS NULL ORDER BY uid"
      : "SELECT uid FROM endpoint WHERE ? IS NOT NULL AND deleted_at IS NULL ORDER BY uid";
  return context.db.all<{ uid: string }>(sql, event.target).map((row) => row.uid);
}

/**
 * Turns an event into deliveries; gives the uids of those to send. A second event with a key already seen is listed as
 * a duplicate, with status Processing, and delivered to nobody; one that nobody is subscribed to fails (both recorded).
 */
export function processEvent(context: Context, event: EventRow): string[] {
  const endpointIds = endpointIdsOf(context, event);
  const duplicate =
    event.idempotency_key !== "" &&
    context.db.get(
      "SELECT 1 FROM event WHERE idempotency_key = ? AND uid <> ? AND processed = 1 AND is_duplicate = 0 AND swallowed = 0",
      event.idempotency_key,
      event.uid,
    ) !== undefined;
  const toSend: string[] = [];
  let matched = 0;
  if (!duplicate) {
    for (const endpointId of endpointIds) {
      const endpoint = findEndpoint(context, endpointId);
      if (!endpoint) continue;
      for (const subscription of matchingSubscriptions(context, endpointId, event.event_type)) {
        matched++;
        const delivery = insertDelivery(context, event, endpoint, subscription.uid);
        if (delivery.status === "Scheduled") toSend.push(delivery.uid);
      }
    }
  }
  const status = duplicate ? "Processing" : matched > 0 ? "Success" : "Failure";
  context.db.run(
    `UPDATE event SET processed = 1, is_duplicate = ?, endpoints = ?, status = ?, failure_reason = ?, created_at = ?
     WHERE uid = ?`,
    Number(duplicate),
    JSON.stringify(endpointIds),
    status,
    status === "Failure" ? "no subscription matched this event" : null,
    context.timestamp(),
    event.uid,
  );
  return toSend;
}
