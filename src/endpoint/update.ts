/**
 * Changing an endpoint: one change at a time, at Convoy first, then in the record (docs/design.md,
 * section 7).
 */
import { encodeBase64Url } from "hono/utils/encode";
import { CHANGE_LEASE_MS, CHANGE_WAITS_MS, ROTATION_OVERLAP_H, SECRET_BYTES } from "../config.ts";
import type { Convoy, Failure } from "../convoy/client.ts";
import { mendableReason } from "../convoy/client.ts";
import {
  type ConvoyEndpoint,
  getEndpoint,
  isEndpointMissing,
  putEndpoint,
  rotateSecret as rotateAtConvoy,
} from "../convoy/endpoints.ts";
import { sleep } from "../run.ts";
import { batch, type Statement } from "../storage.ts";
import { recoverDiscarded, recoverResumed } from "./recovery-table.ts";
import type { EndpointPatch } from "./schema.ts";
import {
  claimEndpoint,
  type EndpointRow,
  endClaim,
  findEndpoint,
  follow,
  markMissing,
  type Seen,
  type SeenStatus,
} from "./table.ts";

/**
 * Why a call on an endpoint failed, wholly or in part. busy: another change is in progress. removed: the
 * owner no longer has it. gone: Convoy no longer has it. refused: Convoy refused, or did not respond.
 * full: the owner has as many as it may have.
 */
export type Trouble =
  | { kind: "busy"; row: EndpointRow }
  | { kind: "removed" | "gone" | "another project" | "too slow" }
  | { kind: "refused"; failure: Failure }
  | { kind: "full"; max: number };

/** The result of a call on an endpoint. */
export type Result<T> = { ok: true; value: T } | { ok: false; trouble: Trouble };

/** The result of a call that failed. */
export function trouble(why: Trouble): { ok: false; trouble: Trouble } {
  return { ok: false, trouble: why };
}

/**
 * Claims the endpoint, waiting a few seconds for a change in progress.
 * @throws StorageError
 */
export async function claim(
  db: D1Database,
  { owner, id }: EndpointRow,
  to?: "pausing" | "activating",
): Promise<Result<EndpointRow>> {
  for (const wait of [...CHANGE_WAITS_MS, null]) {
    const now = Date.now();
    const lease = now + CHANGE_LEASE_MS;
    const claimed = await claimEndpoint(db, { owner, id }, { now, lease, ...(to ? { to } : {}) });
    if (claimed) return { ok: true, value: claimed };
    const row = await findEndpoint(db, owner, id);
    if (!row) return trouble({ kind: "removed" });
    if (wait === null) return trouble({ kind: "busy", row });
    await sleep(wait);
  }
  throw new Error("unreachable");
}

/**
 * Ends a claim and records what Convoy says (null: gone). A pause or activation that is still to be made
 * stays so, and the cron makes it; what was discarded while the endpoint was not active is resent.
 * @throws StorageError
 */
export function recordSeen(
  db: D1Database,
  convoy: Convoy,
  claimed: EndpointRow,
  item: ConvoyEndpoint | null,
): Promise<EndpointRow | null> {
  const now = Date.now();
  if (!item) return endClaim(db, claimed, { status: "missing" }, now);
  const { id, status, ...fields } = toSeen(item);
  if (claimed.status === "pausing" || claimed.status === "activating") {
    return endClaim(db, claimed, { ...fields, due_at: now }, now);
  }
  if (status !== "active" || claimed.status === "active") {
    return endClaim(db, claimed, { ...fields, status }, now);
  }
  const since = claimed.paused_at ?? now;
  const recovery = recoverDiscarded(convoy.projectId, id, {
    since,
    now,
    action: "retry",
    due: now,
  });
  return endClaim(db, claimed, { ...fields, status, paused_at: null }, now, recovery);
}

/**
 * Changes the given fields. Convoy's PUT replaces everything: what it has is read, changed, and sent
 * back. A request that dies on the way leaves its claim: the cron then records what Convoy has.
 * @throws StorageError
 */
export async function changeEndpoint(
  db: D1Database,
  convoy: Convoy,
  row: EndpointRow,
  patch: EndpointPatch,
): Promise<Result<EndpointRow>> {
  const claimed = await claim(db, row);
  if (!claimed.ok) return claimed;
  const read = await readEndpoint(convoy, row.id);
  if (!read.ok) return giveUp(db, convoy, claimed.value, read.failure, "unchanged");
  noteOwner(row, read.item);
  const { http_timeout, ...rest } = patch;
  const answer = await putEndpoint(convoy, read.item, {
    ...withoutUndefined(rest),
    ...(http_timeout === undefined ? {} : { http_timeout }),
    owner_id: row.owner,
  });
  if (!answer.ok) {
    const refused = mendableReason(answer) !== null;
    return giveUp(db, convoy, claimed.value, answer, refused ? "unchanged" : "unknown");
  }
  // Convoy's response to a PUT is not all that it has: take the status from the read.
  const item = { ...answer.data, status: read.item.status };
  const recorded = await recordSeen(db, convoy, claimed.value, item);
  // Null: our lease was over, and its new holder records what Convoy has.
  const after = recorded ?? (await findEndpoint(db, row.owner, row.id));
  return after ? { ok: true, value: after } : trouble({ kind: "removed" });
}

