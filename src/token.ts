/** Tokens: which settings verify them, what makes one valid, and how ours are made. */
import type { JWK, JWSHeaderParameters } from "jose";
import { encode } from "jose/base64url";
import { jwtVerify } from "jose/jwt/verify";
import {
  AUTH_SECRET_MIN_BYTES,
  CLOCK_LEEWAY_S,
  JWKS_KEEP_MS,
  JWKS_RETRY_MS,
  JWKS_TIMEOUT_MS,
  JWKS_UNKNOWN_KID_MS,
  OWNER_MAX_BYTES,
  SettingError,
  type Settings,
} from "./config.ts";
import { logError, withTimeout } from "./run.ts";

/** Claim `scope` of a token that opens only the portal's routes. */
export const PORTAL_SCOPE = "portal";
/** Claim `scope` of a token whose holder operates the service. */
export const OPERATOR_SCOPE = "operator";

/** Who sent a token. A portal's caller is never an operator. */
export type Caller = { owner: string; portal: boolean; operator: boolean };

/** `secret` verifies HS256; next to `jwksUrl` it is PORTAL_SECRET and valid only for portal tokens. */
export type Keys = { secret?: Uint8Array; jwksUrl?: string };

/**
 * The keys that verify tokens under these settings.
 * @throws SettingError that says what to set, if they are missing, weak or contradict each other
 */
export function keysOf(settings: Settings): Keys {
  const { AUTH_SECRET, AUTH_JWKS_URL, AUTH_AUDIENCE, PORTAL_SECRET } = settings;
  if (AUTH_SECRET && AUTH_JWKS_URL) {
    throw new SettingError("AUTH_SECRET and AUTH_JWKS_URL are both set: keep one of the two.");
  }
  if (AUTH_SECRET && PORTAL_SECRET) {
    throw new SettingError(
      "PORTAL_SECRET is for AUTH_JWKS_URL; portal links are signed with AUTH_SECRET here: remove PORTAL_SECRET.",
    );
  }
  if (AUTH_SECRET) return { secret: strong("AUTH_SECRET", AUTH_SECRET) };
  if (!AUTH_JWKS_URL) {
    throw new SettingError(
      "No way to check tokens: set AUTH_SECRET (`npx wrangler secret put AUTH_SECRET`), or AUTH_JWKS_URL and AUTH_AUDIENCE.",
    );
  }
  const url = URL.parse(AUTH_JWKS_URL);
  if (
    !url ||
    !(url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url.hostname)))
  ) {
    throw new SettingError("AUTH_JWKS_URL must be an https address.");
  }
  if (!AUTH_AUDIENCE) {
    throw new SettingError(
      "AUTH_JWKS_URL needs AUTH_AUDIENCE: without it, a token that the issuer signed for any other service would be accepted here.",
    );
  }
  const jwksUrl = url.href;
  return PORTAL_SECRET ? { jwksUrl, secret: strong("PORTAL_SECRET", PORTAL_SECRET) } : { jwksUrl };
}

/**
 * The secret's bytes. White space around it does not count as strength: a botched copy leaves it.
 * @throws SettingError that says how to make a better one
 */
export function strong(name: string, secret: string): Uint8Array {
  if (new TextEncoder().encode(secret.trim()).length >= AUTH_SECRET_MIN_BYTES) {
    return new TextEncoder().encode(secret);
  }
  throw new SettingError(
    `${name} must be at least ${AUTH_SECRET_MIN_BYTES} bytes long: \`openssl rand -base64 32\` makes one.`,
  );
}

/**
 * Who sent this token, or why it is refused, in a message that contains nothing of it.
 * @throws SettingError if it cannot be checked
 */
