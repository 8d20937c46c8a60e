// Attempts: what was sent and what came back, each as the API shows it.
import { STATUS_CODES } from "node:http";
import { type Answer, CONVOY_VERSION, type Sent } from "../attempt.ts";
import type { Context } from "../context.ts";
import type { DeliveryRow, DeliveryStatus } from "./deliveries.ts";
import type { EndpointRow } from "./endpoints.ts";

/** Records an attempt and its consequences; returns the delivery's new status. */
export function recordAttempt(
  context: Context,
  row: DeliveryRow,
  endpoint: EndpointRow,
  sent: Sent,
  answer: Answer,
): DeliveryStatus {
  const ok = answer.status >= 200 && answer.status < 300;
  const attempts = row.attempts + 1;
  const status = ok ? "Success" : attempts >= context.options.retry.limit ? "Failure" : "Retry";
  const now = context.options.now();
  const at = context.timestamp();
  const uid = context.id();
  const reason = STATUS_CODES[answer.status] ?? "";
  const httpStatus =
    answer.status === 0 ? "" : `${answer.status} ${answer.statusText || reason}`.trim();
  const view = {
    uid,
    url: endpoint.url,
    method: "POST",
    endpoint_id: endpoint.uid,
    api_version: CONVOY_VERSION,
    project_id: context.options.projectId,
    msg_id: row.uid,
    ip_address: answer.status === 0 || sent.kept ? "" : "127.0.0.1",
    request_http_header: Object.fromEntries(
      Object.entries(sent.headers).sort(([one], [other]) => (one < other ? -1 : 1)),
    ),
    response_http_header: answer.headers,
    // Go omits empty fields: an attempt without an answer has none of these (seen).
    ...(httpStatus === "" ? {} : { http_status: httpStatus }),
    ...(answer.body === "" ? {} : { response_data: answer.body }),
    ...(answer.error === null ? {} : { error: answer.error }),
    ...(ok ? { status: true } : {}),
    requested_at: answer.requested_at,
    responded_at: answer.responded_at,
    created_at: at,
    updated_at: at,
    deleted_at: null,
  };
  const retryAt = now + context.options.retry.intervalMs;
  const latencyS = (now - Date.parse(row.created_at)) / 1000;
  const text = JSON.stringify(sent);
  context.db.transaction(() => {
    context.db.insert("attempt", {
      uid,
      delivery_id: row.uid,
      view: JSON.stringify(view),
      sent: text,
    });
    context.db.update("delivery", row.uid, {
      status,
      attempts,
      successes: row.successes + Number(ok),
      ...(ok ? { latency_s: latencyS } : { latency_s: 0, next_send_at: retryAt }),
      url: endpoint.url,
      sent: text,
      received_at: row.received_at ?? answer.requested_at,
      last_error: ok ? null : (answer.error ?? httpStatus),
      updated_at: at,
    });
  });
  return status;
}

/** Notes, for the inbox only, that it was sent: Convoy's own row stays as it was. */
export function recordArrival(context: Context, row: DeliveryRow, sent: Sent, answer: Answer) {
  context.db.update("delivery", row.uid, {
    url: sent.url,
    sent: JSON.stringify(sent),
    received_at: row.received_at ?? answer.requested_at,
  });
}

/** The attempts of a delivery, oldest first; `view` and `sent` are JSON. */
export function attemptsOf(context: Context, deliveryId: string) {
  return context.db.all<{ uid: string; view: string; sent: string }>(
    "SELECT uid, view, sent FROM attempt WHERE delivery_id = ? ORDER BY uid",
    deliveryId,
  );
}
