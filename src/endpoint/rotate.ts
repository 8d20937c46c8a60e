/** Rotating an endpoint's secret: the old one keeps signing for its overlap. No secret is ever stored here. */
import { encodeBase64Url } from "hono/utils/encode";
import type { Convoy } from "../convoy/client.ts";
import { isEndpointMissing, rotateSecret as rotateAtConvoy } from "../convoy/endpoints.ts";
import { problem } from "../errors.ts";
import { notFound, refusal } from "./problems.ts";
import { CLAIM_MS } from "./reconcile.ts";
import { ROTATION_OVERLAP_H } from "./schema.ts";
import { claim, type EndpointRow, endClaim } from "./table.ts";

const SECRET_BYTES = 24;

/** The endpoint and its new secret: returned once. */
export type Rotated = { row: EndpointRow; secret: string; overlapHours: number };

/**
 * Rotates the secret. Of two rotations at once one is refused, so that every caller knows whose secret signs. If Convoy
 * does not answer, it may have been rotated: the caller rotates again.
 * @throws Problem, StorageError
 */
export async function rotateSecret(
  { db, convoy }: { db: D1Database; convoy: Convoy },
  row: EndpointRow,
  wanted: { secret?: string | undefined; overlap_hours?: number | undefined },
): Promise<Rotated> {
  const now = Date.now();
  const claimed = await claim(db, row.id, { now, lease: now + CLAIM_MS });
  if (!claimed) {
    throw problem(409, "The endpoint is being changed. The secret was not rotated: try again.");
  }
  if (claimed.wanted === "removed") throw notFound();
  const secret = wanted.secret ?? newSecret();
  const overlapHours = wanted.overlap_hours ?? ROTATION_OVERLAP_H;
  const answer = await rotateAtConvoy(convoy, row.id, { secret, overlapHours });
  // What was due before is due still; a "not found" is to be looked at.
  const isDoubted = !answer.ok && isEndpointMissing(answer);
  const due_at = isDoubted ? Date.now() : row.due_at;
  const after = await endClaim(db, claimed, { due_at }, Date.now());
  if (!answer.ok) throw refusal(answer);
  return { row: after ?? claimed, secret, overlapHours };
}

function newSecret(): string {
  return `whsec_${encodeBase64Url(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)).buffer)}`;
}