/** Ends a claim after a failure: gone, unchanged, or unknown, which the cron checks. */
export async function giveUp(
  db: D1Database,
  convoy: Convoy,
  claimed: EndpointRow,
  failure: Failure,
  left: "unchanged" | "unknown",
): Promise<{ ok: false; trouble: Trouble }> {
  if (isEndpointMissing(failure)) {
    await recordSeen(db, convoy, claimed, null);
    return trouble({ kind: "gone" });
  }
  const now = Date.now();
  await endClaim(db, claimed, { due_at: left === "unknown" ? now : null }, now);
  return trouble({ kind: "refused", failure });
}

/** The endpoint at Convoy; one of another project is not ours. Never throws. */
export async function readEndpoint(
  convoy: Convoy,
  id: string,
): Promise<{ ok: true; item: ConvoyEndpoint } | { ok: false; failure: Failure }> {
  const read = await getEndpoint(convoy, id);
  if (!read.ok) return { ok: false, failure: read };
  if (read.data.project_id === convoy.projectId) return { ok: true, item: read.data };
  const failure = { status: 404, message: "Resource not found", retryAfterMs: null } as const;
  return { ok: false, failure: { ok: false, ...failure } };
}

/** The endpoint and its new secret: returned once, never stored. */
export type Rotated = { row: EndpointRow; secret: string; overlapHours: number };

/**
 * Rotates the secret: the old one keeps signing for its overlap. If Convoy fails, it may or may not have
 * been replaced.
 * @throws StorageError
 */
export async function rotateSecret(
  db: D1Database,
  convoy: Convoy,
  row: EndpointRow,
  wanted: { secret?: string | undefined; overlap_hours?: number | undefined },
): Promise<Result<Rotated>> {
  const secret = wanted.secret ?? newSecret();
  const overlapHours = wanted.overlap_hours ?? ROTATION_OVERLAP_H;
  const askedAt = Date.now();
  const answer = await rotateAtConvoy(convoy, row.id, { secret, overlapHours });
  if (!answer.ok) {
    if (!isEndpointMissing(answer)) return trouble({ kind: "refused", failure: answer });
    await markMissing(db, [row.id], Date.now());
    return trouble({ kind: "gone" });
  }
  const seen = toSeen(answer.data);
  if (seen.status === row.status) return { ok: true, value: { row, secret, overlapHours } };
  await batch(db, followAll(convoy.projectId, [seen], askedAt));
  const after = (await findEndpoint(db, row.owner, row.id)) ?? row;
  return { ok: true, value: { row: after, secret, overlapHours } };
}

/** Adopts what Convoy says about endpoints, and resends what those that are active again missed. */
export function followAll(project: string, seen: SeenStatus[], askedAt: number): Statement[] {
  const now = Date.now();
  return [recoverResumed(project, seen, askedAt, now), follow(seen, askedAt, now)];
}

function newSecret(): string {
  return `whsec_${encodeBase64Url(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)).buffer)}`;
}

/** What Convoy says about an endpoint, in the record's terms. */
export function toSeen(item: ConvoyEndpoint): Seen {
  return {
    id: item.uid,
    name: item.name,
    url: item.url,
    description: item.description,
    http_timeout_s: item.http_timeout,
    status: toStatus(item.status),
  };
}

/** Convoy's status of an endpoint, in the record's terms: what is neither paused nor inactive gets webhooks. */
export function toStatus(status: string): Seen["status"] {
  return status === "paused" || status === "inactive" ? status : "active";
}

/** Logs that an endpoint's owner was changed at Convoy; the PUT that follows restores it. */
export function noteOwner(row: EndpointRow, item: ConvoyEndpoint): void {
  if (item.owner_id === row.owner) return;
  const said = { endpoint: row.id, owner: row.owner, found: item.owner_id ?? null };
  console.warn(
    JSON.stringify({ level: "warn", warning: "owner changed at Convoy, put back", ...said }),
  );
}

function withoutUndefined<T extends object>(fields: T) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [key in keyof T]: Exclude<T[key], undefined>;
  };
}
