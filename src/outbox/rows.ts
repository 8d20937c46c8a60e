/** The rows of the log in D1: events, and their deliveries. Times in ms. */

/** SQLite's false and true. */
export type SqlBoolean = 0 | 1;

/** The three ways to change a resource. */
export type Change = "create" | "update" | "delete";

/** How far a delivery has come (docs/design.md has the meaning of each). */
export const DELIVERY_STATUSES = [
  "failed",
  "dead",
  "held",
  "pending",
  "sending",
  "delivered",
] as const;
/** How far a delivery has come. */
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

/** Whether a delivery with this status did not arrive, and will not by itself. */
export function isLost(status: DeliveryStatus | undefined): status is "failed" | "dead" {
  return status === "failed" || status === "dead";
}

/** SQL: a delivery has this status, by the index delivery_failed, which SQLite takes only if both are said. */
export function lostSql(status: "failed" | "dead"): string {
  return `status IN ('failed', 'dead') AND status = '${status}'`;
}

/** A row of the table `event`. */
export type EventRow = {
  /** Order of commit; the version of the resource. */
  seq: number;
  /** UUIDv7: `event_id` of the webhook. */
  id: string;
  owner: string;
  type: string;
  occurred_at: number;
  /** Null for a ping. */
  resource: string | null;
  resource_id: string | null;
  /** Null: it changes nothing. */
  change: Change | null;
  /** JSON after the change; null after a delete. Of a test event: the example. */
  data: string | null;
  test: SqlBoolean;
  /** Null: nothing to project. 0: KV may lack it. 1: KV has this change or a later one. */
  projected: SqlBoolean | null;
  /** While KV may lack it: the lease of whoever projects it, or the time of the next try. */
  due_at: number | null;
};

/** A row of the table `delivery`: an event for one endpoint. */
export type DeliveryRow = {
  event_seq: number;
  endpoint_id: string;
  owner: string;
  type: string;
  status: DeliveryStatus;
  /** The n of its present key. */
  key_version: number;
  /** The first key since the user's last resend. */
  since_version: number;
  resends: number;
  /** Posts that failed under the present key; those that were its own fault; when the last of them began. */
  failures: number;
  own_failures: number;
  failed_at: number | null;
  /** How often it was looked for since the gateway took its present key. */
  looks: number;
  /** How many of its keys the gateway took and never finished, and how many it discarded. */
  stuck: number;
  discards: number;
  /** The gateway's tries, and the receiver's last answer, as far as known. */
  attempts: number;
  last_http_status: number | null;
  error: string | null;
  /** When the gateway is known to have taken the present key. */
  accepted_at: number | null;
  finished_at: number | null;
  /** pending: the lease of whoever posts it, or the time of the next try. sending: when to look for it. */
  due_at: number | null;
};

/** What the log keeps in the one row of the table `cron_state`: where the cron is. */
export type CronRow = {
  walk_since: number | null;
  walk_until: number | null;
  walk_cursor: string | null;
  walk_endpoints: string | null;
  walk_failures: number;
  post_turn: string;
  look_up_turn: string;
  project_turn: string;
  breaker: "closed" | "open";
  breaker_until: number;
  scrub_after: string;
  purge_after: number;
  last_report: string | null;
};

/** What a delivery needs of its event to be posted. */
export type EventContent = Pick<
  EventRow,
  "seq" | "id" | "type" | "occurred_at" | "resource" | "resource_id" | "data" | "test"
>;

/** The key of a delivery at the gateway: `event_id.endpoint_id`, then `.1`, `.2` … */
export function keyOf(eventId: string, endpointId: string, version: number): string {
  return `${eventId}.${endpointId}${version > 0 ? `.${version}` : ""}`;
}

/** The key that a delivery has now; `id`: its event's. */
export function presentKey(
  one: Pick<DeliveryRow, "endpoint_id" | "key_version"> & { id: string },
): string {
  return keyOf(one.id, one.endpoint_id, one.key_version);
}

/** What `keyOf` was given; null for a key that is not ours. */
export function parseKey(
  key: string,
): { eventId: string; endpointId: string; version: number } | null {
  const [, eventId, endpointId, version] =
    /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([^.]{1,255})(?:\.([1-9]\d{0,8}))?$/.exec(
      key,
    ) ?? [];
  if (eventId === undefined || endpointId === undefined) return null;
  return { eventId, endpointId, version: Number(version ?? 0) };
}
