/**
 * Makes an endpoint at Convoy as it is wanted here: reads it, compares, makes the calls (docs/design.md). The only code
 * that changes an endpoint, its subscription or its secret at Convoy, beside its creation. It does not matter who died
 * where: it begins with what is there.
 */
import {
  type Convoy,
  ENDPOINT_TIMEOUT_MS,
  type Failure,
  mendableReason,
  shownReason,
  unreadable,
} from "../convoy/client.ts";
import {
  type Authentication,
  activateInactive,
  type ConvoyEndpoint,
  deleteEndpoint,
  ensureSubscription,
  getEndpoint,
  isEndpointMissing,
  isLacking,
  isMasked,
  putEndpoint,
  rotateSecret,
  togglePause,
} from "../convoy/endpoints.ts";
import { type Claimed, endClaim, type Learned } from "./claim.ts";
import { differ, fieldsOf, headerNameOf, mergedOf, seenOf, thereOf } from "./compare.ts";

/** Subrequests that one reconcile may need, with its claim and its record. */
export const RECONCILE_CALLS = 8;

// Wait before it is tried again; doubled each time, up to the longest: short after an outage, which ends for all at once.
const RETRY_MIN_MS = 50_000;
const SILENT_RETRY_MAX_MS = 5 * 60_000;
const REFUSED_RETRY_MAX_MS = 3_600_000;

/**
 * What a caller wants beside what the record says, since D1 never has it: a header with its value (null removes it), a
 * new secret.
 */
export type Extra = {
  authentication?: Authentication | null | undefined;
  secret?: { secret: string; overlapHours: number };
};

/**
 * How it ended. refused: Convoy will not have the fields that are wanted; masked: that would lose credentials. missing:
 * our project's list lacks it. silent: no answer that helps. `rest`: what came after the fields got none. What was
 * refused or not answered is tried again.
 */
export type Reconciled =
  | { kind: "done" | "masked"; rest?: Failure }
  | { kind: "refused"; failure: Failure; rest?: Failure }
  | { kind: "silent"; failure: Failure }
  | { kind: "missing" | "removed" };

/** What got no answer that helps, or null. */
export function unanswered(ended: Reconciled): Failure | null {
  if (ended.kind === "silent") return ended.failure;
  return "rest" in ended ? (ended.rest ?? null) : null;
}

/** How it ended, and what to record of it. */
export type Ending<R extends Reconciled = Reconciled> = { ended: R; learned: Learned };

/** Where endpoints are. */
export type Work = { db: D1Database; convoy: Convoy };

/** Reconciles a claimed endpoint, and ends the claim. @throws StorageError: the claim ends when its lease does */
export async function reconcile({ db, convoy }: Work, claimed: Claimed): Promise<Reconciled> {
  const { ended, learned } = await makeAsWanted(convoy, claimed);
  await endClaim(db, claimed, learned);
  return ended;
}

/** Reconciles a claimed endpoint; the claim is still to be ended. */
export async function makeAsWanted(
  { send, ...at }: Convoy,
  claimed: Claimed,
  extra: Extra = {},
): Promise<Ending> {
  // Once the lease is over somebody else may be at work: a call that would not end by then is not made.
  const convoy: Convoy = {
    ...at,
    send: async (request) => {
      const isOver = Date.now() + ENDPOINT_TIMEOUT_MS > claimed.lease_until;
      return isOver ? Promise.reject(new Error("the lease is over")) : send(request);
    },
  };
  if (claimed.wanted === "removed") return remove(convoy, claimed);
  const read = await getEndpoint(convoy, claimed.id);
  if (!read.ok) return isEndpointMissing(read) ? missing(convoy, claimed) : silent(claimed, read);
  const item = read.data;
  const put = await apply(convoy, claimed, item, extra.authentication);
  if (put.ended.kind === "silent") return put;
  const unlifted = await lift(convoy, claimed, item);
  const isLifted = claimed.lift === 1 && !unlifted;
  Object.assign(put.learned, { there: isLifted ? "active" : thereOf(item) });
  if (isLifted) put.learned.lift = 0;
  const rest =
    unlifted ?? (await subscribe(convoy, claimed, item)) ?? (await rotate(convoy, claimed, extra));
  if (!rest) return put;
  return { ended: { ...put.ended, rest }, learned: { ...put.learned, ...later(claimed, rest) } };
}

