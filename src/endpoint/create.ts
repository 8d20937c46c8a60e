/** Creating an endpoint: Convoy has it, D1 records it. What a crash leaves behind is found and removed. */
import { encodeBase64Url } from "hono/utils/encode";
import { v7 as uuidv7 } from "uuid";
import { mendableReason } from "../convoy/client.ts";
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
import { unavailable } from "../errors.ts";
import { tryNow } from "./change.ts";
import { type Claimed, endClaim } from "./claim.ts";
import { fieldsOf, seenOf } from "./compare.ts";
import { full, refusal } from "./problems.ts";
import type { Work } from "./reconcile.ts";
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
// If D1 took longer to begin one, Convoy is not asked: it would make it too late to be known as this one's.
const BEGIN_MS = 15_000;
// Convoy makes it by then, even if late; a creation that began later is no longer under way when this one is cut off.
const MADE_MS = 3 * 60_000;
const CLOCK_SKEW_MS = 60_000;
// Of an owner's endpoints at Convoy, the newest so many are searched: 1 KB each.
const LIST_MAX = 1_000;
const RETRY_MS = 60_000;
const SECRET_BYTES = 24;

/** What is created beside the record's fields: never stored here. */
export type Secrets = { secret: string; authentication?: Authentication | undefined };

/** A secret to sign with. */
export function newSecret(): string {
  return `whsec_${encodeBase64Url(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)).buffer)}`;
}

/**
 * Creates the endpoint and its subscription at Convoy, and its record. If a step fails, Convoy's part is removed, now or
 * by the cron.
 * @param max how many the owner may have
 * @throws Problem
 */
export async function createEndpoint(
  work: Work,
  wanted: Wanted & Pick<Draft, "owner">,
  { secret, authentication }: Secrets,
  max: number,
): Promise<EndpointRow> {
  const { db, convoy } = work;
  if (!(await hasRoom(db, wanted.owner, max))) throw full(max);
  const now = Date.now();
  const draft: Draft = { ...wanted, id: uuidv7({ msecs: now }), created_at: now };
  await beginCreating(db, draft, now + CREATION_MS);
  if (Date.now() - now > BEGIN_MS) {
    await forgetDraft(db, draft.id);
    throw tooSlow();
  }
  const made = await createAtConvoy(convoy, {
    ...fieldsOf(wanted.owner, wanted),
    secret,
    ...(authentication ? { authentication } : {}),
  });
  if (!made.ok) {
    // Only these come before anything is made: after any other the cron looks whether something was.
    if (made.status === 401 || mendableReason(made) !== null) await forgetDraft(db, draft.id);
    throw refusal(made);
  }
  try {
    return await record(work, draft, made.data, max);
  } catch (error) {
    // Recorded or not: the caller gets no secret. Without D1 the draft stays, for the cron.
    await undoCreating(db, draft, made.data.uid);
    await tryNow(work, made.data.uid);
    throw error;
  }
}

async function record({ db, convoy }: Work, draft: Draft, item: ConvoyEndpoint, max: number) {
  if (isForeign(convoy, item)) throw refusal(anotherProject());
  const subscribed = await subscribe(convoy, item.uid, item.name);
  if (!subscribed.ok) throw refusal(subscribed);
  // One that is shown without its URL has it all the same.
  const applied = { ...seenOf(item), url: item.url || draft.url };
  const row = await finishCreating(db, draft, { id: item.uid, applied }, max);
  if (row) return row;
  if (!(await hasRoom(db, draft.owner, max))) throw full(max);
  throw tooSlow();
}

function tooSlow() {
  return unavailable("Creating the endpoint took too long. Try again.");
}

/** Whether Convoy's endpoint is from this unfinished creation: no caller got its id or its secret. */
export function isMadeBy(draft: Draft, item: ConvoyEndpoint): boolean {
  const after = (item.createdAt ?? 0) - draft.created_at;
  return (
    item.owner_id === draft.owner &&
    item.name === draft.name &&
    // Convoy may write the rest of a URL in another way.
    URL.parse(item.url)?.host === URL.parse(draft.url)?.host &&
    after > -CLOCK_SKEW_MS &&
    after < MADE_MS + CLOCK_SKEW_MS
  );
}

/**
 * Ends a creation that was cut off: what it made is looked for among the owner's newest endpoints at Convoy, and is then
 * one to be removed.
 * @returns whether it is finished
 */
export async function endCutOff({ db, convoy }: Work, draft: Claimed): Promise<boolean> {
  const { made, isSure } = await findMade({ db, convoy }, draft);
  if (!isSure) {
    const failures = draft.failures + 1;
    const due_at = Date.now() + Math.min(RETRY_MS * failures, 60 * RETRY_MS);
    await endClaim(db, draft, { failures, due_at });
  } else if (made) await undoCreating(db, draft, made.uid);
  else await forgetDraft(db, draft.id);
  return isSure;
}

async function findMade({ db, convoy }: Work, draft: Draft) {
  const listed = await listEndpoints(convoy, { perPage: LIST_MAX, ownerId: draft.owner });
  if (!listed.ok) return { isSure: false };
  const { items, next } = listed.data;
  const ids = items.map(({ uid }) => uid);
  const known = new Set((await recordsOf(db, ids)).map(({ id }) => id));
  const made = items.find((item) => isMadeBy(draft, item) && !known.has(item.uid));
  if (made) return { made, isSure: true };
  const before = draft.created_at - CLOCK_SKEW_MS;
  const isOlder = ({ createdAt }: ConvoyEndpoint) => createdAt !== null && createdAt < before;
  // The list of another project says nothing about what is not in it.
  const isWhole = next === null || items.some(isOlder);
  return { isSure: isWhole && (await foreignKey(convoy)) === null };
}
