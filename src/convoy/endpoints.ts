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
} from "./client.ts";

/** What Convoy shows in place of a password or a private key (recorded): never sent back. */
export const MASK = "[REDACTED]";

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

/** An endpoint as Convoy returns it; `secrets` only on creation or rotation. */
export type ConvoyEndpoint = Kept &
  ConvoyFields & {
    uid: string;
    project_id: string;
    status: string;
    secrets: { value: string }[];
    created_at: string;
  };

/**
 * Creates an endpoint: 201; signs the advanced way (recorded). Nothing is delivered without a subscription. It may be
 * another project's: `isForeign`.
 */
export async function createEndpoint(
  convoy: Convoy,
  fields: ConvoyFields & { secret: string; authentication?: Authentication },
) {
  return readEndpoint(await call(convoy, "/endpoints", { method: "POST", body: fields }));
}

/** Whether an endpoint is of another project than ours. */
export function isForeign(convoy: Convoy, { project_id }: ConvoyEndpoint): boolean {
  return project_id !== convoy.projectId;
}

/** Reads an endpoint. 404 "Resource not found" proves nothing: so it is with Postgres down, too (recorded). */
export async function getEndpoint(convoy: Convoy, id: string) {
  return ownOf(convoy, readEndpoint(await call(convoy, pathOf(id))));
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
  return ownOf(convoy, readEndpoint(answer));
}

/** Whether its authentication has a secret that Convoy does not show: a PUT could not keep it. */
export function isMasked({ authentication }: ConvoyEndpoint): boolean {
  return JSON.stringify(authentication ?? null).includes(JSON.stringify(MASK));
}

