/** Tokens: what makes one valid, whose it is, and how ours are made. */
import type { JWK, JWTVerifyResult } from "jose";
import { encode } from "jose/base64url";
import { decodeProtectedHeader } from "jose/decode/protected_header";
import { jwtVerify } from "jose/jwt/verify";
import { PUBLISHED_ALGORITHMS, publishedKeys } from "./jwks.ts";
import { KEY_SETTINGS, type Keys } from "./keys.ts";
import { type GivenSettings, SettingError, settingsOf } from "./settings.ts";

/** Most bytes of an owner: its base64 and a resource's id must fit in KV's key of 512 bytes. */
const OWNER_MAX_BYTES = 255;
/** How far the issuer's clock and ours may differ. */
export const CLOCK_LEEWAY_S = 60;

/** Claim `scope` of a token that opens only the portal's routes. */
export const PORTAL_SCOPE = "portal";
/** Claim `scope` of a token whose holder operates the service. */
export const OPERATOR_SCOPE = "operator";

/** Who sent a token. A portal's caller is never an operator. */
export type Caller = { owner: string; portal: boolean; operator: boolean };

/**
 * Who sent this token, or why it is refused, in a message that contains nothing of it.
 * @throws SettingError if it cannot be checked
 */
export async function verifyToken(
  keys: Keys,
  token: string,
): Promise<Caller | { refused: string }> {
  try {
    const { payload, protectedHeader } = await verified(keys, token);
    const { sub, exp, iat } = payload;
    // Missing, or JSON's 1e999, which is Infinity: such a token would never expire.
    if (!Number.isFinite(exp)) return { refused: "The token has no exp." };
    // jose checks iat only against a maximum age.
    if (iat !== undefined && iat > Date.now() / 1_000 + CLOCK_LEEWAY_S) return { refused: EARLY };
    if (!isOwner(sub)) return { refused: `The token's sub ${OWNER_RULE}` };
    const scopes = String(payload.scope ?? "").split(/[\s,]+/);
    const portal = scopes.includes(PORTAL_SCOPE);
    // PORTAL_SECRET may sign portal links, not tokens that open everything.
    if (keys.jwksUrl && protectedHeader.alg === "HS256" && !portal) return { refused: ALGORITHM };
    return { owner: sub, portal, operator: !portal && scopes.includes(OPERATOR_SCOPE) };
  } catch (error) {
    if (error instanceof SettingError) throw error;
    return { refused: reasonOf(error as { code?: string; claim?: string }) };
  }
}

/** Verifies with each key that fits until one does: an issuer may publish several under one kid. */
async function verified(keys: Keys, token: string): Promise<JWTVerifyResult> {
  const { issuer, audience } = keys;
  const { alg = "", kid } = decodeProtectedHeader(token);
  const options = {
    algorithms: [alg],
    clockTolerance: CLOCK_LEEWAY_S,
    ...(issuer ? { issuer } : {}),
    ...(audience ? { audience } : {}),
  };
  let refusal: unknown = { code: "no key" };
  for (const key of await keysFor(keys, alg, kid)) {
    try {
      return await jwtVerify(token, key, options);
    } catch (error) {
      refusal = error;
      // The signature is right, what it says is not: another key would not mend that.
      if (/^ERR_JWT_/.test((error as { code?: string }).code ?? "")) break;
    }
  }
  throw refusal;
}

/** HS256 only with a secret, anything else only with published keys: never the other way round. */
async function keysFor(
  { secret, jwksUrl }: Keys,
  alg: string,
  kid: unknown,
): Promise<(CryptoKey | JWK)[]> {
  if (alg === "HS256" && secret) return [await hmacKeyOf(secret)];
  if (!jwksUrl || !PUBLISHED_ALGORITHMS.includes(alg)) throw { code: "ERR_JOSE_ALG_NOT_ALLOWED" };
  if (typeof kid !== "string") throw { code: "no kid" };
  return publishedKeys(jwksUrl, { alg, kid });
}

