/**
 * Makes an endpoint at Convoy as it is wanted here: reads it, compares, makes the calls, records (docs/design.md). The
 * only code that changes an endpoint, its subscription or its secret at Convoy, beside its creation. It does not matter
 * who died where: it begins with what is there.
 */
import type { Answer, Convoy, Failure } from "../convoy/client.ts";
import { mendableReason, shownReason } from "../convoy/client.ts";
import {
  type Authentication,
  activateInactive,
  anotherProject,
  type ConvoyEndpoint,
  deleteEndpoint,
  foreignKey,
  getEndpoint,
  isEndpointMissing,
  isMasked,
  listEndpoints,
  putEndpoint,
  readSubscriptions,
  subscribe,
  togglePause,
} from "../convoy/endpoints.ts";
import type { Budget } from "../run.ts";
import { compare, fieldsOf, headerNameOf, seenOf, thereOf } from "./compare.ts";
import { type EndpointRow, endClaim, findEndpoint, type Outcome, type Wanted } from "./table.ts";

/** Lease of whoever works on an endpoint: calls of 15 s each, and D1. */
export const CLAIM_MS = 90_000;
/** A removed endpoint is remembered for this long: a Convoy restored from a backup does not bring it back. */
export const REMEMBERED_MS = 30 * 86_400_000;
/** Calls that one reconcile may need, with its claim and its record. */
export const RECONCILE_CALLS = 9;

// Wait before it is tried again; doubled each time, up to the longest.
const RETRY_MIN_MS = 50_000;
const RETRY_MAX_MS = 3_600_000;
// An endpoint that does not get webhooks is looked at this often: somebody may have changed that at Convoy.
const INACTIVE_LOOK_MS = 5 * 60_000;
// Pages of an owner's endpoints that are read to find out that one is not among them.
const LIST_PAGES = 20;
const LIST_PAGE = 100;

/**
 * What a caller wants now, beside what the record says: a header with its value, which is nowhere else; undefined keeps
 * what is there, null removes it.
 */
export type Wish = Partial<Wanted> & { authentication?: Authentication | null | undefined };

/**
 * How it ended. refused: Convoy will not have what the caller wants; masked: it would lose credentials. missing: a
 * complete list of the owner's lacks it. silent: no answer that helps, and what is wanted is tried again.
 */
export type Reconciled =
  | { kind: "done"; row: EndpointRow }
  | { kind: "refused" | "silent"; failure: Failure }
  | { kind: "masked" | "missing" | "removed" };

type Work = { db: D1Database; convoy: Convoy; claimed: EndpointRow };

/**
 * Reconciles a claimed endpoint, and ends the claim. A wish is recorded only if Convoy has taken it.
 * @throws StorageError: the claim ends when its lease does
 */
export async function reconcile(work: Work, wish: Wish = {}): Promise<Reconciled> {
  if (work.claimed.wanted === "removed") return remove(work);
  const read = await readOwn(work.convoy, work.claimed.id);
  if (!read.ok) return isEndpointMissing(read) ? missing(work) : later(work, read);
  const item = read.data;
  const applied = await apply(work, item, wish);
  if (applied.kind !== "applied") return applied;
  const lifted = await lift(work, item);
  if (!lifted.ok) return later(work, lifted, applied.outcome);
  const subscribed = await ensureSubscription(work, item);
  if (!subscribed.ok) return later(work, subscribed, { ...applied.outcome, there: lifted.there });
  return ended(work, {
    ...applied.outcome,
    there: lifted.there,
    lift: 0,
    error: null,
    failures: 0,
    due_at: lifted.there === "active" ? null : Date.now() + INACTIVE_LOOK_MS,
  });
}

/** The endpoint at Convoy; one of another project is not ours. */
async function readOwn(convoy: Convoy, id: string): Promise<Answer<ConvoyEndpoint>> {
  const read = await getEndpoint(convoy, id);
  return read.ok && read.data.project_id !== convoy.projectId ? anotherProject() : read;
}

/** Puts what is wanted there, if anything differs. */
async function apply(work: Work, item: ConvoyEndpoint, wish: Wish) {
  const { claimed, convoy } = work;
  const { authentication, ...fields } = wish;
  const row = { ...claimed, ...fields };
  const { wanted, isToPut } = compare(row, seenOf(item));
  noteOwner(claimed, item);
  const isOwners = item.owner_id === claimed.owner;
  const kept = { ...fields, header_name: headerNameOf(item) };
  if (!isToPut && isOwners && authentication === undefined) {
    const outcome: Outcome = { ...kept, ...wanted, applied: JSON.stringify(wanted) };
    return { kind: "applied", outcome } as const;
  }
  if (authentication === undefined && isMasked(item)) {
    await release(work, { error: MASKED });
    return { kind: "masked" } as const;
  }
  const put = await putEndpoint(convoy, item, {
    ...fieldsOf(claimed.owner, wanted),
    ...(authentication === undefined ? {} : { authentication: authentication ?? undefined }),
  });
  if (!put.ok) return refusedOr(work, put);
  // Convoy has the last word: without a licence a timeout is always 10 s.
  const applied = seenOf(put.data);
  const headerName =
    authentication === undefined
      ? kept.header_name
      : (authentication?.api_key?.header_name ?? null);
  const outcome: Outcome = { ...kept, ...applied, header_name: headerName };
  return { kind: "applied", outcome: { ...outcome, applied: JSON.stringify(applied) } } as const;
}

