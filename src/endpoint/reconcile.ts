/**
 * Makes an endpoint at Convoy as it is wanted here: reads it, compares, makes the calls, records (docs/design.md). The
 * only code that changes an endpoint, its subscription or its secret at Convoy, beside its creation. It does not matter
 * who died where: it begins with what is there.
 */
import { type Convoy, type Failure, mendableReason, shownReason } from "../convoy/client.ts";
import {
  type Authentication,
  activateInactive,
  type ConvoyEndpoint,
  deleteEndpoint,
  ensureSubscription,
  foreignKey,
  getEndpoint,
  isEndpointMissing,
  isMasked,
  listEndpoints,
  putEndpoint,
  rotateSecret,
  togglePause,
} from "../convoy/endpoints.ts";
import { type Claimed, endClaim, type Learned } from "./claim.ts";
import { differ, fieldsOf, headerNameOf, mergedOf, seenOf, thereOf } from "./compare.ts";
import type { EndpointRow } from "./table.ts";

/** Subrequests that one reconcile may need, with its claim and its record. */
export const RECONCILE_CALLS = 9;

// Wait before it is tried again; doubled each time, up to the longest.
const RETRY_MIN_MS = 50_000;
const RETRY_MAX_MS = 3_600_000;
// An owner's endpoints at Convoy, to find out that one is not among them: 1 KB each.
const LIST_MAX = 1_000;

/**
 * What a caller wants beside what the record says, since D1 never has it: a header with its value (null removes it), a
 * new secret.
 */
export type Extra = {
  authentication?: Authentication | null | undefined;
  secret?: { secret: string; overlapHours: number };
};

/**
 * How it ended. refused: Convoy will not have what is wanted; masked: that would lose credentials; all else is done.
 * missing: a complete list of the owner's lacks it. silent: no answer that helps; it is tried again, as what was refused.
 */
export type Reconciled =
  | { kind: "done" | "masked" }
  | { kind: "refused" | "silent"; failure: Failure }
  | { kind: "missing" | "removed" };

/** Where endpoints are. */
export type Work = { db: D1Database; convoy: Convoy };
type Job = Work & { claimed: Claimed };

/** Reconciles a claimed endpoint, and ends the claim. @throws StorageError: the claim ends when its lease does */
export async function reconcile(
  { db, convoy }: Work,
  claimed: Claimed,
  extra: Extra = {},
): Promise<Reconciled> {
  const work: Job = { db, convoy, claimed };
  if (claimed.wanted === "removed") return remove(work);
  const read = await getEndpoint(convoy, claimed.id);
  if (!read.ok) return isEndpointMissing(read) ? missing(work) : later(work, read);
  const put = await apply(work, read.data, extra.authentication);
  if (put.kind === "silent") return later(work, put.failure, { isSent: true });
  const learned: Learned = { ...put.learned, lift: claimed.lift };
  for (const step of [lift, subscribe, rotate]) {
    const made = await step(work, read.data, extra);
    if (!made.ok) return later(work, made, { learned, isSent: true });
    Object.assign(learned, made.learned);
  }
  const outcome = put.kind === "done" ? FINE : tryAgain(claimed, reasonOf(put));
  await endClaim(work.db, claimed, { ...learned, ...outcome });
  return put;
}

type Put = { learned: Learned } & Extract<
  Reconciled,
  { kind: "done" | "masked" } | { kind: "refused" | "silent" }
>;

/** Puts there what is wanted, if anything differs. Convoy has the last word: without a licence a timeout is 10 s. */
async function apply(
  { claimed, convoy }: Job,
  item: ConvoyEndpoint,
  authentication: Extra["authentication"],
): Promise<Put> {
  const seen = seenOf(item);
  const merged = mergedOf(claimed, seen);
  const learned = learnedOf(item, merged);
  noteOwner(claimed, item);
  const isAsWanted = !differ(merged, seen) && item.owner_id === claimed.owner;
  if (isAsWanted && authentication === undefined) return { kind: "done", learned };
  if (authentication === undefined && isMasked(item)) return { kind: "masked", learned };
  const put = await putEndpoint(convoy, item, {
    ...fieldsOf(claimed.owner, merged),
    ...(authentication === undefined ? {} : { authentication: authentication ?? undefined }),
  });
  if (put.ok) return { kind: "done", learned: learnedOf(put.data, seenOf(put.data)) };
  return { kind: mendableReason(put) === null ? "silent" : "refused", failure: put, learned };
}

