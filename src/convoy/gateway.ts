/** Convoy as the log's gateway (src/outbox/gateway.ts). Facts are of recordings (docs/convoy.md). */
import type {
  Attempt,
  Attempts,
  Found,
  Gateway,
  GatewayDelivery,
  Listed,
  Post,
  Posted,
  Progress,
  Window,
} from "../outbox/gateway.ts";
import type { Bindings } from "../settings.ts";
import { type Convoy, convoyOf, type Failure, shownReason, textOr, wholeNumber } from "./client.ts";
import {
  type ConvoyAttempt,
  type ConvoyDelivery,
  listAttempts,
  listDeliveries,
} from "./deliveries.ts";
import { isEndpointMissing } from "./endpoints.ts";
import { findEventOfKey, isEventUnknown, postEvent } from "./events.ts";

/** Convoy as a gateway, as configured. @throws SettingError */
export function connect(env: Bindings): Gateway {
  const convoy = convoyOf(env);
  return {
    post: (delivery) => post(convoy, delivery),
    list: (window) => list(convoy, window),
    find: (key, endpointId) => find(convoy, key, endpointId),
    attempts: (id) => attempts(convoy, id),
  };
}

async function post(convoy: Convoy, { key, endpointId, type, body }: Post): Promise<Posted> {
  const answer = await postEvent(convoy, { key, endpointId, type, data: body });
  if (answer.ok) return { kind: "accepted" };
  const error = shownReason(answer);
  if (answer.notSent) return { kind: "not sent", error };
  if (answer.status === 413) return { kind: "too large", error };
  if (isEndpointMissing(answer)) return { kind: "unknown endpoint", error };
  const { retryAfterMs } = answer;
  return { kind: "failed", error, throttled: answer.status === 429, retryAfterMs };
}

async function list(convoy: Convoy, window: Window): Promise<Listed> {
  const answer = await listDeliveries(convoy, window);
  if (!answer.ok)
    return { kind: isUnreadable(answer) ? "unreadable" : "silent", error: shownReason(answer) };
  const { items, next } = answer.data;
  // Another project's list: the API key is wrong, and what the list says about our keys means nothing.
  if (items.some((item) => item.project_id !== convoy.projectId)) {
    return { kind: "silent", error: "Convoy lists another project: wrong CONVOY_API_KEY?" };
  }
  return { kind: "page", deliveries: items.flatMap(toDelivery), next };
}

/**
 * Whether it answered, but not with a page, or took too long over it: for that one page, or because it cannot answer at
 * all.
 */
function isUnreadable({ status, message }: Failure): boolean {
  if (status === null) return message === "TimeoutError";
  return status !== 401 && status !== 403 && status !== 429;
}

async function find(convoy: Convoy, key: string, endpointId: string): Promise<Found> {
  const answer = await listDeliveries(convoy, { key, limit: FOUND_MAX });
  if (!answer.ok) {
    return isEventUnknown(answer)
      ? { kind: "none" }
      : { kind: "silent", error: shownReason(answer) };
  }
  const { items } = answer.data;
  if (items.some((item) => item.project_id !== convoy.projectId)) {
    return { kind: "silent", error: "Convoy shows another project: wrong CONVOY_API_KEY?" };
  }
  const own = items
    .flatMap(toDelivery)
    .filter((one) => one.key === key && one.endpointId === endpointId);
  // Of several subscriptions, one that delivered is enough (v26.6 may make more than one).
  const [best] = own.sort((a, b) => RANK[a.progress] - RANK[b.progress]);
  if (best) return { kind: "delivery", delivery: best };
  // It showed something else: that is no answer to what was asked.
  if (items.length > 0) return { kind: "silent", error: "Convoy shows another key" };
  return findEvent(convoy, key);
}

/** Its event is there, but no delivery: not yet, or never. */
async function findEvent(convoy: Convoy, key: string): Promise<Found> {
  const answer = await findEventOfKey(convoy, key);
  if (!answer.ok) return { kind: "silent", error: shownReason(answer) };
  const found = answer.data;
  if (!found) return { kind: "none" };
  if (found.project_id !== convoy.projectId || found.idempotency_key !== key) {
    return { kind: "silent", error: "Convoy shows another event" };
  }
  return { kind: found.status === "Failure" ? "unsubscribed" : "queued" };
}

const FOUND_MAX = 20;
const RANK: Record<Progress, number> = { success: 0, unfinished: 1, failure: 2, discarded: 3 };
const PROGRESS = new Map<unknown, Progress>([
  ["Success", "success"],
  ["Failure", "failure"],
  ["Discarded", "discarded"],
  ["Scheduled", "unfinished"],
  ["Processing", "unfinished"],
  ["Retry", "unfinished"],
]);

/** The delivery in the log's terms; none if it lacks what one has. */
function toDelivery(item: ConvoyDelivery): GatewayDelivery[] {
  const progress = PROGRESS.get(item.status);
  const createdAt = Date.parse(item.created_at);
  const updatedAt = Date.parse(item.updated_at);
  const isWhole =
    typeof item.uid === "string" &&
    typeof item.idempotency_key === "string" &&
    typeof item.endpoint_id === "string";
  if (!isWhole || progress === undefined || Number.isNaN(createdAt + updatedAt)) return [];
  const next =
    item.status === "Retry" ? Date.parse(item.metadata?.next_send_time ?? "") : Number.NaN;
  const { status, deleted_at } = item.endpoint_metadata ?? {};
  return [
    {
      id: item.uid,
      key: item.idempotency_key,
      endpointId: item.endpoint_id,
      progress,
      attempts: wholeNumber(item.metadata?.num_trials),
      nextTryAt: Number.isNaN(next) ? null : next,
      createdAt,
      updatedAt,
      endpointActive: status ? status !== "paused" && status !== "inactive" && !deleted_at : null,
    },
  ];
}

async function attempts(convoy: Convoy, id: string): Promise<Attempts> {
  const answer = await listAttempts(convoy, id);
  if (!answer.ok) return { kind: "silent", error: shownReason(answer) };
  const made = answer.data.flatMap(toAttempt);
  return { kind: "attempts", attempts: made.sort((a, b) => a.at.localeCompare(b.at)) };
}

// Of what a receiver answered, this much is shown.
const RESPONSE_MAX_CHARS = 10_000;
// Headers whose values are no secret; of all others the names are shown.
const SHOWN_HEADERS = /^(content-type|user-agent|x-convoy-.*)$/i;

/** The try in the log's terms; none if it does not say when it was. */
function toAttempt(one: ConvoyAttempt): Attempt[] {
  const at = textOr(one.requested_at);
  if (Number.isNaN(Date.parse(at))) return [];
  const took = Date.parse(textOr(one.responded_at)) - Date.parse(at);
  const status = Number.parseInt(String(one.http_status), 10);
  return [
    {
      at,
      took_ms: Number.isNaN(took) ? null : took,
      http_status: Number.isNaN(status) ? null : status,
      response: textOr(one.response_data).slice(0, RESPONSE_MAX_CHARS) || null,
      error: textOr(one.error) || null,
      request_headers: headersOf(one.request_http_header, (name) => SHOWN_HEADERS.test(name)),
      response_headers: headersOf(one.response_http_header, () => true),
    },
  ];
}

function headersOf(headers: unknown, isShown: (name: string) => boolean): Record<string, string> {
  if (typeof headers !== "object" || headers === null) return {};
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      isShown(name) ? [value].flat().join(", ") : "[hidden]",
    ]),
  );
}
