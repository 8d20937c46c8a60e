/** Endpoints and subscriptions at Convoy. */
import {
  type Answer,
  type Convoy,
  call,
  type Failure,
  getProject,
  list,
  type PageOptions,
  paging,
} from "./client.ts";

/**
 * Fields that Convoy's PUT takes as its GET returns them, and clears if they are not sent (facts;
 * openapi3.json, UpdateEndpoint).
 */
type Kept = {
  advanced_signatures?: boolean | undefined;
  authentication?: { type?: string } | null | undefined;
  content_type?: string | undefined;
  mtls_client_cert?: object | null | undefined;
  rate_limit?: number | undefined;
  rate_limit_duration?: number | undefined;
  slack_webhook_url?: string | undefined;
  support_email?: string | undefined;
  teams_webhook_url?: string | undefined;
};

/** An endpoint as Convoy returns it; `secrets` only on creation or rotation. */
export type ConvoyEndpoint = Kept & {
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

/** The fields sent to create an endpoint. */
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

/**
 * Whether the key is known to belong to our project: with another project's key, what a list lacks may
 * still exist. Convoy answers with the key's project, whatever id is asked for (facts).
 */
export async function isOwnProject(convoy: Convoy): Promise<boolean> {
  const answer = await getProject(convoy);
  return answer.ok && answer.data.uid === convoy.projectId;
}

/** Reads an endpoint: 404 "Resource not found" if there is none (recorded). */
export function getEndpoint(convoy: Convoy, id: string) {
  return call<ConvoyEndpoint>(convoy, `/endpoints/${encodeURIComponent(id)}`);
}

/** Changes an endpoint that was just read: 202. Convoy's PUT replaces everything, so the rest is sent back. */
export function putEndpoint(
  convoy: Convoy,
  current: ConvoyEndpoint,
  change: Partial<Omit<ConvoyEndpointFields, "secret">>,
) {
  const { authentication } = current;
  const body = {
    name: current.name,
    url: current.url,
    description: current.description,
    http_timeout: current.http_timeout,
    owner_id: current.owner_id,
    advanced_signatures: current.advanced_signatures,
    // No authentication reads as {}, which cannot be sent back.
    authentication: authentication?.type ? authentication : undefined,
    content_type: current.content_type,
    mtls_client_cert: current.mtls_client_cert ?? undefined,
    rate_limit: current.rate_limit,
    rate_limit_duration: current.rate_limit_duration,
    slack_webhook_url: current.slack_webhook_url,
    support_email: current.support_email,
    teams_webhook_url: current.teams_webhook_url,
    ...change,
  } satisfies Kept &
    Omit<ConvoyEndpoint, "uid" | "project_id" | "status" | "created_at" | "owner_id"> & {
      owner_id: string | undefined;
    };
  const path = `/endpoints/${encodeURIComponent(current.uid)}`;
  return call<ConvoyEndpoint>(convoy, path, { method: "PUT", body });
}

/**
 * Deletes an endpoint and its subscription. 400 "endpoint not found" means that it is already gone
 * (recorded).
 */
export async function deleteEndpoint(convoy: Convoy, id: string): Promise<Answer<unknown>> {
  const answer = await call<unknown>(convoy, `/endpoints/${encodeURIComponent(id)}`, {
    method: "DELETE",
  });
  return isEndpointMissing(answer) ? { ok: true, status: 200, message: "", data: null } : answer;
}

/** Whether Convoy says that the endpoint does not exist: 404, or 400 in one of two ways (recorded). */
export function isEndpointMissing(answer: Answer<unknown>): boolean {
  if (answer.ok) return false;
  return (
    (answer.status === 400 &&
      /^(endpoint not found|failed to find endpoint)$/.test(answer.message)) ||
    (answer.status === 404 && answer.message === "Resource not found")
  );
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

/**
 * Subscribes an endpoint to all event types.
 * @returns the new subscription's uid; null if the endpoint already has one (400, one each, recorded)
 */
export async function subscribe(
  convoy: Convoy,
  endpointId: string,
  name: string,
): Promise<{ ok: true; uid: string | null } | Failure> {
  const answer = await call<ConvoySubscription>(convoy, "/subscriptions", {
    method: "POST",
    body: { name, endpoint_id: endpointId, filter_config: { event_types: ["*"] } },
  });
  if (answer.ok) return { ok: true, uid: answer.data.uid };
  const exists = answer.message === "a subscription for this endpoint already exists";
  return exists ? { ok: true, uid: null } : answer;
}

/** The subscriptions of some endpoints: one each, if nobody made more. */
export function listSubscriptions(
  convoy: Convoy,
  page: PageOptions & { endpointIds: readonly string[] },
) {
  return list<ConvoySubscription>(convoy, "/subscriptions", {
    query: { ...paging(page), endpointId: page.endpointIds },
    ...(page.timeoutMs ? { timeoutMs: page.timeoutMs } : {}),
  });
}

/**
 * Pauses an active endpoint, or activates a paused one: Convoy's call is a toggle (recorded). Read
 * the status first.
 */
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

/** Gives the endpoint a new secret; the old one signs too for `overlapHours` (recorded). */
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