const MASKED =
  "The endpoint has credentials that were set in Convoy's dashboard and that Convoy does not show: a change would lose them. Change it there.";

async function refusedOr(work: Work, failure: Failure): Promise<Reconciled> {
  const reason = mendableReason(failure);
  if (reason === null) return later(work, failure);
  await release(work, { error: `Convoy refused it: ${reason}.` });
  return { kind: "refused", failure };
}

/** Activates it at Convoy if a caller wants that. @returns what it is there afterwards */
async function lift({ convoy, claimed }: Work, item: ConvoyEndpoint) {
  const there = thereOf(item);
  const isToLift = claimed.lift === 1 && claimed.wanted === "active" && there !== "active";
  if (!isToLift) return { ok: true, there } as const;
  const lifted = await (there === "paused" ? togglePause : activateInactive)(convoy, claimed.id);
  return lifted.ok ? ({ ok: true, there: "active" } as const) : lifted;
}

/** Makes the subscription without which it gets nothing. One that somebody filtered is theirs. */
async function ensureSubscription({ convoy, claimed }: Work, item: ConvoyEndpoint) {
  const read = await readSubscriptions(convoy, [claimed.id]);
  if (!read.ok || read.data.get(claimed.id) !== "lacking") return read;
  return subscribe(convoy, claimed.id, item.name);
}

/** A 404 proves nothing: only a complete list of the owner's, of our own project, does. */
async function missing(work: Work): Promise<Reconciled> {
  const { convoy, claimed } = work;
  const foreign = await foreignKey(convoy);
  if (foreign) return later(work, foreign);
  let cursor: string | undefined;
  for (let page = 0; page < LIST_PAGES; page++) {
    const options = { perPage: LIST_PAGE, cursor, ownerId: claimed.owner };
    const listed = await listEndpoints(convoy, options);
    if (!listed.ok) return later(work, listed);
    const { items, next } = listed.data;
    const isOurs = items.every(({ project_id }) => project_id === convoy.projectId);
    if (!isOurs) return later(work, anotherProject());
    if (items.some(({ uid }) => uid === claimed.id)) break;
    if (next === null || next === cursor) {
      const due_at = Date.now() + INACTIVE_LOOK_MS;
      await endClaim(
        work.db,
        claimed,
        { there: "missing", error: "Convoy does not have it any more.", failures: 0, due_at },
        Date.now(),
      );
      return { kind: "missing" };
    }
    cursor = next;
  }
  return later(work, { ok: false, status: 404, message: "", retryAfterMs: null });
}

/** Removes it at Convoy; the record stays for a while. */
async function remove(work: Work): Promise<Reconciled> {
  const { db, convoy, claimed } = work;
  const gone = await deleteEndpoint(convoy, claimed.id);
  if (!gone.ok) {
    if (!isEndpointMissing(gone)) return later(work, gone);
    // "Not found" of another project's key, or of a Convoy whose database is down, says nothing.
    const foreign = await foreignKey(convoy);
    const listed = foreign ?? (await listEndpoints(convoy, { perPage: 1, ownerId: claimed.owner }));
    if (!listed.ok) return later(work, listed);
  }
  const now = Date.now();
  const due_at = claimed.updated_at + REMEMBERED_MS;
  const outcome: Outcome = {
    there: "missing",
    error: null,
    failures: 0,
    due_at: Math.max(due_at, now + 1),
  };
  await endClaim(db, claimed, outcome, now);
  return { kind: "removed" };
}

/** Ends the claim, to be tried again; what was learned meanwhile is kept. */
async function later(work: Work, failure: Failure, learned: Outcome = {}): Promise<Reconciled> {
  const failures = work.claimed.failures + 1;
  const wait = Math.min(RETRY_MIN_MS * 2 ** (failures - 1), RETRY_MAX_MS);
  const now = Date.now();
  const outcome: Outcome = {
    ...learned,
    failures,
    error: `${shownReason(failure)}.`,
    due_at: now + wait,
  };
  await endClaim(work.db, work.claimed, outcome, now);
  return { kind: "silent", failure };
}

/** Ends the claim; nothing is to be done. */
async function release(work: Work, outcome: Outcome): Promise<void> {
  await endClaim(work.db, work.claimed, outcome, Date.now());
}

async function ended({ db, claimed }: Work, outcome: Outcome): Promise<Reconciled> {
  const row = await endClaim(db, claimed, outcome, Date.now());
  if (row) return { kind: "done", row };
  // Our lease was over: whoever has it now finds the same at Convoy.
  const found = await findEndpoint(db, claimed.owner, claimed.id);
  return found ? { kind: "done", row: found } : { kind: "removed" };
}

/** Logs that an endpoint's owner was changed at Convoy; the PUT that follows puts it back. */
function noteOwner({ id, owner }: EndpointRow, { owner_id: found }: ConvoyEndpoint): void {
  if (found === owner) return;
  const said = { endpoint: id, owner, found };
  const warning = "owner changed at Convoy, put back";
  console.warn(JSON.stringify({ level: "warn", warning, ...said }));
}

/** Whether the budget allows one more. */
export function hasCalls(budget: Budget): boolean {
  return budget.left() >= RECONCILE_CALLS;
}
