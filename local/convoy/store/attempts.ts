// Attempts: what was sent and what came back, each as the API shows it.
import { STATUS_CODES } from "node:http";
import { CONVOY_VERSION } from "../../config.ts";
import type { Answer, Sent } from "../attempt.ts";
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
  context.db.transaction(() => {
    context.db.run(
      "INSERT INTO attempt (uid, delivery_id, view, sent, error) VALUES (?, ?, ?, ?, ?)",
      uid,
      row.uid,
      JSON.stringify(view),
      JSON.stringify(sent),
      answer.error,
    );
    context.db.run(
      `UPDATE delivery SET status = ?, attempts = ?, successes = successes + ?, next_send_at = ?, latency_s = ?, url = ?,
         sent = ?, received_at = coalesce(received_at, ?), last_error = ?, updated_at = ? WHERE uid = ?`,
      status,
      attempts,
      Number(ok),
      ok ? row.next_send_at : now + context.options.retry.intervalMs,
      ok ? (now - Date.parse(row.created_at)) / 1000 : 0,
      endpoint.url,
      JSON.stringify(sent),
      answer.requested_at,
      ok ? null : (answer.error ?? httpStatus),
      at,
      row.uid,
    );
  });
  return status;
}

/** Notes, for the inbox only, that it was sent: Convoy's own row stays as it was. */
export function recordArrival(context: Context, uid: string, sent: Sent, answer: Answer): void {
  context.db.run(
    "UPDATE delivery SET url = ?, sent = ?, received_at = coalesce(received_at, ?) WHERE uid = ?",
    sent.url,
    JSON.stringify(sent),
    answer.requested_at,
    uid,
  );
}
