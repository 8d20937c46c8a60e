/** Creating an endpoint: Convoy has it, D1 records it. What a crash leaves behind is found and removed. */
import { encodeBase64Url } from "hono/utils/encode";
import { v7 as uuidv7 } from "uuid";
import { type Convoy, type Failure, mendableReason } from "../convoy/client.ts";
import {
  type Authentication,
  anotherProject,
  type ConvoyEndpoint,
  createEndpoint as createAtConvoy,
  foreignKey,
  isForeign,
  listEndpoints,
  subscribe,
} from "../convoy/endpoints.ts";
import { tryNow } from "./change.ts";
import { type Claimed, endClaim } from "./claim.ts";
import { fieldsOf, seenOf } from "./compare.ts";
import {
  beginCreating,
  type Draft,
  type EndpointRow,
  finishCreating,
  forgetDraft,
  hasRoom,
  recordsOf,
  undoCreating,
  type Wanted,
} from "./table.ts";

// After this the cron takes a creation to be cut off.
const CREATION_MS = 5 * 60_000;
// Longest time of the call that creates: Convoy pings an https URL for up to 10 s.
const CALL_MS = 20_000;
const CLOCK_SKEW_MS = 60_000;
// Of an owner's endpoints at Convoy, the newest so many are searched: 1 KB each.
const LIST_MAX = 1_000;
const RETRY_MS = 60_000;
const SECRET_BYTES = 24;

/** A new endpoint. full: the owner has as many as it may have. */
export type Created =
  | { kind: "created"; row: EndpointRow }
  | { kind: "full" | "too slow" }
  | { kind: "failed"; failure: Failure };

/** What is created beside the record's fields: never stored here. */
export type Secrets = { secret: string; authentication?: Authentication | undefined };

/** A secret to sign with. */
export function newSecret(): string {
  return `whsec_${encodeBase64Url(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)).buffer)}`;
}

type Work = { db: D1Database; convoy: Convoy };

/**
 * Creates the endpoint and its subscription at Convoy, and its record. If a step fails, Convoy's part is removed, now or
 * by the cron.
 * @throws StorageError
 */
export async function createEndpoint(
  work: Work,
  wanted: Wanted & Pick<Draft, "owner">,
  { secret, authentication }: Secrets,
  max: number,
): Promise<Created> {
  const { db, convoy } = work;
  if (!(await hasRoom(db, wanted.owner, max))) return { kind: "full" };
  const now = Date.now();
  const draft: Draft = { ...wanted, id: uuidv7({ msecs: now }), created_at: now };
  await beginCreating(db, draft, now + CREATION_MS);
  const made = await createAtConvoy(convoy, {
    ...fieldsOf(wanted.owner, wanted),
    secret,
    ...(authentication ? { authentication } : {}),
  });
  if (!made.ok) {
    // Only these come before anything is made: after any other the cron looks whether something was.
    if (made.status === 401 || mendableReason(made) !== null) await forgetDraft(db, draft.id);
    return { kind: "failed", failure: made };
  }
  let created: Created | null = null;
  try {
    created = await record(work, draft, made.data, max);
    return created;
  } finally {
    // Recorded or not: the caller gets no secret.
    if (created?.kind !== "created") await undo(work, draft, made.data.uid);
  }
}

async function record(
  { db, convoy }: Work,
  draft: Draft,
  item: ConvoyEndpoint,
  max: number,
): Promise<Created> {
  if (isForeign(convoy, item)) return { kind: "failed", failure: anotherProject() };
  const subscribed = await subscribe(convoy, item.uid, item.name);
  if (!subscribed.ok) return { kind: "failed", failure: subscribed };
  const made = { id: item.uid, applied: seenOf(item), now: Date.now() };
  const row = await finishCreating(db, draft, made, max);
  if (row) return { kind: "created", row };
  return { kind: (await hasRoom(db, draft.owner, max)) ? "too slow" : "full" };
}

/** What is made is to be removed; without D1 the draft stays, for the cron. */
async function undo(work: Work, draft: Draft, uid: string): Promise<void> {
  await undoCreating(work.db, draft, uid);
  await tryNow(work, uid);
}

/** Whether Convoy's endpoint is from this unfinished creation: no caller got its id or its secret. */
export function isMadeBy(draft: Draft, item: ConvoyEndpoint): boolean {
  const after = Date.parse(item.created_at) - draft.created_at;
  return (
    item.owner_id === draft.owner &&
    item.name === draft.name &&
    item.url === draft.url &&
    after > -CLOCK_SKEW_MS &&
    after < CALL_MS + CLOCK_SKEW_MS
  );
}

/**
 * Ends a creation that was cut off: what it made is looked for among the owner's newest endpoints at Convoy, and is then
 * one to be removed.
 * @returns whether it is finished
 * @throws StorageError
 */
export async function endCutOff({ db, convoy }: Work, draft: Claimed): Promise<boolean> {
  const made = await findMade({ db, convoy }, draft);
  if (made === "unknown") {
    const failures = draft.failures + 1;
    const due_at = Date.now() + Math.min(RETRY_MS * failures, 60 * RETRY_MS);
    await endClaim(db, draft, { failures, due_at });
    return false;
  }
  if (made) await undoCreating(db, draft, made.uid);
  else await forgetDraft(db, draft.id);
  return true;
}

async function findMade({ db, convoy }: Work, draft: Draft) {
  const listed = await listEndpoints(convoy, { perPage: LIST_MAX, ownerId: draft.owner });
  if (!listed.ok) return "unknown";
  const { items, next } = listed.data;
  const known = await recordsOf(
    db,
    items.map(({ uid }) => uid),
  );
  const made = items.find(
    (item) => isMadeBy(draft, item) && !known.some(({ id }) => id === item.uid),
  );
  if (made) return made;
  const isOlder = ({ created_at }: ConvoyEndpoint) =>
    Date.parse(created_at) < draft.created_at - CLOCK_SKEW_MS;
  // The list of another project says nothing about what is not in it.
  const isWhole = (next === null || items.some(isOlder)) && (await foreignKey(convoy)) === null;
  return isWhole ? null : "unknown";
}
