/** The only file that knows Convoy's HTTP API. Facts from recordings of Convoy v26.6.6. */
import {
  type Bindings,
  CONVOY_VERSION,
  DEFAULT_CONVOY_BASE_URL,
  ENDPOINT_TIMEOUT_MS,
  LOOKUP_TIMEOUT_MS,
  POST_TIMEOUT_MS,
  RETRY_AFTER_MAX_MS,
  SettingError,
} from "./config.ts";
import { withTimeout } from "./wait.ts";

/** Where Convoy is and who we are there. */
export type Convoy = {
  baseUrl: string;
  apiKey: string;
  projectId: string;
  send: (request: Request) => Promise<Response>;
};

/**
 * Convoy as the settings say.
 * @throws SettingError naming what is missing
 */
export function convoyOf(env: Bindings): Convoy {
  const missing = (["CONVOY_API_KEY", "CONVOY_PROJECT_ID"] as const).filter((name) => !env[name]);
  if (missing.length > 0) {
    throw new SettingError(
      `${missing.join(" and ")} not set: put it into .dev.vars, or run \`npx wrangler secret put ${missing[0]}\`.`,
    );
  }
  const baseUrl = (env.CONVOY_BASE_URL || DEFAULT_CONVOY_BASE_URL).replace(/\/+$/, "");
  if (!URL.canParse(baseUrl)) throw new SettingError("CONVOY_BASE_URL is not a URL.");
  const binding = env.CONVOY;
  return {
    baseUrl,
    apiKey: env.CONVOY_API_KEY ?? "",
    projectId: env.CONVOY_PROJECT_ID ?? "",
    send: (request) => (binding ? binding.fetch(request) : fetch(request)),
  };
}

/**
 * Convoy's answer. `status` is null where there was none; `message` is Convoy's own text, which may
 * hold anything: show it only through `shownReason`.
 */
export type Answer<T> =
  | { ok: true; status: number; message: string; data: T }
  | { ok: false; status: number | null; message: string; retryAfterMs: number | null };

type Query = Record<string, string | number | undefined>;
type Call = { method?: string; query?: Query; body?: unknown; timeoutMs?: number };

/** One call of Convoy's API. Never throws: an outage is an answer too. */
async function call<T>(convoy: Convoy, path: string, options: Call = {}): Promise<Answer<T>> {
  const { method = "GET", query = {}, body, timeoutMs = ENDPOINT_TIMEOUT_MS } = options;
  const url = new URL(
    `${convoy.baseUrl}/v1/projects/${encodeURIComponent(convoy.projectId)}${path}`,
  );
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  try {
    return await withTimeout(timeoutMs, async (signal) => {
      const response = await convoy.send(
        new Request(url, {
          method,
          signal,
          // A redirect would carry the key elsewhere.
          redirect: "manual",
          headers: {
            Authorization: `Bearer ${convoy.apiKey}`,
            "Content-Type": "application/json",
            "X-Convoy-Version": CONVOY_VERSION,
          },
          // Minified: Convoy signs compacted JSON but delivers the bytes as posted (recorded).
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        }),
      );
      return toAnswer<T>(response, await response.text());
    });
  } catch (error) {
    const message = error instanceof Error ? error.name : "Error";
    return { ok: false, status: null, message, retryAfterMs: null };
  }
}

function toAnswer<T>(response: Response, text: string): Answer<T> {
  const envelope = parseEnvelope(text);
  const message = envelope?.message ?? "";
  // Only Convoy's own envelope counts: a proxy's 200 page is no acceptance.
  if (response.ok && envelope?.status === true) {
    return { ok: true, status: response.status, message, data: envelope.data as T };
  }
  return {
    ok: false,
    status: response.status,
    message,
    retryAfterMs: retryAfter(response.headers.get("Retry-After")),
  };
}

function parseEnvelope(text: string) {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return null;
    const { status, message, data } = value as Record<string, unknown>;
    return { status, message: typeof message === "string" ? message : "", data };
  } catch {
    return null;
  }
}

function retryAfter(header: string | null): number | null {
  if (!header) return null;
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) && ms > 0 ? Math.min(ms, RETRY_AFTER_MAX_MS) : null;
}