/** Deletes an endpoint and its subscription: 200. One that is not there: `isEndpointMissing`. */
export function deleteEndpoint(convoy: Convoy, id: string) {
  return call<unknown>(convoy, pathOf(id), { method: "DELETE" });
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

/** A page of our project's endpoints, or of one owner's, by id, the newest first. */
export async function listEndpoints(
  convoy: Convoy,
  page: PageOptions & { ownerId?: string | undefined },
): Promise<Answer<Page<ConvoyEndpoint>>> {
  const query = { ...paging(page), ownerId: page.ownerId };
  const answer = await list<unknown>(convoy, "/endpoints", { query });
  if (!answer.ok) return answer;
  const items = answer.data.items.map(toEndpoint).filter((one) => one !== null);
  if (items.length < answer.data.items.length) return unreadable(answer);
  if (items.some((item) => isForeign(convoy, item))) return anotherProject();
  return { ...answer, data: { items, next: answer.data.next } };
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

/** An endpoint's subscription to all types. filtered: it has one that does not take all. lacking: it has none. */
export type Subscription = "subscribed" | "filtered" | "lacking";

/** Which subscription each of these endpoints has. */
export async function readSubscriptions(
  convoy: Convoy,
  endpointIds: readonly string[],
): Promise<Answer<Map<string, Subscription>>> {
  const found = new Map<string, Subscription>(endpointIds.map((id) => [id, "lacking"]));
  let cursor: string | undefined;
  for (let page = 0; page < SUBSCRIPTION_PAGES; page++) {
    const query = { ...paging({ perPage: 100, cursor }), endpointId: endpointIds };
    const options = { query, timeoutMs: LOOKUP_TIMEOUT_MS };
    const answer = await list<ConvoySubscription>(convoy, "/subscriptions", options);
    if (!answer.ok) return answer;
    for (const one of answer.data.items) {
      const id = one?.endpoint_metadata?.uid;
      if (!one || id === undefined || found.get(id) === "subscribed") continue;
      if (found.has(id)) found.set(id, takesAll(one) ? "subscribed" : "filtered");
    }
    cursor = answer.data.next ?? undefined;
    if (!cursor) return { ...answer, data: found };
  }
  return { ok: false, status: null, message: "too many subscriptions", retryAfterMs: null };
}

/** The endpoint's subscription, made if it lacks one. One that somebody filtered is theirs. */
export async function ensureSubscription(
  convoy: Convoy,
  endpointId: string,
  name: string,
): Promise<Answer<Subscription>> {
  const read = await readSubscriptions(convoy, [endpointId]);
  if (!read.ok) return read;
  const found = read.data.get(endpointId) ?? "lacking";
  if (found !== "lacking") return { ...read, data: found };
  const made = await subscribe(convoy, endpointId, name);
  return made.ok ? { ...made, data: "subscribed" } : made;
}

/** Subscribes an endpoint to all event types: 201. One that has one already is as good as subscribed (recorded). */
export async function subscribe(convoy: Convoy, endpointId: string, name: string) {
  const answer = await call<ConvoySubscription>(convoy, "/subscriptions", {
    method: "POST",
    body: { name, endpoint_id: endpointId, filter_config: { event_types: ["*"] } },
  });
  if (answer.ok || answer.message !== "a subscription for this endpoint already exists") {
    return answer;
  }
  return { ok: true, status: 200, message: answer.message, data: null } as const;
}

/**
 * Pauses an active endpoint, or activates a paused one: Convoy's call is a toggle (recorded). Read
 * the status first.
 */
export function togglePause(convoy: Convoy, id: string) {
  return call<unknown>(convoy, `${pathOf(id)}/pause`, { method: "PUT" });
}

/** Activates an endpoint that Convoy made inactive; 400 for any other status (recorded). */
export function activateInactive(convoy: Convoy, id: string) {
  return call<unknown>(convoy, `${pathOf(id)}/activate`, { method: "POST" });
}

/** Gives the endpoint a new secret; the old one signs too for `overlapHours` (recorded). */
export function rotateSecret(
  convoy: Convoy,
  id: string,
  { secret, overlapHours }: { secret: string; overlapHours: number },
) {
  const body = { secret, expiration: overlapHours };
  return call<unknown>(convoy, `${pathOf(id)}/expire_secret`, { method: "PUT", body });
}

// An endpoint has one each, unless Convoy v26.6 or somebody made more.
const SUBSCRIPTION_PAGES = 5;

type ConvoySubscription = {
  endpoint_metadata?: { uid?: string } | null;
  filter_config?: { event_types?: string[] | null } | null;
} | null;

function takesAll(one: NonNullable<ConvoySubscription>): boolean {
  const types = one.filter_config?.event_types ?? [];
  return types.length === 0 || types.includes("*");
}

function pathOf(id: string): string {
  return `/endpoints/${encodeURIComponent(id)}`;
}

function readEndpoint(answer: Answer<unknown>): Answer<ConvoyEndpoint> {
  if (!answer.ok) return answer;
  const data = toEndpoint(answer.data);
  return data ? { ...answer, data } : unreadable(answer);
}

/** The endpoint, if it is of our project. */
function ownOf(convoy: Convoy, answer: Answer<ConvoyEndpoint>): Answer<ConvoyEndpoint> {
  return answer.ok && isForeign(convoy, answer.data) ? anotherProject() : answer;
}

/** A success that is not what was asked for says nothing. */
function unreadable({ status }: Answer<unknown>): Failure {
  return { ok: false, status, message: "not understood", retryAfterMs: null };
}

function toEndpoint(data: unknown): ConvoyEndpoint | null {
  const item = (data ?? {}) as Partial<ConvoyEndpoint>;
  const { uid, project_id, name, url, status, created_at } = item;
  for (const needed of [uid, project_id, name, url, status, created_at]) {
    if (typeof needed !== "string" || needed === "") return null;
  }
  return {
    ...(item as ConvoyEndpoint),
    owner_id: item.owner_id ?? "",
    description: item.description ?? "",
    http_timeout: wholeNumber(item.http_timeout),
    rate_limit: wholeNumber(item.rate_limit),
    rate_limit_duration: wholeNumber(item.rate_limit_duration),
    secrets: item.secrets ?? [],
  };
}

function wholeNumber(value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : 0;
}
