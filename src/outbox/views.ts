/** Rows of the log as the API returns them. */
import type { Delivery, DeliveryProgress, LoggedEvent } from "./answers.ts";
import type { Progress } from "./gateway.ts";
import type { Learned } from "./learn.ts";
import type { DeliveryOfEvent, EventWithCounts } from "./lists.ts";
import type { Registry } from "./resource.ts";
import { DELIVERY_STATUSES, type DeliveryRow, type DeliveryStatus } from "./rows.ts";
import type { Place } from "./schema.ts";
import { iso, isoOrNull } from "./time-range.ts";

// What is shown of one that is being sent, as the gateway says. Discarded is the walk's to judge.
const SHOWN: Record<Progress, DeliveryStatus> = {
  success: "delivered",
  failure: "failed",
  discarded: "sending",
  unfinished: "sending",
};

/** The part of a delivery that changes; `now`: what the gateway says about its present key. */
export function toProgress(row: DeliveryRow, now: Learned | undefined): DeliveryProgress {
  const { status, attempts, resends, last_http_status, error, due_at, finished_at } = row;
  const times = { next_try_at: null, finished_at: isoOrNull(finished_at) };
  const noted = { status, attempts, resends, last_http_status, error, ...times };
  if (status === "pending") return { ...noted, next_try_at: isoOrNull(due_at) };
  if (status !== "sending" || now === undefined) return noted;
  const shown = SHOWN[now.progress];
  return {
    ...{ ...noted, status: shown, attempts: now.attempts },
    last_http_status: now.lastHttpStatus ?? last_http_status,
    error: shown === "delivered" ? null : (now.answered ?? error),
    next_try_at: now.progress === "unfinished" ? isoOrNull(now.nextTryAt) : null,
    finished_at: shown === "sending" ? null : iso(now.updatedAt),
  };
}

/** A delivery; `now`: what the gateway says about its present key. */
export function toDelivery(
  resources: Registry,
  row: DeliveryOfEvent,
  now: Learned | undefined,
): Delivery {
  return {
    id: `${row.id}.${row.endpoint_id}`,
    event_id: row.id,
    sequence: row.event_seq,
    event_type: row.type,
    endpoint_id: row.endpoint_id,
    resource: row.resource,
    resource_id: row.resource_id,
    title: titleOf(resources, row),
    created_at: iso(row.occurred_at),
    ...toProgress(row, now),
  };
}

/** A delivery or an event as operators see all owners': whose it is, without contents. */
export function withoutContents<Shown extends { title: unknown; data?: unknown }>(
  owner: string,
  { title, data, ...rest }: Shown,
): Omit<Shown, "title" | "data"> & { owner: string } {
  return { owner, ...rest };
}

/** An event with the sum of its deliveries. */
export function toEvent(resources: Registry, row: EventWithCounts): LoggedEvent {
  const counts = JSON.parse(row.deliveries) as LoggedEvent["deliveries"];
  return {
    id: row.id,
    sequence: row.seq,
    type: row.type,
    change: row.change,
    resource: row.resource,
    resource_id: row.resource_id,
    title: titleOf(resources, row),
    data: row.data === null ? null : (JSON.parse(row.data) as Record<string, unknown>),
    ...(row.test === 1 ? { test: true as const } : {}),
    status: DELIVERY_STATUSES.find((status) => (counts[status] ?? 0) > 0) ?? "none",
    deliveries: counts,
    occurred_at: iso(row.occurred_at),
  };
}

/** One line by which people recognise what an event is about; null for a ping. */
function titleOf(
  resources: Registry,
  {
    resource: name,
    resource_id: id,
    data,
  }: Pick<EventWithCounts, "resource" | "resource_id" | "data">,
): string | null {
  if (name === null) return null;
  const resource = resources.get(name);
  const plain = `${resource?.label ?? name} ${id}`;
  if (!resource || data === null) return plain;
  // What an older version of the code wrote may lack what the title needs.
  const value = resource.schema.safeParse(JSON.parse(data));
  return value.success ? resource.title(value.data) : plain;
}

/** The cursor of a page that has a next one. */
export function cursorOf(next: Place | null): { cursor?: string } {
  if (next === null) return {};
  return { cursor: next.endpointId ? `${next.seq}.${next.endpointId}` : String(next.seq) };
}
