/** Endpoints and subscriptions at Convoy. */
import {
  ANOTHER_PROJECT,
  type Answer,
  type Convoy,
  call,
  type Failure,
  getProject,
  LOOKUP_TIMEOUT_MS,
  list,
  type Page,
  type PageOptions,
  paging,
  textOr,
  unreadable,
  wholeNumber,
} from "./client.ts";

/** What Convoy shows in place of a password or a private key (recorded): never sent back. */
const MASK = "[REDACTED]";

/** What a delivery is authenticated with. Of `api_key`, name and value are shown; a password is masked (recorded). */
export type Authentication = {
  type?: string;
  api_key?: { header_name?: string; header_value?: string } | null;
};

/** Fields that Convoy's PUT clears if they are not sent (convoy/facts), besides those that we set. */
type Kept = {
  advanced_signatures?: boolean | undefined;
  authentication?: Authentication | null | undefined;
  content_type?: string | undefined;
  slack_webhook_url?: string | null | undefined;
  support_email?: string | null | undefined;
  teams_webhook_url?: string | null | undefined;
};

/** The fields that we set. `rate_limit` requests in `rate_limit_duration` seconds; 0 is none. */
export type ConvoyFields = {
  name: string;
  url: string;
  description: string;
  http_timeout: number;
  owner_id: string;
  rate_limit: number;
  rate_limit_duration: number;
};

/** An endpoint as Convoy shows it. Of what it does not show a text is "", a number 0; `createdAt` is in ms. */
export type ConvoyEndpoint = Kept &
  ConvoyFields & { uid: string; project_id: string; status: string; createdAt: number | null };

/**
 * Creates an endpoint: 201; signs the advanced way (recorded). Nothing is delivered without a subscription. It may be
 * another project's: `isForeign`.
 */
export async function createEndpoint(
  convoy: Convoy,
  fields: ConvoyFields & { secret: string; authentication?: Authentication },
): Promise<Answer<ConvoyEndpoint>> {
  const answer = await call(convoy, "/endpoints", { method: "POST", body: fields });
  if (!answer.ok) return answer;
  const made = toEndpoint(answer.data);
  // One that is not as it was asked for is somebody's: it must not be taken over.
  const isMade = made?.owner_id === fields.owner_id && made.name === fields.name;
  return isMade ? { ...answer, data: made } : unreadable(answer);
}

/** Whether an endpoint is of another project than ours. */
export function isForeign(convoy: Convoy, { project_id }: ConvoyEndpoint): boolean {
  return project_id !== convoy.projectId;
}

/** Reads an endpoint. 404 "Resource not found" proves nothing: so it is with Postgres down, too (recorded). */
export async function getEndpoint(convoy: Convoy, id: string) {
  return readEndpoint(convoy, id, await call(convoy, pathOf(id)));
}

/**
 * Changes an endpoint that was just read: 202. Convoy's PUT replaces everything, so the rest is sent back; it keeps
 * mtls_client_cert, whose key it masks, if that is left out (recorded). Call `isMasked` first.
 */
export async function putEndpoint(
  convoy: Convoy,
  current: ConvoyEndpoint,
  change: ConvoyFields & { authentication?: Authentication | undefined },
) {
  const { authentication } = current;
  const body = {
    advanced_signatures: current.advanced_signatures,
    // No authentication reads as {}, which cannot be sent back.
    authentication: authentication?.type ? authentication : undefined,
    content_type: current.content_type,
    // Without a licence these read back null.
    slack_webhook_url: current.slack_webhook_url ?? undefined,
    support_email: current.support_email ?? undefined,
    teams_webhook_url: current.teams_webhook_url ?? undefined,
    ...change,
  } satisfies Kept & ConvoyFields;
  const answer = await call(convoy, pathOf(current.uid), { method: "PUT", body });
  return readEndpoint(convoy, current.uid, answer);
}

/** Whether its authentication has a secret that Convoy does not show: a PUT could not keep it. */
export function isMasked({ authentication }: ConvoyEndpoint): boolean {
  return JSON.stringify(authentication ?? null).includes(JSON.stringify(MASK));
}

