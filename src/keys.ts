/** Which keys check tokens, and which settings keep strangers out. */
import { type Reader, safeAddress, secret, text } from "./setting-values.ts";

/** `secret` verifies HS256; next to `jwksUrl` it is PORTAL_SECRET and valid only for portal tokens. */
export type Keys = {
  secret?: Uint8Array | undefined;
  jwksUrl?: string | undefined;
  issuer?: string | undefined;
  audience?: string | undefined;
};

/** The settings that decide how tokens are checked. */
export const KEY_SETTINGS = [
  "AUTH",
  "AUTH_SECRET",
  "AUTH_JWKS_URL",
  "AUTH_ISSUER",
  "AUTH_AUDIENCE",
  "PORTAL_SECRET",
] as const;

/** The keys of these settings; refuses what is missing, weak or contradictory. */
export function keysOf({ take, has, refuse }: Reader<(typeof KEY_SETTINGS)[number]>): Keys {
  const issuer = take("AUTH_ISSUER", text, undefined);
  const audience = take("AUTH_AUDIENCE", text, undefined);
  const bySecret = has("AUTH_SECRET");
  const byJwks = has("AUTH_JWKS_URL");
  if (bySecret && byJwks) {
    refuse("AUTH_SECRET", "AUTH_SECRET and AUTH_JWKS_URL are both set: keep one of the two.");
  } else if (bySecret && has("PORTAL_SECRET")) {
    refuse(
      "PORTAL_SECRET",
      "PORTAL_SECRET is for AUTH_JWKS_URL; portal links are signed with AUTH_SECRET here: remove PORTAL_SECRET.",
    );
  } else if (!bySecret && !byJwks) {
    refuse(
      "AUTH_SECRET",
      "No way to check tokens: set AUTH_SECRET to at least 32 bytes (`npx wrangler secret put AUTH_SECRET`), or AUTH_JWKS_URL and AUTH_AUDIENCE.",
    );
  }
  if (!byJwks) return { secret: take("AUTH_SECRET", secret, undefined), issuer, audience };
  if (!has("AUTH_AUDIENCE")) {
    refuse(
      "AUTH_AUDIENCE",
      "AUTH_JWKS_URL needs AUTH_AUDIENCE: without it, a token that the issuer signed for any other service would be accepted here.",
    );
  }
  return {
    jwksUrl: take("AUTH_JWKS_URL", safeAddress, undefined),
    secret: take("PORTAL_SECRET", secret, undefined),
    issuer,
    audience,
  };
}
