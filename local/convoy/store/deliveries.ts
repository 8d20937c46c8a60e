// Deliveries: one event on its way to one endpoint, and its attempts.
import type { Context } from "../context.ts";
import { withCredentials } from "../credentials.ts";
import { Refusal } from "../envelope.ts";
import type { Strand } from "../faults.ts";
import { type EndpointRow, requireEndpoint } from "./endpoints.ts";
import type { EventRow } from "./events.ts";

const STATUSES = ["Scheduled", "Processing", "Discarded", "Failure", "Success", "Retry"] as const;
export type DeliveryStatus = (typeof STATUSES)[number];

/** A row of the table. `sent` is JSON of Sent, of the last attempt; `next_send_at` Unix ms; `latency_s` seconds. */
export type DeliveryRow = {
  uid: string;
  event_id: string;
  endpoint_id: string;
  subscription_id: string;
  event_type: string;
  idempotency_key: string;
  data: string;
  headers: string;
  status: DeliveryStatus;
  attempts: number;
  successes: number;
  next_send_at: number;
  latency_s: number;
  message: string;
  repeats: number;
  url: string;
  sent: string | null;
  received_at: string | null;
  last_error: string | null;
  acknowledged_at: string;
  created_at: string;
  updated_at: string;
  hidden: number;
  /** How a fault stranded it; null if none did, or once it is sent again. */
  strand: Strand | null;
};

/** What identifies a message to its receiver: the body's event_id, else the key it came with. */
function messageOf(event: EventRow): string {
  try {
    const body: unknown = JSON.parse(event.data);
    const id = (body as { event_id?: unknown } | null)?.event_id;
    if (typeof id === "string" && id !== "") return id;
  } catch {
    // Data is valid JSON by now; what JSON.parse cannot handle is identified by its key.
  }
  return event.idempotency_key || event.uid;
}

/**
 * Creates the delivery of an event to an endpoint: discarded at once unless the endpoint is active (recorded). Returns
 * its uid if it is to be sent.
 */
export function insertDelivery(
  context: Context,
  event: EventRow,
  endpoint: EndpointRow,
  subscriptionId: string,
): string | undefined {
  const uid = context.id();
  const lateMs = Math.random() * (context.faults.get().race_ms ?? 0);
  const at = new Date(context.options.now() - lateMs).toISOString();
  const status: DeliveryStatus = endpoint.status === "active" ? "Scheduled" : "Discarded";
  const strand = (status === "Scheduled" && context.faults.strand("delivery")) || null;
  const message = messageOf(event);
  const headers = JSON.parse(event.custom_headers) as Record<string, string[]>;
  const earlier = context.db.get(
    "SELECT 1 FROM delivery WHERE message = ? AND endpoint_id = ? LIMIT 1",
    message,
    endpoint.uid,
  );
  const { event_type, idempotency_key, data } = event;
  context.db.insert("delivery", {
    uid,
    event_id: event.uid,
    endpoint_id: endpoint.uid,
    subscription_id: subscriptionId,
    ...{ event_type, idempotency_key, data },
    headers: JSON.stringify(withCredentials(headers, endpoint.authentication)),
    status,
    next_send_at: context.options.now(),
    message,
    repeats: Number(earlier !== undefined),
    url: endpoint.url,
    acknowledged_at: at,
    created_at: at,
    updated_at: at,
    strand,
  });
  return status === "Scheduled" && strand !== "delivery" ? uid : undefined;
}

export function findDelivery(context: Context, uid: string): DeliveryRow | undefined {
  return context.db.find<DeliveryRow>("delivery", uid);
}

/** The deliveries that a restart resumes: due now, or at `next_send_at` for a retry. */
export function openDeliveries(context: Context): DeliveryRow[] {
  return context.db.all<DeliveryRow>(
    `SELECT * FROM delivery WHERE status IN ('Scheduled', 'Processing', 'Retry') AND strand IS NULL ORDER BY uid`,
  );
}

/** Strands what is waiting in the queue, which excludes what is on its way. */
export function strandWaitingDeliveries(context: Context): void {
  context.db.run(
    "UPDATE delivery SET strand = 'delivery' WHERE status IN ('Scheduled', 'Retry') AND strand IS NULL",
  );
}

/** Puts a delivery back to Scheduled, stranded or not; its attempts still count. */
export function rescheduleDelivery(context: Context, uid: string): void {
  context.db.update("delivery", uid, { strand: null });
  setDeliveryStatus(context, uid, "Scheduled");
}

export function setDeliveryStatus(context: Context, uid: string, status: DeliveryStatus): void {
  context.db.update("delivery", uid, { status, updated_at: context.timestamp() });
}

/** Refuses what Convoy does not let people send again, with its messages (recorded, or from its source). */
export function requireResendable(context: Context, row: DeliveryRow): void {
  if (row.status === "Success") throw new Refusal(400, "event already sent");
  if (row.status !== "Failure" && row.status !== "Discarded")
    throw new Refusal(400, "cannot resend event that did not fail previously");
  const missing = { status: 400, message: "endpoint not found" };
  const endpoint = requireEndpoint(context, row.endpoint_id, missing);
  if (endpoint.status !== "active")
    throw new Refusal(400, `the endpoint is currently ${endpoint.status}`);
}