function learnedOf(item: ConvoyEndpoint, wanted: Learned): Learned {
  return { ...wanted, applied: JSON.stringify(seenOf(item)), header_name: headerNameOf(item) };
}

const FINE = { error: null, failures: 0, due_at: null };

function reasonOf(put: Put): string {
  if (!("failure" in put)) return MASKED;
  return `Convoy refused it: ${mendableReason(put.failure) ?? shownReason(put.failure)}.`;
}

const MASKED =
  "The endpoint has credentials that were set in Convoy's dashboard and that Convoy does not show: a change would lose them. Change it there.";

type Step = { ok: true; learned: Learned } | Failure;

/** Activates it at Convoy if a caller wants that. */
async function lift({ convoy, claimed }: Job, item: ConvoyEndpoint): Promise<Step> {
  const there = thereOf(item);
  const isToLift = claimed.lift === 1 && there !== "active";
  if (!isToLift) return { ok: true, learned: { there, lift: 0 } };
  const lifted = await (there === "paused" ? togglePause : activateInactive)(convoy, claimed.id);
  return lifted.ok ? { ok: true, learned: { there: "active", lift: 0 } } : lifted;
}

/** Makes the subscription without which it gets nothing. One that somebody filtered is theirs. */
async function subscribe({ convoy, claimed }: Job, item: ConvoyEndpoint): Promise<Step> {
  const made = await ensureSubscription(convoy, claimed.id, item.name);
  return made.ok ? { ok: true, learned: {} } : made;
}

async function rotate({ convoy, claimed }: Job, _: ConvoyEndpoint, extra: Extra): Promise<Step> {
  if (!extra.secret) return { ok: true, learned: {} };
  const made = await rotateSecret(convoy, claimed.id, extra.secret);
  return made.ok ? { ok: true, learned: {} } : made;
}

/** A 404 proves nothing: only a complete list of the owner's, of our own project, does. */
async function missing(work: Job): Promise<Reconciled> {
  const { convoy, claimed } = work;
  const foreign = await foreignKey(convoy);
  if (foreign) return later(work, foreign);
  const listed = await listEndpoints(convoy, { perPage: LIST_MAX, ownerId: claimed.owner });
  if (!listed.ok) return later(work, listed);
  const { items, next } = listed.data;
  if (next !== null || items.some(({ uid }) => uid === claimed.id)) {
    return later(work, { ok: false, status: 404, message: "", retryAfterMs: null });
  }
  const error = "Convoy does not have it any more.";
  await endClaim(work.db, claimed, { there: "missing", error, failures: 0, due_at: null });
  return { kind: "missing" };
}

/** Removes it at Convoy; the record stays for a while. */
async function remove(work: Job): Promise<Reconciled> {
  const { db, convoy, claimed } = work;
  const gone = await deleteEndpoint(convoy, claimed.id);
  if (!gone.ok) {
    if (!isEndpointMissing(gone)) return later(work, gone);
    // "Not found" of another project's key, or of a Convoy whose database is down, says nothing.
    const foreign = await foreignKey(convoy);
    const listed = foreign ?? (await listEndpoints(convoy, { perPage: 1, ownerId: claimed.owner }));
    if (!listed.ok) return later(work, listed);
  }
  await endClaim(db, claimed, FINE);
  return { kind: "removed" };
}

/** Ends the claim, to be tried again. `isSent`: a call that changes something may still be carried out. */
async function later(
  { db, claimed }: Job,
  failure: Failure,
  { learned = {}, isSent = false }: { learned?: Learned; isSent?: boolean } = {},
): Promise<Reconciled> {
  const holds = isSent && failure.status === null && !failure.notSent;
  const again = tryAgain(claimed, `${shownReason(failure)}.`);
  const due_at = holds ? claimed.lease_until : again.due_at;
  await endClaim(db, claimed, { ...learned, ...again, due_at, holds });
  return { kind: "silent", failure };
}

function tryAgain(claimed: Claimed, error: string) {
  const failures = claimed.failures + 1;
  const wait = Math.min(RETRY_MIN_MS * 2 ** (failures - 1), RETRY_MAX_MS);
  return { failures, error, due_at: Date.now() + wait };
}

/** Logs that an endpoint's owner was changed at Convoy; the PUT that follows puts it back. */
function noteOwner({ id, owner }: EndpointRow, { owner_id: found }: ConvoyEndpoint): void {
  if (found === owner) return;
  const warning = "owner changed at Convoy, put back";
  console.warn(JSON.stringify({ level: "warn", warning, endpoint: id, owner, found }));
}
