// The inbox as JSON: what receivers were sent, with a verdict on each signature; for the page and for tests.
import type { Sent } from "./attempt.ts";
import type { Context } from "./context.ts";
import { type Condition, equals, whereOf } from "./paging.ts";
import { attemptsOf } from "./store/attempts.ts";
import type { DeliveryRow } from "./store/deliveries.ts";
import type { EndpointRow } from "./store/endpoints.ts";
import type { EventRow } from "./store/events.ts";
import { pick } from "./views.ts";

export type InboxDelivery = ReturnType<typeof inboxDelivery>;

/** Why a delivery that was not sent has no signature. */
function unsent({ status, strand }: DeliveryRow): string {
  if (strand !== null) return "not sent: its job was lost with Redis's data (a fault)";
  return status === "Discarded"
    ? "not sent: the endpoint was paused, inactive or gone"
    : "not sent yet";
}

const sentOf = ({ sent }: DeliveryRow) => (sent === null ? null : (JSON.parse(sent) as Sent));

type Signature = { header: string | null; valid: boolean; reason?: string };

function signatureOf(row: DeliveryRow): Signature {
  const sent = sentOf(row);
  if (!sent) return { header: null, valid: false, reason: unsent(row) };
  const { header, valid, reason } = sent.signature;
  return { header, valid, ...(reason === undefined ? {} : { reason }) };
}

/** A row as the inbox lists it. `headers` and `signature` are those of the last attempt. */
export function inboxDelivery(row: DeliveryRow) {
  const sent = sentOf(row);
  return {
    ...pick(row, "endpoint_id", "url", "event_type", "idempotency_key", "attempts", "created_at"),
    ...pick(row, "event_id", "strand"),
    id: row.uid,
    body: row.data,
    headers: sent?.headers ?? {},
    signature: signatureOf(row),
    status: row.status as string,
    /** Whether the receiver already got this message, in another delivery or an earlier attempt of this one. */
    duplicate: row.repeats === 1 || row.successes > 1,
    /** When it was first sent; null until then. */
    received_at: row.received_at,
    /** Whether it was kept here instead of being sent, because the host is not this machine. */
    kept: sent?.kept ?? false,
    /** Why the last attempt failed; null if it did not. */
    error: row.last_error,
  };
}

/** The newest deliveries; `q` is searched for in body, key, type, URL, status and endpoint id, ignoring case. */
export function listDeliveries(context: Context, limit: number, query: URLSearchParams) {
  const columns = ["data", "idempotency_key", "event_type", "url", "status", "endpoint_id"];
  const text = query.get("q")?.trim().toLowerCase();
  const search: Condition = {
    sql: `(${columns.map((column) => `instr(lower(${column}), ?) > 0`).join(" OR ")})`,
    values: columns.map(() => text ?? ""),
  };
  const where = whereOf([
    { sql: "hidden = 0", values: [] },
    ...(text ? [search] : []),
    ...equals("status", query.get("status")),
    ...equals("event_type", query.get("type")),
    ...equals("endpoint_id", query.get("endpoint")),
  ]);
  return context.db
    .all<DeliveryRow>(
      `SELECT * FROM delivery ${where.sql} ORDER BY uid DESC LIMIT ?`,
      ...where.values,
      limit,
    )
    .map(inboxDelivery);
}

/** One delivery with its endpoint, each step of the signature check, and each attempt with its answer. */
export function deliveryDetail(context: Context, row: DeliveryRow) {
  const endpoint = context.db.find<EndpointRow>("endpoint", row.endpoint_id);
  const sent = sentOf(row);
  return {
    ...inboxDelivery(row),
    next_send_at: row.status === "Retry" ? new Date(row.next_send_at).toISOString() : null,
    endpoint: endpoint ? pick(endpoint, "uid", "name", "status", "owner_id") : null,
    check: sent ? { advanced: sent.signature.advanced, steps: sent.signature.steps } : null,
    attempt_list: attemptsOf(context, row.uid).map((attempt) => {
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
    .all<EventRow>("SELECT * FROM event WHERE hidden = 0 ORDER BY uid DESC LIMIT ?", limit)
    .map((row) => ({
      ...pick(row, "endpoint_id", "event_type", "idempotency_key", "status", "failure_reason"),
      id: row.uid,
      is_duplicate: row.is_duplicate === 1,
      swallowed: row.swallowed === 1,
      body: row.data,
      accepted_at: row.acknowledged_at,
    }));
}