// The settings of an isolate keep their secret: it is imported once.
const hmacKeys = new WeakMap<Uint8Array, CryptoKey>();

async function hmacKeyOf(secret: Uint8Array): Promise<CryptoKey> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key =
    hmacKeys.get(secret) ??
    (await crypto.subtle.importKey("raw", secret, algorithm, false, ["sign", "verify"]));
  hmacKeys.set(secret, key);
  return key;
}

const EARLY = "The token is not valid yet.";
const ALGORITHM = "The token's algorithm is not accepted.";
const REASONS: { [code: string]: string } = {
  ERR_JWT_EXPIRED: "The token has expired.",
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: "The token's signature does not match our key.",
  ERR_JOSE_ALG_NOT_ALLOWED: ALGORITHM,
  "no kid": "The token's header has no kid.",
};
const CLAIM_REASONS: { [claim: string]: string } = {
  exp: "The token has no exp.",
  nbf: EARLY,
  iat: EARLY,
  iss: "The token has another issuer.",
  aud: "The token is for another audience.",
};

function reasonOf({ code = "", claim = "" }: { code?: string; claim?: string }): string {
  return (
    REASONS[code] ??
    CLAIM_REASONS[claim] ??
    "The token is malformed, or signed with a key that we do not know."
  );
}

/** The rule for an owner's name, to follow "sub" or "OWNER" in a message. */
export const OWNER_RULE = `must be 1 to ${OWNER_MAX_BYTES} bytes of UTF-8, without control characters or leading or trailing white space.`;

/**
 * Whether this can be an owner. A lone surrogate has no UTF-8: two such owners would share a key.
 * Convoy trims owner ids, and its Postgres rejects U+0000: such an owner's events would fail forever.
 */
export function isOwner(sub: unknown): sub is string {
  return (
    typeof sub === "string" &&
    sub !== "" &&
    sub.isWellFormed() &&
    sub.trim() === sub &&
    !/\p{Cc}/u.test(sub) &&
    new TextEncoder().encode(sub).length <= OWNER_MAX_BYTES
  );
}

/**
 * A token for the owner, signed with AUTH_SECRET, or with PORTAL_SECRET if AUTH_JWKS_URL is set.
 * @throws SettingError if neither secret is set
 */
export async function mintToken(
  given: GivenSettings,
  owner: string,
  { expiresInS, scope }: { expiresInS: number; scope?: string | undefined },
): Promise<string> {
  // Also where AUTH is "open" at the moment: the token is for a Worker that checks it.
  const { auth } = settingsOf({ ...given, AUTH: "jwt" }, KEY_SETTINGS);
  if (auth.mode === "open" || !auth.secret) {
    throw new SettingError(
      "Tokens come from AUTH_JWKS_URL, portal links are signed with PORTAL_SECRET: set it, at least 32 bytes (`openssl rand -base64 32`).",
    );
  }
  const nowS = Math.floor(Date.now() / 1_000);
  const { issuer: iss, audience: aud, secret } = auth;
  const claims = { sub: owner, iss, aud, scope, iat: nowS, exp: nowS + Math.round(expiresInS) };
  return sign(claims, secret);
}

// jose's SignJWT would add a kilobyte to the Worker for these lines.
async function sign(claims: object, secret: Uint8Array): Promise<string> {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const json = (value: object) => encode(bytes(JSON.stringify(value)));
  const signed = `${json({ alg: "HS256", typ: "JWT" })}.${json(claims)}`;
  const signature = await crypto.subtle.sign("HMAC", await hmacKeyOf(secret), bytes(signed));
  return `${signed}.${encode(new Uint8Array(signature))}`;
}

/**
 * A token that opens only /endpoint, /event and /delivery to the owner, for `expiresInS` seconds. Not needed while
 * AUTH is "open".
 * @throws SettingError if no secret is set to sign it
 */
export function mintPortalToken(given: GivenSettings, owner: string, expiresInS: number) {
  return mintToken(given, owner, { expiresInS, scope: PORTAL_SCOPE });
}