/** Puts there what is wanted, if anything differs. Convoy has the last word: without a licence a timeout is 10 s. */
async function apply(
  convoy: Convoy,
  claimed: Claimed,
  item: ConvoyEndpoint,
  authentication: Extra["authentication"],
): Promise<Ending<Exclude<Reconciled, { kind: "missing" | "removed" }>>> {
  const seen = seenOf(item);
  const merged = mergedOf(claimed, seen);
  const known = { ...merged, applied: JSON.stringify(seen), header_name: headerNameOf(item) };
  noteOwner(claimed, item);
  const isAsWanted = !differ(merged, seen) && item.owner_id === claimed.owner;
  if (isAsWanted && authentication === undefined) {
    return { ended: { kind: "done" }, learned: { ...known, ...FINE } };
  }
  if (authentication === undefined && isMasked(item)) {
    const again = tryAgain(claimed, MASKED, REFUSED_RETRY_MAX_MS);
    return { ended: { kind: "masked" }, learned: { ...known, ...again } };
  }
  const put = await putEndpoint(convoy, item, {
    ...fieldsOf(claimed.owner, merged),
    ...(authentication === undefined ? {} : { authentication: authentication ?? undefined }),
  });
  if (put.ok) {
    const made = seenOf(put.data);
    const applied = JSON.stringify(made);
    const learned = { ...made, applied, header_name: headerNameOf(put.data), ...FINE };
    return { ended: { kind: "done" }, learned };
  }
  const reason = mendableReason(put);
  if (reason === null) return silent(claimed, put);
  const again = tryAgain(claimed, `Convoy refused it: ${reason}.`, REFUSED_RETRY_MAX_MS);
  return { ended: { kind: "refused", failure: put }, learned: { ...known, ...again } };
}

const FINE = { error: null, failures: 0, due_at: null };
const MASKED =
  "The endpoint has credentials that were set in Convoy's dashboard and that Convoy does not show: a change would lose them. Change it there.";

/** Activates it at Convoy if a caller wants that. @returns why it is not active */
async function lift(
  convoy: Convoy,
  { id, lift }: Claimed,
  item: ConvoyEndpoint,
): Promise<Failure | null> {
  const there = thereOf(item);
  if (lift === 0 || there === "active") return null;
  const lifted = await (there === "paused" ? togglePause : activateInactive)(convoy, id);
  if (!lifted.ok) return lifted;
  // A toggle of somebody else's may have come between.
  return thereOf(lifted.data) === "active" ? null : unreadable(lifted);
}

/** Makes the subscription without which it gets nothing. One that somebody filtered is theirs. */
async function subscribe(convoy: Convoy, { id }: Claimed, item: ConvoyEndpoint) {
  const made = await ensureSubscription(convoy, id, item.name || id);
  return made.ok ? null : made;
}

async function rotate(convoy: Convoy, { id }: Claimed, { secret }: Extra) {
  if (!secret) return null;
  const made = await rotateSecret(convoy, id, secret);
  return made.ok ? null : made;
}

/** A 404 proves nothing: only the list of our own project does. */
async function missing(convoy: Convoy, claimed: Claimed): Promise<Ending> {
  const lacking = await isLacking(convoy, claimed.id);
  if (!lacking.ok) return silent(claimed, lacking);
  if (!lacking.data) return silent(claimed, NOT_SHOWN);
  const error = "Convoy does not have it any more.";
  return {
    ended: { kind: "missing" },
    learned: { there: "missing", error, failures: 0, due_at: null },
  };
}

const NOT_SHOWN: Failure = { ok: false, status: 404, message: "", retryAfterMs: null };

/** Removes it at Convoy; the record stays for a while. */
async function remove(convoy: Convoy, claimed: Claimed): Promise<Ending> {
  const gone = await deleteEndpoint(convoy, claimed.id);
  if (!gone.ok) {
    if (!isEndpointMissing(gone)) return silent(claimed, gone);
    const lacking = await isLacking(convoy, claimed.id);
    if (!lacking.ok) return silent(claimed, lacking);
    if (!lacking.data) return silent(claimed, gone);
  }
  return { ended: { kind: "removed" }, learned: FINE };
}

function silent(claimed: Claimed, failure: Failure): Ending<{ kind: "silent"; failure: Failure }> {
  return { ended: { kind: "silent", failure }, learned: later(claimed, failure) };
}

/** It is tried again, but not while a call may still be carried out. */
function later(claimed: Claimed, failure: Failure): Learned {
  const again = tryAgain(claimed, `${shownReason(failure)}.`, SILENT_RETRY_MAX_MS);
  return failure.undecided ? { ...again, due_at: claimed.lease_until, holds: true } : again;
}

function tryAgain(claimed: Claimed, error: string, maxMs: number) {
  const failures = claimed.failures + 1;
  const wait = Math.min(RETRY_MIN_MS * 2 ** (failures - 1), maxMs);
  return { failures, error, due_at: Date.now() + wait };
}

/** Logs that an endpoint's owner was changed at Convoy; the PUT that follows puts it back. */
function noteOwner({ id, owner }: Claimed, { owner_id: found }: ConvoyEndpoint): void {
  if (found === owner) return;
  const warning = "owner changed at Convoy, put back";
  console.warn(JSON.stringify({ level: "warn", warning, endpoint: id, owner, found }));
}