/** Deletes an endpoint and its subscription: 200. One that is not there: `isEndpointMissing`. */
export function deleteEndpoint(convoy: Convoy, id: string) {
  return call<unknown>(convoy, pathOf(id), { method: "DELETE" });
}

/** Whether Convoy says that the endpoint does not exist: 404, or 400 in one of two ways (recorded). No proof. */
export function isEndpointMissing(answer: Answer<unknown>): boolean {
  if (answer.ok) return false;
  return (
    (answer.status === 400 &&
      /^(endpoint not found|failed to find endpoint)$/.test(answer.message)) ||
    (answer.status === 404 && answer.message === "Resource not found")
  );
}

/** A page of our project's endpoints, or of one owner's, by id, the newest first. */
export async function listEndpoints(
  convoy: Convoy,
  page: PageOptions & { ownerId?: string | undefined },
): Promise<Answer<Page<ConvoyEndpoint>>> {
  const query = { ...paging(page), ownerId: page.ownerId };
  const answer = await list(convoy, "/endpoints", { query });
  if (!answer.ok) return answer;
  const items = answer.data.items.map(toEndpoint).filter((one) => one !== null);
  // What is not understood may be any of them.
  if (!answer.data.isWhole || items.length < answer.data.items.length) return unreadable(answer);
  if (items.some((item) => isForeign(convoy, item))) return anotherProject();
  return { ...answer, data: { ...answer.data, items } };
}

/**
 * Whether our project's list lacks an endpoint, which is the proof that a 404 is not: the list is by id, and begins at
 * the cursor (recorded; if its endpoint is gone, after it: Convoy's source), so that one item is enough.
 */
export async function isLacking(convoy: Convoy, id: string): Promise<Answer<boolean>> {
  const foreign = await foreignKey(convoy);
  if (foreign) return foreign;
  const listed = await listEndpoints(convoy, { perPage: 1, cursor: id });
  if (!listed.ok) return listed;
  const [first] = listed.data.items;
  // A list in another order, or one that passes over the cursor, is not the one that was asked for.
  if (first && first.uid > id) return unreadable(listed);
  return { ...listed, data: first?.uid !== id };
}

/**
 * Null if the key is known to belong to our project: with another's, what is not found may still exist. Convoy answers
 * with the key's project, whatever id is asked for (convoy/facts).
 */
export async function foreignKey(convoy: Convoy): Promise<Failure | null> {
  const answer = await getProject(convoy);
  if (!answer.ok) return answer;
  if (answer.data?.uid === convoy.projectId) return null;
  return answer.data?.uid ? anotherProject() : unreadable(answer);
}

/** The failure of a call that was answered with another project's endpoints. */
export function anotherProject(): Failure {
  return { ok: false, status: 401, message: ANOTHER_PROJECT, retryAfterMs: null };
}

/**
 * An endpoint's subscription to all types. filtered: it has one that does not take all. lacking: it has none. unknown:
 * there are more than were read, of others'.
 */
export type Subscription = "subscribed" | "filtered" | "lacking" | "unknown";

/** Which subscription each of these endpoints has. */
export async function readSubscriptions(
  convoy: Convoy,
  endpointIds: readonly string[],
): Promise<Answer<Map<string, Subscription>>> {
  const query = { ...paging({ perPage: SUBSCRIPTIONS_MAX }), endpointId: endpointIds };
  const options = { query, timeoutMs: LOOKUP_TIMEOUT_MS };
  const answer = await list<ConvoySubscription>(convoy, "/subscriptions", options);
  if (!answer.ok) return answer;
  const { items, isWhole, next } = answer.data;
  const none = isWhole && next === null ? "lacking" : "unknown";
  const found = new Map<string, Subscription>(endpointIds.map((id) => [id, none]));
  for (const one of items) {
    const id = one.endpoint_metadata?.uid;
    if (id === undefined || !found.has(id) || found.get(id) === "subscribed") continue;
    found.set(id, takesAll(one) ? "subscribed" : "filtered");
  }
  return { ...answer, data: found };
}

