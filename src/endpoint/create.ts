/** Creating and deleting endpoints: Convoy has them, D1 records them (docs/design.md, section 7). */
import { v7 as uuidv7 } from "uuid";
import {
  CLOCK_SKEW_MS,
  CREATION_LEASE_MS,
  ENDPOINT_PAGE,
  ENDPOINT_TIMEOUT_MS,
  HTTP_TIMEOUT_DEFAULT_S,
} from "../config.ts";
import type { Convoy, Failure } from "../convoy/client.ts";
import { mendableReason } from "../convoy/client.ts";
import {
  type ConvoyEndpoint,
  createEndpoint as createAtConvoy,
  deleteEndpoint as deleteAtConvoy,
  isOwnProject,
  listEndpoints,
  subscribe,
} from "../convoy/endpoints.ts";
import type { Budget } from "../run.ts";
import type { NewEndpoint } from "./schema.ts";
import {
  beginCreating,
  type EndpointFields,
  type EndpointRow,
  endClaim,
  findEndpoint,
  finishCreating,
  recordsAround,
  removeEndpoint,
} from "./table.ts";
import { claim, giveUp, type Result, trouble } from "./update.ts";

/** A new endpoint, and its secret: returned once, never stored. */
export type CreatedEndpoint = { row: EndpointRow; secret: string };

/**
 * Creates the endpoint and its subscription in Convoy, and its record. If a step fails, the earlier ones
 * are undone; the cron removes what a crash leaves behind.
 * @param max how many endpoints an owner may have
 * @throws StorageError
 */
export async function createEndpoint(
  db: D1Database,
  convoy: Convoy,
  owner: string,
  wanted: NewEndpoint,
  max: number,
): Promise<Result<CreatedEndpoint>> {
  const now = Date.now();
  const fields: EndpointFields = {
    name: wanted.name,
    url: wanted.url,
    description: wanted.description ?? "",
    http_timeout_s: wanted.http_timeout ?? HTTP_TIMEOUT_DEFAULT_S,
  };
  const draft = uuidv7({ msecs: now });
  const lease = now + CREATION_LEASE_MS;
  if (!(await beginCreating(db, { ...fields, id: draft, owner, now, lease }, max))) {
    return trouble({ kind: "full", max });
  }
  const made = await createAtConvoy(convoy, {
    name: fields.name,
    url: fields.url,
    description: fields.description,
    http_timeout: fields.http_timeout_s,
    owner_id: owner,
    ...(wanted.secret === undefined ? {} : { secret: wanted.secret }),
  });
  if (!made.ok) {
    // Only a refusal is known to have created nothing: after anything else the draft stays for the
    // cron.
    if (isRefusal(made)) await removeEndpoint(db, owner, draft);
    return trouble({ kind: "refused", failure: made });
  }
  const { uid, secrets } = made.data;
  try {
    const recorded = await subscribeAndRecord(db, convoy, owner, draft, made.data);
    if (recorded.ok) {
      const secret = secrets?.[0]?.value ?? wanted.secret ?? "";
      return { ok: true, value: { row: recorded.value, secret } };
    }
    await undo(db, convoy, owner, draft, uid);
    return recorded;
  } catch (error) {
    // Recorded or not: the caller gets no secret, and an endpoint left behind would deliver twice.
    await undo(db, convoy, owner, draft, uid);
    throw error;
  }
}

/** What follows once Convoy has created the endpoint. */
async function subscribeAndRecord(
  db: D1Database,
  convoy: Convoy,
  owner: string,
  draft: string,
  made: ConvoyEndpoint,
): Promise<Result<EndpointRow>> {
  if (made.project_id !== convoy.projectId) return trouble({ kind: "another project" });
  const subscribed = await subscribe(convoy, made.uid, made.name);
  if (!subscribed.ok) return trouble({ kind: "refused", failure: subscribed });
  const record = {
    id: made.uid,
    subscriptionId: subscribed.uid,
    timeoutS: made.http_timeout,
    now: Date.now(),
  };
  const row =
    (await finishCreating(db, draft, record)) ?? (await findEndpoint(db, owner, made.uid));
  return row ? { ok: true, value: row } : trouble({ kind: "too slow" });
}

// 401, and the refusals that a caller can fix, come before anything is created.
function isRefusal(answer: Failure): boolean {
  return answer.status === 401 || mendableReason(answer) !== null;
}

async function undo(db: D1Database, convoy: Convoy, owner: string, draft: string, uid: string) {
  const removed = await deleteAtConvoy(convoy, uid);
  if (!removed.ok) return;
  await removeEndpoint(db, owner, draft);
  await removeEndpoint(db, owner, uid);
}

/**
 * Deletes the endpoint: at Convoy first (already gone counts as done), then the record.
 * @throws StorageError
 */
export async function deleteEndpoint(
  db: D1Database,
  convoy: Convoy,
  row: EndpointRow,
): Promise<Result<null>> {
  // Claimed, so that the cron checks what a crash leaves behind.
  const claimed = await claim(db, row);
  if (!claimed.ok) return claimed;
  const answer = await deleteAtConvoy(convoy, row.id);
  if (!answer.ok) return giveUp(db, convoy, claimed.value, answer, "unknown");
  await removeEndpoint(db, row.owner, row.id);
  return { ok: true, value: null };
}

/** Whether Convoy's endpoint is from this unfinished creation: no caller got its id or its secret. */
export function isMadeBy(draft: EndpointRow, item: ConvoyEndpoint): boolean {
  const made = Date.parse(item.created_at) - draft.created_at;
  return (
    item.owner_id === draft.owner &&
    item.name === draft.name &&
    item.url === draft.url &&
    made > -CLOCK_SKEW_MS &&
    made < ENDPOINT_TIMEOUT_MS + CLOCK_SKEW_MS
  );
}

/**
 * Cleans up after an interrupted creation: looks for what it made among the owner's endpoints at
 * Convoy, newest first, removes that, then the draft. If the budget or Convoy stops it, its place is
 * saved.
 * @param draft claimed
 * @returns whether it is finished
 * @throws StorageError
 */
export async function removeCutOff(
  db: D1Database,
  convoy: Convoy,
  draft: EndpointRow,
  budget: Budget,
): Promise<boolean> {
  let cursor = draft.search_cursor ?? undefined;
  // A page and its records; reserved for the end: the key's project, the removal at Convoy, the draft.
  while (budget.take(2, 3)) {
    const options = { perPage: ENDPOINT_PAGE, cursor, ownerId: draft.owner };
    const page = await listEndpoints(convoy, options);
    if (!page.ok) break;
    const { items, next } = page.data;
    const ids = items.map((item) => item.uid);
    const records = await recordsAround(db, draft.owner, { after: "", upTo: "", ids });
    const made = items.find(
      (item) => isMadeBy(draft, item) && !records.some((record) => record.id === item.uid),
    );
    const isOlder = (item: ConvoyEndpoint) =>
      Date.parse(item.created_at) < draft.created_at - CLOCK_SKEW_MS;
    if (made || !next || items.some(isOlder)) {
      budget.take(3);
      // Another project's list says nothing about what is not in it.
      const done = made ? (await deleteAtConvoy(convoy, made.uid)).ok : await isOwnProject(convoy);
      if (done) await removeEndpoint(db, draft.owner, draft.id);
      return done;
    }
    cursor = next;
  }
  // Due again when the lease is over.
  if (cursor !== (draft.search_cursor ?? undefined)) {
    await endClaim(db, draft, { search_cursor: cursor ?? null, due_at: draft.due_at }, Date.now());
  }
  return false;
}