// What Convoy says of an endpoint that its caller can mend (recorded, and Convoy's validation in its source).
const MENDABLE_REASONS = [
  /^endpoint url must [a-z ]+$/,
  /^Invalid (request format|input provided)$/,
  /^(url|name):please provide [a-zA-Z ]+(, (url|name):please provide [a-zA-Z ]+)?$/,
  /^please provide the endpoint url$/,
  /^only https endpoints allowed$/,
  /^invalid endpoint scheme$/,
  /^cannot use localhost or 127\.0\.0\.1$/,
  /^endpoint URL templates? [a-z ]+$/,
];

// Other words of Convoy that hold no secret; whatever is not listed may name hosts or users.
const KNOWN_REASONS = [
  ...MENDABLE_REASONS,
  /^endpoint not found$/,
  /^a subscription for this endpoint already exists$/,
  /^(data|event_type|owner_id):please provide [a-z ]+$/,
  /^current endpoint status - [a-z]+, does not support activation$/,
  /^no subscription matched this event$/,
  /^authorization failed$/,
  /^Access denied$/,
];

/**
 * Why the caller's endpoint was refused, where the caller can mend it; else null. A failed ping of the
 * URL is told in our words, since Convoy's name what it met there.
 */
export function mendableReason(answer: Answer<unknown>): string | null {
  if (answer.ok || answer.status !== 400) return null;
  if (/^(failed to ping tls endpoint|endpoint validation failed)\b/.test(answer.message)) {
    return "Convoy could not reach the URL: it must answer over https with a valid certificate";
  }
  return MENDABLE_REASONS.some((reason) => reason.test(answer.message)) ? answer.message : null;
}

/** A failure in words that are safe to store and show: Convoy's own only where known to hold no secret. */
export function shownReason(answer: Extract<Answer<unknown>, { ok: false }>): string {
  if (answer.status === null) {
    return answer.message === "TimeoutError"
      ? "Convoy did not answer in time"
      : "Convoy not reachable";
  }
  const known = KNOWN_REASONS.some((reason) => reason.test(answer.message));
  return `Convoy answered ${answer.status}${known ? `: ${answer.message}` : ""}`;
}

/** An event as Convoy takes it: for one endpoint, or for all of an owner. */
export type ConvoyEvent = {
  key: string;
  type: string;
  target: { endpointId: string } | { ownerId: string };
  data: object;
};

/** Hands an event to Convoy: 201 for a repeated key too (recorded). */
export function postEvent(convoy: Convoy, event: ConvoyEvent): Promise<Answer<null>> {
  const single = "endpointId" in event.target;
  return call(convoy, single ? "/events" : "/events/fanout", {
    method: "POST",
    timeoutMs: POST_TIMEOUT_MS,
    body: {
      ...("endpointId" in event.target
        ? { endpoint_id: event.target.endpointId }
        : { owner_id: event.target.ownerId }),
      event_type: event.type,
      idempotency_key: event.key,
      data: event.data,
    },
  });
}

/** An endpoint as Convoy gives it; `secrets` only for the moment of creation or rotation. */
export type ConvoyEndpoint = {
  uid: string;
  project_id: string;
  owner_id?: string;
  name: string;
  url: string;
  description: string;
  http_timeout: number;
  status: string;
  secrets?: { value: string; expires_at: string | null }[] | null;
  created_at: string;
};

/** What Convoy needs each time it is told about an endpoint. */
export type ConvoyEndpointFields = {
  name: string;
  url: string;
  description: string;
  http_timeout: number;
  owner_id: string;
  secret?: string;
};

/** Creates an endpoint: 201; signs the advanced way (recorded). Nothing is delivered without a subscription. */
export function createEndpoint(convoy: Convoy, fields: ConvoyEndpointFields) {
  return call<ConvoyEndpoint>(convoy, "/endpoints", { method: "POST", body: fields });
}

/** Reads an endpoint: 404 "Resource not found" where there is none (recorded). */
export function getEndpoint(convoy: Convoy, id: string) {
  return call<ConvoyEndpoint>(convoy, `/endpoints/${encodeURIComponent(id)}`);
}

/** Changes an endpoint: 202; wants name and url each time (recorded). */
export function putEndpoint(convoy: Convoy, id: string, fields: ConvoyEndpointFields) {
  return call<ConvoyEndpoint>(convoy, `/endpoints/${encodeURIComponent(id)}`, {
    method: "PUT",
    body: fields,
  });
}

