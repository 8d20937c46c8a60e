/** Creating an endpoint: Convoy has it, D1 records it. What a crash leaves behind is found and removed. */
import { v7 as uuidv7 } from "uuid";
import { type Convoy, type Failure, mendableReason } from "../convoy/client.ts";
import {
  type Authentication,
  anotherProject,
  type ConvoyEndpoint,
  createEndpoint as createAtConvoy,
  deleteEndpoint,
  foreignKey,
  isEndpointMissing,
  listEndpoints,
  subscribe,
} from "../convoy/endpoints.ts";
import type { Budget } from "../run.ts";
import { fieldsOf, seenOf } from "./compare.ts";
import {
  beginCreating,
  type EndpointRow,
  endClaim,
  finishCreating,
  forget,
  hasRoom,
  recordsOf,
  type Wanted,
} from "./table.ts";

// After this the cron takes a creation to be cut off.
const CREATION_MS = 5 * 60_000;
// Longest time of the call that creates: Convoy pings an https URL for up to 10 s.
const CALL_MS = 20_000;
const CLOCK_SKEW_MS = 60_000;
const PAGE = 100;

/** A new endpoint, and its secret: returned once, never stored. full: the owner has as many as it may have. */
export type Created =
  | { kind: "created"; row: EndpointRow; secret: string }
  | { kind: "full" | "too slow" }
  | { kind: "failed"; failure: Failure };

/** What is created beside the record's fields. */
export type NewEndpointParts = {
  secret?: string | undefined;
  authentication?: Authentication | undefined;
};

/**
 * Creates the endpoint and its subscription at Convoy, and its record. If a step fails, the earlier ones are undone; the
 * cron removes what cannot be undone now.
 * @throws StorageError
 */
export async function createEndpoint(
  { db, convoy, owner, max }: { db: D1Database; convoy: Convoy; owner: string; max: number },
  wanted: Wanted,
  { secret, authentication }: NewEndpointParts,
): Promise<Created> {
  if (!(await hasRoom(db, owner, max))) return { kind: "full" };
  const now = Date.now();
  const draft = { ...wanted, id: uuidv7({ msecs: now }), owner, now, lease: now + CREATION_MS };
  await beginCreating(db, draft);
  const made = await createAtConvoy(convoy, {
    ...fieldsOf(owner, wanted),
    ...(secret === undefined ? {} : { secret }),
    ...(authentication === undefined ? {} : { authentication }),
  });
  if (!made.ok) {
    // Only these come before anything is made: after any other the cron looks whether something was.
    if (made.status === 401 || mendableReason(made) !== null) await forget(db, draft.id);
    return { kind: "failed", failure: made };
  }
  try {
    const created = await record({ db, convoy, max }, draft, made.data, secret);
    if (created.kind !== "created") await undo(db, convoy, draft.id, made.data.uid);
    return created;
  } catch (error) {
    // Recorded or not: the caller gets no secret, and an endpoint left behind would get webhooks.
    await undo(db, convoy, draft.id, made.data.uid);
    throw error;
  }
}

async function record(
  { db, convoy, max }: { db: D1Database; convoy: Convoy; max: number },
  draft: { id: string; owner: string },
  item: ConvoyEndpoint,
  secret: string | undefined,
): Promise<Created> {
  if (item.project_id !== convoy.projectId) return { kind: "failed", failure: anotherProject() };
  const subscribed = await subscribe(convoy, item.uid, item.name);
  if (!subscribed.ok) return { kind: "failed", failure: subscribed };
  const made = { id: item.uid, applied: seenOf(item), now: Date.now() };
  const row = await finishCreating(db, draft, made, max);
  if (row) return { kind: "created", row, secret: item.secrets[0]?.value ?? secret ?? "" };
  return { kind: (await hasRoom(db, draft.owner, max)) ? "too slow" : "full" };
}

async function undo(db: D1Database, convoy: Convoy, draftId: string, uid: string): Promise<void> {
  const gone = await deleteEndpoint(convoy, uid);
  if (gone.ok || isEndpointMissing(gone)) await forget(db, draftId);
}

/** Whether Convoy's endpoint is from this unfinished creation: no caller got its id or its secret. */
export function isMadeBy(draft: EndpointRow, item: ConvoyEndpoint): boolean {
  const after = Date.parse(item.created_at) - draft.created_at;
  return (
    draft.wanted === "creating" &&
    item.owner_id === draft.owner &&
    item.name === draft.name &&
    item.url === draft.url &&
    after > -CLOCK_SKEW_MS &&
    after < CALL_MS + CLOCK_SKEW_MS
  );
}

/**
 * Cleans up after a creation that was cut off: looks for what it made among the owner's endpoints at Convoy, newest
 * first, removes that, then the draft. If the budget or Convoy stops it, its place is kept.
 * @param draft claimed
 * @returns whether it is finished
 * @throws StorageError
 */
export async function removeCutOff(
  { db, convoy }: { db: D1Database; convoy: Convoy },
  draft: EndpointRow,
  budget: Budget,
): Promise<boolean> {
  let cursor = draft.search_cursor ?? undefined;
  // A page and its records; at the end: the key's project or the removal, the draft.
  while (budget.left() >= 4) {
    const listed = await listEndpoints(convoy, { perPage: PAGE, cursor, ownerId: draft.owner });
    if (!listed.ok) break;
    const { items, next } = listed.data;
    const known = await recordsOf(
      db,
      draft.owner,
      items.map(({ uid }) => uid),
    );
    const made = items.find(
      (item) => isMadeBy(draft, item) && !known.some(({ id }) => id === item.uid),
    );
    if (made) return removeMade(db, convoy, draft, made);
    const isOlder = items.some(
      ({ created_at }) => Date.parse(created_at) < draft.created_at - CLOCK_SKEW_MS,
    );
    if (isOlder || next === null || next === cursor) {
      // Another project's list says nothing about what is not in it.
      if ((await foreignKey(convoy)) !== null) break;
      await forget(db, draft.id);
      return true;
    }
    cursor = next;
  }
  const failures = draft.failures + 1;
  const wait = Math.min(60_000 * failures, 3_600_000);
  const now = Date.now();
  await endClaim(db, draft, { search_cursor: cursor ?? null, failures, due_at: now + wait }, now);
  return false;
}

async function removeMade(
  db: D1Database,
  convoy: Convoy,
  draft: EndpointRow,
  made: ConvoyEndpoint,
): Promise<boolean> {
  const gone = await deleteEndpoint(convoy, made.uid);
  if (!gone.ok) return false;
  await forget(db, draft.id);
  return true;
}
