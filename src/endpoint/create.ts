/** Endpoints: Convoy has them, D1 records them (docs/design.md, section 7). */
import { v7 as uuidv7 } from "uuid";
import { type Bindings, HTTP_TIMEOUT_DEFAULT_S } from "../config.ts";
import { type Convoy, convoyOf, type Failure } from "../convoy/client.ts";
import {
  type ConvoyEndpoint,
  createEndpoint as createAtConvoy,
  createSubscription,
  deleteEndpoint as deleteAtConvoy,
  isAlreadySubscribed,
  putEndpoint,
} from "../convoy/endpoints.ts";
import { mendableReason } from "../convoy/reasons.ts";
import { unavailable } from "../http.ts";
import { refusal } from "./refusal.ts";
import type { EndpointPatch, NewEndpoint } from "./schema.ts";
import {
  beginCreating,
  type EndpointFields,
  type EndpointRow,
  findEndpoint,
  finishCreating,
  removeEndpoint,
  updateEndpoint,
} from "./table.ts";

/** A new endpoint, and its secret: given once, never stored. */
export type CreatedEndpoint = { row: EndpointRow; secret: string };

/**
 * Creates the endpoint and its subscription in Convoy, and its record. A step that fails undoes the
 * earlier ones; what a crash leaves, reconcile removes.
 * @throws HTTPException 400, 502 or 503 saying why; StorageError
 */
export async function createEndpoint(
  env: Bindings,
  owner: string,
  wanted: NewEndpoint,
): Promise<CreatedEndpoint> {
  const convoy = convoyOf(env);
  const now = Date.now();
  const fields: EndpointFields = {
    name: wanted.name,
    url: wanted.url,
    description: wanted.description ?? "",
    http_timeout_s: wanted.http_timeout ?? HTTP_TIMEOUT_DEFAULT_S,
  };
  const draft = uuidv7({ msecs: now });
  await beginCreating(env.DB, { ...fields, id: draft, owner, now });
  const made = await createAtConvoy(convoy, {
    ...toConvoyFields(fields, owner),
    ...(wanted.secret === undefined ? {} : { secret: wanted.secret }),
  });
  if (!made.ok) {
    // Only a refusal is known to have made nothing: after anything else the draft stays for reconcile.
    if (isRefusal(made)) await removeEndpoint(env.DB, owner, draft);
    throw refusal(made);
  }
  const { uid, secrets } = made.data;
  try {
    const row = await subscribeAndRecord(env, convoy, owner, draft, made.data);
    return { row, secret: secrets?.[0]?.value ?? wanted.secret ?? "" };
  } catch (error) {
    // Recorded or not: the caller gets no secret, and an endpoint that stayed would deliver twice.
    await undo(env, convoy, owner, draft, uid);
    throw error;
  }
}

/** What follows once Convoy has made the endpoint. */
async function subscribeAndRecord(
  env: Bindings,
  convoy: Convoy,
  owner: string,
  draft: string,
  made: ConvoyEndpoint,
): Promise<EndpointRow> {
  if (made.project_id !== convoy.projectId) {
    throw unavailable("CONVOY_API_KEY belongs to another project than CONVOY_PROJECT_ID.");
  }
  const subscribed = await createSubscription(convoy, made.uid, made.name);
  if (!subscribed.ok && !isAlreadySubscribed(subscribed)) throw refusal(subscribed);
  const record = {
    id: made.uid,
    subscriptionId: subscribed.ok ? subscribed.data.uid : null,
    timeoutS: made.http_timeout,
    now: Date.now(),
  };
  const row =
    (await finishCreating(env.DB, draft, record)) ?? (await findEndpoint(env.DB, owner, made.uid));
  if (!row) throw unavailable("Creating the endpoint took too long. Try again.");
  return row;
}

// 401 and the refusals that a caller can mend come before anything is made.
function isRefusal(answer: Failure): boolean {
  return answer.status === 401 || mendableReason(answer) !== null;
}

async function undo(env: Bindings, convoy: Convoy, owner: string, draft: string, uid: string) {
  const removed = await deleteAtConvoy(convoy, uid);
  if (!removed.ok) return;
  await removeEndpoint(env.DB, owner, draft);
  await removeEndpoint(env.DB, owner, uid);
}

/**
 * Changes the given fields: at Convoy first, which wants all of them each time, then in the record.
 * @returns the record after it, or null where the owner has no such endpoint
 * @throws HTTPException 400, 502 or 503 saying why; StorageError
 */
export async function changeEndpoint(
  env: Bindings,
  owner: string,
  id: string,
  patch: EndpointPatch,
): Promise<EndpointRow | null> {
  const known = await findEndpoint(env.DB, owner, id);
  if (!known) return null;
  const fields: EndpointFields = {
    name: patch.name ?? known.name,
    url: patch.url ?? known.url,
    description: patch.description ?? known.description,
    http_timeout_s: patch.http_timeout ?? known.http_timeout_s,
  };
  const answer = await putEndpoint(convoyOf(env), id, toConvoyFields(fields, owner));
  if (!answer.ok) throw refusal(answer);
  const http_timeout_s = answer.data.http_timeout;
  return updateEndpoint(env.DB, owner, id, { ...fields, http_timeout_s, now: Date.now() });
}

/**
 * Removes the endpoint: at Convoy first (gone already counts as done), then the record.
 * @returns false where the owner has no such endpoint
 * @throws HTTPException 502 or 503 saying why; StorageError
 */
export async function deleteEndpoint(env: Bindings, owner: string, id: string): Promise<boolean> {
  if (!(await findEndpoint(env.DB, owner, id))) return false;
  const answer = await deleteAtConvoy(convoyOf(env), id);
  if (!answer.ok) throw refusal(answer);
  await removeEndpoint(env.DB, owner, id);
  return true;
}

/** What Convoy is told of an endpoint. */
function toConvoyFields(fields: EndpointFields, owner: string) {
  return {
    name: fields.name,
    url: fields.url,
    description: fields.description,
    http_timeout: fields.http_timeout_s,
    owner_id: owner,
  } satisfies Partial<ConvoyEndpoint>;
}
