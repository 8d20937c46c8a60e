/** A new signing secret, while the old one goes on signing for its overlap. */
import { encodeBase64Url } from "hono/utils/encode";
import { type Bindings, ROTATION_OVERLAP_H, SECRET_BYTES } from "../config.ts";
import { convoyOf } from "../convoy/client.ts";
import { rotateSecret as rotateAtConvoy } from "../convoy/endpoints.ts";
import { refusal } from "./refusal.ts";
import { type EndpointRow, findEndpoint } from "./table.ts";

/** The endpoint and its new secret: given once, never stored. */
export type Rotated = { row: EndpointRow; secret: string; overlapHours: number };

/**
 * Rotates the secret of the owner's endpoint.
 * @returns null where the owner has no such endpoint
 * @throws HTTPException 502 or 503 where Convoy does not: the old secret may or may not have been replaced
 */
export async function rotateSecret(
  env: Bindings,
  owner: string,
  id: string,
  wanted: { secret?: string | undefined; overlap_hours?: number | undefined },
): Promise<Rotated | null> {
  const row = await findEndpoint(env.DB, owner, id);
  if (!row) return null;
  const secret = wanted.secret ?? newSecret();
  const overlapHours = wanted.overlap_hours ?? ROTATION_OVERLAP_H;
  const answer = await rotateAtConvoy(convoyOf(env), id, { secret, overlapHours });
  if (!answer.ok) throw refusal(answer);
  return { row, secret, overlapHours };
}

function newSecret(): string {
  return `whsec_${encodeBase64Url(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)).buffer)}`;
}
