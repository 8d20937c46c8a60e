// Rows as Convoy's API shows them, field by field as recorded, including empty ones.
import type { Context } from "./context.ts";
import { shownAuthentication, shownClientCert } from "./credentials.ts";
import { type DeliveryRow, maxRetrySeconds } from "./store/deliveries.ts";
import type { EndpointRow, Secret } from "./store/endpoints.ts";
import type { EventRow } from "./store/events.ts";
import type { SubscriptionRow } from "./store/subscriptions.ts";

/** Go's zero time, which Convoy shows if it has none. */
const NO_TIME = "0001-01-01T00:00:00Z";

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

function authenticationView(row: EndpointRow, fresh: boolean): unknown {
  return fresh && row.authentication === "{}" ? null : shownAuthentication(row.authentication);
}

/** An endpoint. `fresh`: as create and update answer it, where no authentication is null instead of {} (recorded). */
export function endpointView(context: Context, row: EndpointRow, fresh = false) {
  return {
    uid: row.uid,
    project_id: context.options.projectId,
    ...(row.owner_id === "" ? {} : { owner_id: row.owner_id }),
    url: row.url,
    name: row.name,
    secrets: secretsView(row),
    advanced_signatures: row.advanced_signatures === 1,
    description: row.description,
    status: row.status,
    http_timeout: row.http_timeout_s,
    authentication: authenticationView(row, fresh),
    rate_limit: row.rate_limit,
    rate_limit_duration: row.rate_limit_duration_s,
    content_type: "application/json",
    ...NO_STATISTICS,
    ...shownClientCert(row.mtls_client_cert),
    created_at: row.created_at,
    updated_at: row.updated_at,
    deleted_at: row.deleted_at,
  };
}

/** The endpoint inside a subscription or delivery: most of it is empty (recorded). */
function endpointMetadata(context: Context, row: EndpointRow | undefined, withSecrets: boolean) {
  if (!row) return null;
  return {
    uid: row.uid,
    project_id: context.options.projectId,
    ...(row.owner_id === "" ? {} : { owner_id: row.owner_id }),
    url: row.url,
    name: row.name,
    secrets: withSecrets ? secretsView(row) : null,
    advanced_signatures: false,
    description: "",
    status: row.status,
    http_timeout: 0,
    authentication: null,
    rate_limit: 0,
    rate_limit_duration: 0,
    content_type: "",
    ...NO_STATISTICS,
    created_at: NO_TIME,
    updated_at: NO_TIME,
    deleted_at: row.deleted_at,
  };
}

/** A subscription; in the answer to create, it has no endpoint and its filter is not flattened yet (recorded). */
export function subscriptionView(
  context: Context,
  row: SubscriptionRow,
  endpoint: EndpointRow | undefined,
) {
  return {
    uid: row.uid,
    name: row.name,
    type: "api",
    project_id: context.options.projectId,
    function: null,
    source_metadata: null,
    endpoint_metadata: endpointMetadata(context, endpoint, true),
    device_metadata: null,
    filter_config: {
      event_types: JSON.parse(row.event_types) as string[],
      filter: { is_flattened: endpoint !== undefined, headers: {}, body: {}, query: {}, path: {} },
    },
    delivery_mode: "at_least_once",
    created_at: row.created_at,
    updated_at: row.updated_at,
    deleted_at: row.deleted_at,
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
    created_at: NO_TIME,
    updated_at: NO_TIME,
    deleted_at: null,
  };
}

/** An object as JSON text whose member `data` is the raw JSON, byte for byte. */
function withRawData(view: object, data: string): string {
  return JSON.stringify(view).replace('"data":null', () => `"data":${data}`);
}

/** An event as JSON text: `data` is as posted, including numbers beyond JavaScript's range. */
export function eventJson(context: Context, row: EventRow): string {
  const view = {
    uid: row.uid,
    event_type: row.event_type,
    project_id: context.options.projectId,
    endpoints: [row.endpoint_id],
    headers: JSON.parse(row.custom_headers) as object,
    source_metadata: sourceMetadata(null),
    url_query_params: "",
    url_path: "",
    idempotency_key: row.idempotency_key,
    is_duplicate_event: row.is_duplicate === 1,
    status: row.status,
    ...(row.failure_reason === null || context.options.version === "26.6"
      ? {}
      : { failure_reason: row.failure_reason }),
    acknowledged_at: row.acknowledged_at,
    created_at: row.created_at,
    updated_at: row.created_at,
    deleted_at: null,
  };
  // Appended last, so that no other text can be mistaken for its place.
  return `${JSON.stringify(view).slice(0, -1)},"data":${row.data}}`;
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
    uid: row.uid,
    project_id: context.options.projectId,
    event_id: row.event_id,
    endpoint_id: row.endpoint_id,
    device_id: "",
    subscription_id: row.subscription_id,
    headers: JSON.parse(row.headers) as object,
    url_query_params: "",
    idempotency_key: row.idempotency_key,
    latency: "",
    latency_seconds: row.latency_s,
    event_type: row.event_type,
    delivery_mode: "at_least_once",
    endpoint_metadata: endpointMetadata(context, endpoint, false),
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
      created_at: eventCreatedAt,
      updated_at: NO_TIME,
      deleted_at: null,
    },
    source_metadata: sourceMetadata(inList ? [] : null),
    device_metadata: {
      uid: "",
      last_seen_at: NO_TIME,
      created_at: NO_TIME,
      updated_at: NO_TIME,
      deleted_at: null,
    },
    status: row.status,
    cli_metadata: null,
    acknowledged_at: row.acknowledged_at,
    created_at: row.created_at,
    updated_at: row.updated_at,
    deleted_at: null,
  };
  const metadata = withRawData(
    {
      data: null,
      raw: row.data,
      strategy: "linear",
      next_send_time: new Date(row.next_send_at).toISOString(),
      num_trials: row.attempts,
      interval_seconds: Math.ceil(context.options.retry.intervalMs / 1000),
      retry_limit: context.options.retry.limit,
      max_retry_seconds: maxRetrySeconds(row),
    },
    row.data,
  );
  return `${JSON.stringify(view).slice(0, -1)},"metadata":${metadata}}`;
}

/** A page of JSON texts as the `data` of an answer. */
export function pageJson(content: string[], pagination: object): string {
  return `{"content":[${content.join(",")}],"pagination":${JSON.stringify(pagination)}}`;
}