export async function verifyToken(
  settings: Settings,
  token: string,
): Promise<Caller | { refused: string }> {
  const keys = keysOf(settings);
  const { AUTH_ISSUER, AUTH_AUDIENCE } = settings;
  try {
    const { payload, protectedHeader } = await jwtVerify(token, (header) => keyFor(keys, header), {
      algorithms: [...(keys.secret ? ["HS256"] : []), ...(keys.jwksUrl ? ["RS256", "ES256"] : [])],
      clockTolerance: CLOCK_LEEWAY_S,
      ...(AUTH_ISSUER ? { issuer: AUTH_ISSUER } : {}),
      ...(AUTH_AUDIENCE ? { audience: AUTH_AUDIENCE } : {}),
    });
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

async function keyFor({ secret, jwksUrl }: Keys, header: JWSHeaderParameters) {
  // jose has checked the algorithm: without a secret there is no HS256, without a URL nothing else.
  if (header.alg === "HS256" && secret) return secret;
  if (typeof header.kid !== "string") throw { code: "no kid" };
  const key = await publishedKey(jwksUrl ?? "", header.kid);
  if (!key) throw { code: "no key" };
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
  settings: Settings,
  owner: string,
  { expiresInS, scope }: { expiresInS: number; scope?: string | undefined },
): Promise<string> {
  const { secret } = keysOf(settings);
  if (!secret) {
    throw new SettingError(
      "Tokens come from AUTH_JWKS_URL, portal links are signed with PORTAL_SECRET: set it, at least 32 bytes (`openssl rand -base64 32`).",
    );
  }
  const { AUTH_ISSUER: iss, AUTH_AUDIENCE: aud } = settings;
  const nowS = Math.floor(Date.now() / 1_000);
  const claims = { sub: owner, iss, aud, scope, iat: nowS, exp: nowS + Math.round(expiresInS) };
  return sign(claims, secret);
}

// jose's SignJWT would add a kilobyte to the Worker for these lines.
async function sign(claims: object, secret: Uint8Array): Promise<string> {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const json = (value: object) => encode(bytes(JSON.stringify(value)));
  const signed = `${json({ alg: "HS256", typ: "JWT" })}.${json(claims)}`;
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", secret, algorithm, false, ["sign"]);
  const signature = await crypto.subtle.sign("HMAC", key, bytes(signed));
  return `${signed}.${encode(new Uint8Array(signature))}`;
}

/**
 * A token that opens only /endpoint and /event to the owner, for `expiresInS` seconds. Not needed while
 * AUTH is "open".
 * @throws SettingError if no secret is set to sign it
 */
export function mintPortalToken(
  settings: Settings,
  owner: string,
  expiresInS: number,
): Promise<string> {
  return mintToken(settings, owner, { expiresInS, scope: PORTAL_SCOPE });
}

/** `sure`: the last look succeeded, so a kid that is not among the keys is unknown to the issuer. */
type Kept = {
  keys: JWK[];
  fetchedAt: number;
  lookedAt: number;
  sure: boolean;
  look: Promise<void>;
};

// Each isolate has its own copy: keys are public.
const kept = new Map<string, Kept>();

/**
 * The issuer's key with this kid; undefined if there is none. Keys are fetched if they are old, or if
 * the kid is unknown and the last look was a while ago: a stranger's tokens must not make us hammer the
 * issuer. One look at a time serves all requests that wait for it.
 * @throws SettingError if the keys cannot be fetched
 */
export async function publishedKey(url: string, kid: string): Promise<JWK | undefined> {
  const state = kept.get(url) ?? newKept();
  kept.set(url, state);
  const known = keyOf(state, kid);
  const now = Date.now();
  if (known && now - state.fetchedAt < JWKS_KEEP_MS) return known;
  const pause = state.sure ? JWKS_UNKNOWN_KID_MS : JWKS_RETRY_MS;
  const due = now - state.lookedAt >= pause;
  if (due) state.look = look(state, url, now);
  // A request that has its key uses it while another one looks.
  if (known && !due) return known;
  await atMost(JWKS_TIMEOUT_MS, state.look);
  const found = keyOf(state, kid);
  if (!found && !state.sure) throw new SettingError("The keys at AUTH_JWKS_URL cannot be fetched.");
  return found;
}

/** Forgets all keys. For tests. */
export function forgetKeys(): void {
  kept.clear();
}

function newKept(): Kept {
  return { keys: [], fetchedAt: 0, lookedAt: 0, sure: false, look: Promise.resolve() };
}

// Some issuers publish an encryption key under the same kid.
function keyOf({ keys }: Kept, kid: string): JWK | undefined {
  return keys.find((key) => key.kid === kid && key.use !== "enc");
}

// The request that looks may be cancelled, and its promise never settle: those that wait have a
// timer of their own.
async function atMost(ms: number, work: Promise<void>): Promise<void> {
  await withTimeout(ms, (signal) => {
    const given = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    return Promise.race([work, given]);
  });
}

/** Never throws: `sure` says whether it succeeded. Until it ends or times out, no other request looks. */
async function look(state: Kept, url: string, now: number): Promise<void> {
  Object.assign(state, { lookedAt: now, sure: false });
  try {
    const keys = await fetchKeys(url);
    Object.assign(state, { keys, fetchedAt: now, sure: true });
  } catch (error) {
    logError({ jwks: url }, error);
  }
  state.lookedAt = Date.now();
}

function fetchKeys(url: string): Promise<JWK[]> {
  return withTimeout(JWKS_TIMEOUT_MS, async (signal) => {
    // An issuer that redirects could send us anywhere.
    const response = await fetch(url, { signal, redirect: "manual" });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`JWKS: ${response.status}`);
    }
    const { keys } = (await response.json()) as { keys: (JWK | null)[] };
    // One invalid entry must not spoil the others.
    return keys.filter((key) => typeof key?.kid === "string") as JWK[];
  });
}

/** Whether a URL's host name is this machine; also 0.0.0.0, which systems treat as such. */
export function isLoopback(hostname: string): boolean {
  return /^(127(\.\d{1,3}){3}|0\.0\.0\.0|\[::1\]|(.+\.)?localhost)$/.test(hostname);
}
