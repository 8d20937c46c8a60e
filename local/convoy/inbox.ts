// The inbox as JSON: what receivers were sent, with a verdict on each signature; for the page and for tests.
import type { Sent } from "./attempt.ts";
import type { Context } from "./context.ts";
import type { Strand } from "./faults.ts";
import type { Condition } from "./paging.ts";
import type { DeliveryRow } from "./store/deliveries.ts";
import { findEndpoint } from "./store/endpoints.ts";

/** A delivery as the inbox lists it. `headers` and `signature` are those of the last attempt. */
export type InboxDelivery = {
  id: string;
  endpoint_id: string;
  url: string;
  event_type: string;
  idempotency_key: string;
  body: string;
  headers: Record<string, string>;
  signature: { header: string | null; valid: boolean; reason?: string };
  status: string;
  attempts: number;
  /** Whether the receiver already got this message, in another delivery or an earlier attempt of this one. */
  duplicate: boolean;
  /** When it was first sent; null until then. */
  received_at: string | null;
  created_at: string;
  event_id: string;
  /** Whether it was kept here instead of being sent, because the host is not this machine. */
  kept: boolean;
  /** Why the last attempt failed; null if it did not. */
  error: string | null;
  /** How a fault stranded it; null if none did, or once it is sent again. */
  strand: Strand | null;
};

/** Why a delivery that was not sent has no signature. */
function unsent({ status, strand }: DeliveryRow): string {
  if (strand !== null) return "not sent: its job was lost with Redis's data (a fault)";
  return status === "Discarded"
    ? "not sent: the endpoint was paused, inactive or gone"
    : "not sent yet";
}

/** A row as the inbox lists it. */
export function inboxDelivery(row: DeliveryRow): InboxDelivery {
  const sent = row.sent === null ? null : (JSON.parse(row.sent) as Sent);
  return {
    id: row.uid,
    endpoint_id: row.endpoint_id,
    url: row.url,
    event_type: row.event_type,
    idempotency_key: row.idempotency_key,
    body: row.data,
    headers: sent?.headers ?? {},
    signature: sent
      ? {
          header: sent.signature.header,
          valid: sent.signature.valid,
          ...(sent.signature.reason === undefined ? {} : { reason: sent.signature.reason }),
        }
      : { header: null, valid: false, reason: unsent(row) },
    status: row.status,
    attempts: row.attempts,
    duplicate: row.repeats === 1 || row.successes > 1,
    received_at: row.received_at,
    created_at: row.created_at,
    event_id: row.event_id,
    kept: sent?.kept ?? false,
    error: row.last_error,
    strand: row.strand,
  };
}

/** The newest deliveries; `q` is searched for in body, key, type, URL, status and endpoint id, ignoring case. */
export function listDeliveries(
  context: Context,
  limit: number,
  query: URLSearchParams,
): InboxDelivery[] {
  const conditions: Condition[] = [{ sql: "hidden = 0", values: [] }];
  const text = query.get("q")?.trim();
  if (text) {
    const columns = ["data", "idempotency_key", "event_type", "url", "status", "endpoint_id"];
    conditions.push({
      sql: `(${columns.map((column) => `instr(lower(${column}), ?) > 0`).join(" OR ")})`,
      values: columns.map(() => text.toLowerCase()),
    });
  }
  for (const [parameter, column] of [
    ["status", "status"],
    ["type", "event_type"],
    ["endpoint", "endpoint_id"],
  ] as const) {
    const value = query.get(parameter);
    if (value) conditions.push({ sql: `${column} = ?`, values: [value] });
  }
  return context.db
    .all<DeliveryRow>(
      `SELECT * FROM delivery WHERE ${conditions.map((one) => one.sql).join(" AND ")} ORDER BY uid DESC LIMIT ?`,
      ...conditions.flatMap((one) => one.values),
      limit,
    )
    .map(inboxDelivery);
}

/** One delivery with its endpoint, each step of the signature check, and each attempt with its answer. */
export function deliveryDetail(context: Context, row: DeliveryRow) {
  const endpoint = findEndpoint(context, row.endpoint_id, true);
  const sent = row.sent === null ? null : (JSON.parse(row.sent) as Sent);
  const attempts = context.db.all<{ view: string; sent: string }>(
    "SELECT view, sent FROM attempt WHERE delivery_id = ? ORDER BY uid",
    row.uid,
  );
  return {
    ...inboxDelivery(row),
    next_send_at: row.status === "Retry" ? new Date(row.next_send_at).toISOString() : null,
    endpoint: endpoint
      ? {
          uid: endpoint.uid,
          name: endpoint.name,
          status: endpoint.status,
          owner_id: endpoint.owner_id,
        }
      : null,
    check: sent ? { advanced: sent.signature.advanced, steps: sent.signature.steps } : null,
    attempt_list: attempts.map((attempt) => {
      const view = JSON.parse(attempt.view) as Record<string, unknown>;
      return {
        id: view.uid,
        status: view.http_status ?? null,
        ok: view.status === true,
        error: view.error ?? null,
        requested_at: view.requested_at,
        responded_at: view.responded_at,
        response_headers: view.response_http_header,
        response_body: view.response_data ?? "",
        request_headers: (JSON.parse(attempt.sent) as Sent).headers,
      };
    }),
  };
}

/** The newest events that the API answered with 201, including duplicates and swallowed ones. */
export function listEvents(context: Context, limit: number) {
  return context.db
    .all<{
      uid: string;
      endpoint_id: string;
      event_type: string;
      idempotency_key: string;
      is_duplicate: number;
      data: string;
      status: string;
      failure_reason: string | null;
      swallowed: number;
      acknowledged_at: string;
    }>("SELECT * FROM event WHERE hidden = 0 ORDER BY uid DESC LIMIT ?", limit)
    .map((row) => ({
      id: row.uid,
      endpoint_id: row.endpoint_id,
      event_type: row.event_type,
      idempotency_key: row.idempotency_key,
      is_duplicate: row.is_duplicate === 1,
      swallowed: row.swallowed === 1,
      status: row.status,
      failure_reason: row.failure_reason,
      body: row.data,
      accepted_at: row.acknowledged_at,
    }));
}