/** Deletes an endpoint and its subscription. 400 "endpoint not found" means that it is gone already (recorded). */
export async function deleteEndpoint(convoy: Convoy, id: string): Promise<Answer<unknown>> {
  const answer = await call<unknown>(convoy, `/endpoints/${encodeURIComponent(id)}`, {
    method: "DELETE",
  });
  return isEndpointMissing(answer) ? { ok: true, status: 200, message: "", data: null } : answer;
}

/** Whether Convoy says that the endpoint does not exist: 400 "endpoint not found", or 404. */
export function isEndpointMissing(answer: Answer<unknown>): boolean {
  if (answer.ok) return false;
  return (
    (answer.status === 400 && answer.message === "endpoint not found") ||
    (answer.status === 404 && answer.message === "Resource not found")
  );
}

/** One page of a list, newest first; `next` is the cursor of the next page, null on the last. */
export type Page<T> = { items: T[]; next: string | null };

type Paged<T> = {
  content: T[] | null;
  pagination: { has_next_page: boolean; next_page_cursor: string };
};

async function list<T>(convoy: Convoy, path: string, options: Call): Promise<Answer<Page<T>>> {
  const answer = await call<Paged<T>>(convoy, path, options);
  if (!answer.ok) return answer;
  const { content, pagination } = answer.data ?? { content: [], pagination: undefined };
  const next = pagination?.has_next_page ? pagination.next_page_cursor : null;
  return { ...answer, data: { items: content ?? [], next } };
}

/** A page's place: the next page begins with the item that the cursor names (recorded). */
export type PageOptions = { perPage: number; cursor?: string | undefined; timeoutMs?: number };

function paging({ perPage, cursor }: PageOptions): Query {
  return { perPage, ...(cursor ? { direction: "next", next_page_cursor: cursor } : {}) };
}

/** Endpoints of the project, or of one owner. */
export function listEndpoints(
  convoy: Convoy,
  page: PageOptions & { ownerId?: string | undefined },
) {
  return list<ConvoyEndpoint>(convoy, "/endpoints", {
    query: { ...paging(page), ownerId: page.ownerId },
  });
}

/** A subscription: without one an endpoint gets nothing. */
export type ConvoySubscription = { uid: string; endpoint_metadata?: { uid: string } | null };

/** Subscribes an endpoint to all event types; 400 "already exists" where it is (one each, recorded). */
export function createSubscription(convoy: Convoy, endpointId: string, name: string) {
  return call<ConvoySubscription>(convoy, "/subscriptions", {
    method: "POST",
    body: { name, endpoint_id: endpointId, filter_config: { event_types: ["*"] } },
  });
}

/** Whether a subscription was refused because the endpoint has one: as good as success. */
export function isAlreadySubscribed(answer: Answer<unknown>): boolean {
  return !answer.ok && answer.message === "a subscription for this endpoint already exists";
}

/** The subscriptions of one endpoint. */
export function listSubscriptions(convoy: Convoy, endpointId: string) {
  return list<ConvoySubscription>(convoy, "/subscriptions", {
    query: { endpointId, perPage: 20 },
  });
}

/** Pauses an active endpoint, or activates a paused one: Convoy's call is a toggle (recorded). Read the status first. */
export function togglePause(convoy: Convoy, id: string) {
  return call<ConvoyEndpoint>(convoy, `/endpoints/${encodeURIComponent(id)}/pause`, {
    method: "PUT",
  });
}

/** Activates an endpoint that Convoy made inactive; 400 for any other status (recorded). */
export function activateInactive(convoy: Convoy, id: string) {
  return call<ConvoyEndpoint>(convoy, `/endpoints/${encodeURIComponent(id)}/activate`, {
    method: "POST",
  });
}

/** Gives the endpoint a new secret; both sign for `overlapHours` (recorded). */
export function rotateSecret(
  convoy: Convoy,
  id: string,
  options: { secret: string; overlapHours: number },
) {
  return call<ConvoyEndpoint>(convoy, `/endpoints/${encodeURIComponent(id)}/expire_secret`, {
    method: "PUT",
    body: { secret: options.secret, expiration: options.overlapHours },
  });
}

