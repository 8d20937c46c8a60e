/** Endpoints and subscriptions at Convoy. */
import { type Answer, type Convoy, call, list, type PageOptions, paging } from "./client.ts";

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
