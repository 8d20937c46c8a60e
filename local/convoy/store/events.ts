// Events as accepted, and the deliveries they turn into, one per matching subscription.

import { agentEndpoint, agentSubscriptions } from "../agent.ts";
import type { Context } from "../context.ts";
import { insertDelivery } from "./deliveries.ts";
import { type EndpointRow, findEndpoint } from "./endpoints.ts";
import { insertSubscription, type SubscriptionRow, wants } from "./subscriptions.ts";

/** A row of the table. `data` is the JSON as posted; `custom_headers` JSON of name to values. */
export type EventRow = {
  uid: string;
  endpoint_id: string;
  event_type: string;
  idempotency_key: string;
  is_duplicate: number;
  data: string;
  custom_headers: string;
  status: string;
  failure_reason: string | null;
  acknowledged_at: string;
  created_at: string;
  processed: number;
  swallowed: number;
};

/** Stores an accepted event for processing; a swallowed one, only for the inbox to show. */
export function acceptEvent(
  context: Context,
  event: Pick<
    EventRow,
    "endpoint_id" | "event_type" | "idempotency_key" | "data" | "custom_headers" | "swallowed"
  >,
): void {
  const at = context.timestamp();
  context.db.insert("event", {
    ...event,
    uid: context.id(),
    status: event.swallowed ? "Swallowed" : "Pending",
    acknowledged_at: at,
    created_at: at,
  });
}

/** The oldest events still waiting to be processed. */
export function waitingEvents(context: Context, limit: number): EventRow[] {
  return context.db.all<EventRow>(
    "SELECT * FROM event WHERE processed = 0 AND swallowed = 0 ORDER BY uid LIMIT ?",
    limit,
  );
}

/** Leaves what is waiting to be processed in Retry forever: its job is lost with Redis's data (seen). */
export function strandWaitingEvents(context: Context): void {
  for (const event of context.db.all<EventRow>(
    "SELECT * FROM event WHERE processed = 0 AND swallowed = 0",
  ))
    finishEvent(context, event, "Retry");
}

/** What events that are processed together do not see of each other. */
export type Turn = {
  /** Endpoints that had no subscription when it began. */
  bare: Set<string>;
  /** Keys whose first event is in it. */
  keys: Set<string>;
};

function isDuplicate(context: Context, event: EventRow, turn: Turn): boolean {
  if (event.idempotency_key === "") return false;
  // Workers of 26.6 that race both look before one of them inserts (seen: eight posts at once came six times).
  const isRaced = context.options.version === "26.6" && context.faults.get().race_ms !== undefined;
  if (isRaced && turn.keys.has(event.idempotency_key)) return false;
  const earlier = context.db.get(
    `SELECT 1 FROM event
     WHERE idempotency_key = ? AND uid <> ? AND processed = 1 AND is_duplicate = 0 AND swallowed = 0`,
    event.idempotency_key,
    event.uid,
  );
  if (earlier === undefined) turn.keys.add(event.idempotency_key);
  return earlier !== undefined;
}

/**
 * The subscriptions through which an event is delivered. On 26.6 an event for an endpoint without one creates it, and
 * events of one turn do not see each other's (seen: three at once made three).
 */
function subscriptionsFor(
  context: Context,
  event: EventRow,
  endpoint: EndpointRow,
  { bare }: Turn,
): SubscriptionRow[] {
  const known = bare.has(endpoint.uid) ? [] : agentSubscriptions(context, endpoint.uid);
  const makesOne = context.options.version === "26.6";
  if (known.length > 0 || !makesOne) return known.filter((row) => wants(row, event.event_type));
  bare.add(endpoint.uid);
  const name = `${endpoint.name}-subscription`;
  return [insertSubscription(context, { name, endpoint_id: endpoint.uid, event_types: '["*"]' })];
}

function finishEvent(context: Context, event: EventRow, status: string): void {
  context.db.update("event", event.uid, {
    processed: 1,
    is_duplicate: Number(status === "Processing"),
    status,
    failure_reason: status === "Failure" ? "no subscription matched this event" : null,
    created_at: context.timestamp(),
  });
}

/**
 * Turns an event into deliveries; returns the uids of those to send. An event with a key already used is listed as a
 * duplicate, with status Processing, and not delivered, whatever happened to the first (seen: even after a Failure); one
 * without a subscription fails (both recorded).
 */
export function processEvent(context: Context, event: EventRow, turn: Turn): string[] {
  if (isDuplicate(context, event, turn)) {
    finishEvent(context, event, "Processing");
    return [];
  }
  if (context.faults.strand("event")) {
    finishEvent(context, event, "Retry");
    return [];
  }
  const exists = findEndpoint(context, event.endpoint_id);
  const endpoint = exists && agentEndpoint(context, event.endpoint_id);
  const subscriptions = endpoint ? subscriptionsFor(context, event, endpoint, turn) : [];
  finishEvent(context, event, subscriptions.length > 0 ? "Success" : "Failure");
  return subscriptions.flatMap(
    ({ uid }) => (endpoint && insertDelivery(context, event, endpoint, uid)) ?? [],
  );
}