/** Sends again what was discarded while the endpoint was paused. One batch a project at a time, else 400. */
export function retryDiscarded(convoy: Convoy, endpointId: string, fromMs: number, toMs: number) {
  return call<null>(convoy, "/eventdeliveries/batchretry", {
    method: "POST",
    query: {
      endpointId,
      status: "Discarded",
      startDate: convoyTime(fromMs),
      endDate: convoyTime(toMs),
    },
  });
}

/** UTC without a zone, in whole seconds: the one format Convoy's filters take (recorded). */
export function convoyTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19);
}

/** An event as Convoy lists it. */
export type ConvoyEventRecord = {
  uid: string;
  idempotency_key: string;
  is_duplicate_event: boolean;
  status: string;
  failure_reason?: string;
  created_at: string;
};

/** Events that Convoy processed between two times. */
export function listEvents(convoy: Convoy, page: PageOptions & { fromMs: number; toMs: number }) {
  return list<ConvoyEventRecord>(convoy, "/events", {
    query: {
      ...paging(page),
      startDate: convoyTime(page.fromMs),
      // Whole seconds: round up, or the last second is cut off.
      endDate: convoyTime(page.toMs + 999),
    },
  });
}

/** Events of one idempotency key: the one that counts, and duplicates. */
export function listEventsOfKey(convoy: Convoy, key: string) {
  return list<ConvoyEventRecord>(convoy, "/events", {
    query: { idempotencyKey: key, perPage: 20 },
  });
}

/** A delivery as Convoy lists it. */
export type ConvoyDelivery = {
  uid: string;
  event_id: string;
  endpoint_id: string;
  idempotency_key: string;
  event_type: string;
  status: string;
  latency_seconds: number;
  metadata: { num_trials: number; retry_limit: number; next_send_time: string } | null;
  created_at: string;
  updated_at: string;
};

/** Deliveries of one idempotency key or of one endpoint. */
export function listDeliveries(
  convoy: Convoy,
  page: PageOptions & { key?: string; endpointId?: string },
) {
  return list<ConvoyDelivery>(convoy, "/eventdeliveries", {
    query: { ...paging(page), idempotencyKey: page.key, endpointId: page.endpointId },
    timeoutMs: page.timeoutMs ?? LOOKUP_TIMEOUT_MS,
  });
}

/** An attempt of a delivery as Convoy lists it. */
export type ConvoyAttempt = {
  uid: string;
  http_status: string;
  response_data: string;
  error?: string;
  status?: boolean;
  requested_at: string;
  responded_at: string;
};

/** One delivery; 404 where there is none. */
export function getDelivery(convoy: Convoy, id: string) {
  return call<ConvoyDelivery>(convoy, `/eventdeliveries/${encodeURIComponent(id)}`, {
    timeoutMs: LOOKUP_TIMEOUT_MS,
  });
}

/** The attempts of one delivery. */
export function listAttempts(convoy: Convoy, deliveryId: string) {
  return call<ConvoyAttempt[] | null>(
    convoy,
    `/eventdeliveries/${encodeURIComponent(deliveryId)}/deliveryattempts`,
    { timeoutMs: LOOKUP_TIMEOUT_MS },
  );
}

/** A link into Convoy's portal; its success was never recorded, its schema is openapi3.json's PortalLinkResponse. */
export type PortalLink = { uid: string; url: string; owner_id: string; token?: string };

/** Makes a portal link for one owner; an unlicensed Convoy answers 401 "Access denied" (recorded). */
export function createPortalLink(convoy: Convoy, ownerId: string, name: string) {
  return call<PortalLink>(convoy, "/portal-links", {
    method: "POST",
    body: { name, owner_id: ownerId, auth_type: "static_token", can_manage_endpoint: true },
  });
}

/** Whether Convoy has no licence for what was asked: 401 "Access denied" though the key is good (recorded). */
export function isUnlicensed(answer: Answer<unknown>): boolean {
  return !answer.ok && answer.status === 401 && answer.message === "Access denied";
}

/** Whether Convoy answers with our key: its health, which needs one. */
export function health(convoy: Convoy) {
  return call<null>(convoy, "/health", { timeoutMs: LOOKUP_TIMEOUT_MS });
}
