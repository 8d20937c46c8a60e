// Rows as Convoy's API shows them, field by field as recorded, including empty ones.
import type { Context } from "./context.ts";
import { shownAuthentication, shownClientCert } from "./credentials.ts";
import type { DeliveryRow } from "./store/deliveries.ts";
import type { EndpointRow, Secret } from "./store/endpoints.ts";
import type { EventRow } from "./store/events.ts";
import type { SubscriptionRow } from "./store/subscriptions.ts";

/** What deliveries report as max_retry_seconds once they have been tried (recorded). */
const MAX_RETRY_SECONDS = 7200;
/** Go's zero time, which Convoy shows if it has none. */
const NO_TIME = "0001-01-01T00:00:00Z";
const NO_TIMES = { created_at: NO_TIME, updated_at: NO_TIME, deleted_at: null };

function secretsView(row: EndpointRow) {
  return (JSON.parse(row.secrets) as Secret[]).map(({ signs_until: _, ...shown }) => shown);
}

const NO_STATISTICS = {
  failure_rate: null,
  cb_state: null,
  period_failure_rate: null,
  success_count: null,
  failure_count: null,
  retry_count: null,
};

/** Those columns of a row. */
export const pick = <Row, Name extends keyof Row>(row: Row, ...names: Name[]) =>
  Object.fromEntries(names.map((name) => [name, row[name]])) as Pick<Row, Name>;

/** An endpoint. `fresh`: as create and update answer it, where no authentication is null instead of {} (recorded). */
export function endpointView(context: Context, row: EndpointRow, fresh = false) {
  const isBare = fresh && row.authentication === "{}";
  return {
    ...pick(row, "uid", "url", "name", "description", "status", "rate_limit"),
    ...pick(row, "created_at", "updated_at", "deleted_at"),
    ...(row.owner_id === "" ? {} : { owner_id: row.owner_id }),
    project_id: context.options.projectId,
    secrets: secretsView(row),
    advanced_signatures: row.advanced_signatures === 1,
    http_timeout: row.http_timeout_s,
    authentication: isBare ? null : shownAuthentication(row.authentication),
    rate_limit_duration: row.rate_limit_duration_s,
    content_type: "application/json",
    ...NO_STATISTICS,
    ...shownClientCert(row.mtls_client_cert),
  };
}

const EMPTIED = {
  advanced_signatures: false,
  description: "",
  http_timeout: 0,
  authentication: null,
  rate_limit: 0,
  rate_limit_duration: 0,
  content_type: "",
  created_at: NO_TIME,
  updated_at: NO_TIME,
};

/** The endpoint inside a subscription or delivery: most of it is empty (recorded). */
function endpointMetadata(context: Context, row: EndpointRow | undefined, more: object = {}) {
  if (!row) return null;
  const { mtls_client_cert: _, ...view } = endpointView(context, row);
  return { ...view, ...EMPTIED, ...more };
}

/** A subscription; in the answer to create, it has no endpoint and its filter is not flattened yet (recorded). */
export function subscriptionView(
  context: Context,
  row: SubscriptionRow,
  endpoint: EndpointRow | undefined,
) {
  return {
    ...pick(row, "uid", "name", "created_at", "updated_at", "deleted_at"),
    type: "api",
    project_id: context.options.projectId,
    function: null,
    source_metadata: null,
    endpoint_metadata: endpointMetadata(context, endpoint),
    device_metadata: null,
    filter_config: {
      event_types: JSON.parse(row.event_types) as string[],
      filter: { is_flattened: endpoint !== undefined, headers: {}, body: {}, query: {}, path: {} },
    },
    delivery_mode: "at_least_once",
  };
}

function sourceMetadata(idempotencyKeys: [] | null) {
  return {
    uid: "",
    project_id: "",
    mask_id: "",
    name: "",
    url: "",
    type: "",
    provider: "",
    is_disabled: false,
    verifier: null,
    custom_response: { body: "", content_type: "" },
    provider_config: null,
    forward_headers: null,
    pub_sub: null,
    idempotency_keys: idempotencyKeys,
    event_type_location: "",
    body_function: null,
    header_function: null,
    ...NO_TIMES,
  };
}

/** An object as JSON text with one more member, whose JSON is kept byte for byte: last, so that nothing is mistaken for it. */
function withRaw(view: object, name: string, json: string): string {
  return `${JSON.stringify(view).slice(0, -1)},"${name}":${json}}`;
}

/** An event as JSON text: `data` is as posted, including numbers beyond JavaScript's range. */
export function eventJson(context: Context, row: EventRow): string {
  const hasReason = row.failure_reason !== null && context.options.version !== "26.6";
  const view = {
    ...pick(row, "uid", "event_type", "idempotency_key", "status", "acknowledged_at", "created_at"),
    ...(hasReason ? pick(row, "failure_reason") : {}),
    project_id: context.options.projectId,
    endpoints: [row.endpoint_id],
    headers: JSON.parse(row.custom_headers) as object,
    source_metadata: sourceMetadata(null),
    url_query_params: "",
    url_path: "",
    is_duplicate_event: row.is_duplicate === 1,
    updated_at: row.created_at,
    deleted_at: null,
  };
  return withRaw(view, "data", row.data);
}

/** A delivery as JSON text. `eventCreatedAt`: when its event was processed. Lists differ in empty parts (recorded). */
export function deliveryJson(
  context: Context,
  row: DeliveryRow,
  endpoint: EndpointRow | undefined,
  eventCreatedAt: string,
  inList: boolean,
): string {
  const view = {
    ...pick(row, "uid", "event_id", "endpoint_id", "subscription_id", "idempotency_key"),
    ...pick(row, "event_type", "status", "acknowledged_at", "created_at", "updated_at"),
    project_id: context.options.projectId,
    device_id: "",
    headers: JSON.parse(row.headers) as object,
    url_query_params: "",
    latency: "",
    latency_seconds: row.latency_s,
    delivery_mode: "at_least_once",
    endpoint_metadata: endpointMetadata(context, endpoint, { secrets: null }),
    event_metadata: {
      uid: row.event_id,
      event_type: row.event_type,
      endpoints: null,
      headers: null,
      url_query_params: "",
      url_path: "",
      idempotency_key: "",
      is_duplicate_event: false,
      status: "",
      acknowledged_at: null,
      ...NO_TIMES,
      created_at: eventCreatedAt,
    },
    source_metadata: sourceMetadata(inList ? [] : null),
    device_metadata: { uid: "", last_seen_at: NO_TIME, ...NO_TIMES },
    cli_metadata: null,
    deleted_at: null,
  };
  const metadata = {
    raw: row.data,
    strategy: "linear",
    next_send_time: new Date(row.next_send_at).toISOString(),
    num_trials: row.attempts,
    interval_seconds: Math.ceil(context.options.retry.intervalMs / 1000),
    retry_limit: context.options.retry.limit,
    max_retry_seconds: row.attempts === 0 ? 0 : MAX_RETRY_SECONDS,
  };
  return withRaw(view, "metadata", withRaw(metadata, "data", row.data));
}

/** A page of JSON texts as the `data` of an answer. */
export function pageJson(content: string[], pagination: object): string {
  return `{"content":[${content.join(",")}],"pagination":${JSON.stringify(pagination)}}`;
}