/** The endpoint's subscription, made if it lacks one. One that somebody filtered is theirs. */
export async function ensureSubscription(
  convoy: Convoy,
  endpointId: string,
  name: string,
): Promise<Answer<"subscribed" | "filtered">> {
  const read = await readSubscriptions(convoy, [endpointId]);
  if (!read.ok) return read;
  const found = read.data.get(endpointId);
  if (found === "subscribed" || found === "filtered") return { ...read, data: found };
  if (found !== "lacking") return unreadable(read);
  const made = await subscribe(convoy, endpointId, name);
  return made.ok ? { ...made, data: "subscribed" } : made;
}

/** Subscribes an endpoint to all event types: 201. One that has one already is as good as subscribed (recorded). */
export async function subscribe(
  convoy: Convoy,
  endpointId: string,
  name: string,
): Promise<Answer<unknown>> {
  const answer = await call<ConvoySubscription>(convoy, "/subscriptions", {
    method: "POST",
    body: { name, endpoint_id: endpointId, filter_config: { event_types: ["*"] } },
  });
  if (answer.ok) return textOr(answer.data?.uid) ? answer : unreadable(answer);
  if (answer.message !== "a subscription for this endpoint already exists") return answer;
  return { ok: true, status: 200, message: answer.message, data: null };
}

/**
 * Pauses an active endpoint, or activates a paused one: Convoy's call is a toggle (recorded). Read
 * the status first.
 */
export async function togglePause(convoy: Convoy, id: string) {
  return readEndpoint(convoy, id, await call(convoy, `${pathOf(id)}/pause`, { method: "PUT" }));
}

/** Activates an endpoint that Convoy made inactive; 400 for any other status (recorded). */
export async function activateInactive(convoy: Convoy, id: string) {
  return readEndpoint(convoy, id, await call(convoy, `${pathOf(id)}/activate`, { method: "POST" }));
}

/** Gives the endpoint a new secret; the old one signs too for `overlapHours` (recorded). */
export async function rotateSecret(
  convoy: Convoy,
  id: string,
  { secret, overlapHours }: { secret: string; overlapHours: number },
) {
  const body = { secret, expiration: overlapHours };
  const path = `${pathOf(id)}/expire_secret`;
  return readEndpoint(convoy, id, await call(convoy, path, { method: "PUT", body }));
}

// An endpoint has one each, unless Convoy v26.6 or somebody made more.
const SUBSCRIPTIONS_MAX = 500;

type ConvoySubscription = {
  uid?: unknown;
  endpoint_metadata?: { uid?: string } | null;
  filter_config?: { event_types?: unknown } | null;
};

function takesAll(one: ConvoySubscription): boolean {
  const types = one.filter_config?.event_types;
  return !Array.isArray(types) || types.length === 0 || types.includes("*");
}

function pathOf(id: string): string {
  return `/endpoints/${encodeURIComponent(id)}`;
}

/** The endpoint, if it is the one that was asked for, and of our project. */
function readEndpoint(convoy: Convoy, id: string, answer: Answer<unknown>): Answer<ConvoyEndpoint> {
  if (!answer.ok) return answer;
  const data = toEndpoint(answer.data);
  if (data?.uid !== id) return unreadable(answer);
  return isForeign(convoy, data) ? anotherProject() : { ...answer, data };
}

/** Whose it is has to be known; all else may be lacking or odd, and must not keep others from being read. */
function toEndpoint(data: unknown): ConvoyEndpoint | null {
  const item: Record<string, unknown> = Object(data);
  const [uid, project_id] = [textOr(item.uid), textOr(item.project_id)];
  if (uid === "" || project_id === "") return null;
  const createdAt = Date.parse(textOr(item.created_at));
  return {
    ...(item as Kept),
    ...{ uid, project_id, name: textOr(item.name), url: textOr(item.url) },
    ...{ description: textOr(item.description), owner_id: textOr(item.owner_id) },
    status: textOr(item.status),
    http_timeout: wholeNumber(item.http_timeout),
    rate_limit: wholeNumber(item.rate_limit),
    rate_limit_duration: wholeNumber(item.rate_limit_duration),
    createdAt: Number.isNaN(createdAt) ? null : createdAt,
  };
}
