/** An issuer's published keys: fetched rarely, shared by all requests that wait for them. */
import type { JWK } from "jose";
import { logError, withTimeout } from "./run.ts";
import { SettingError } from "./settings.ts";

/** How long fetched keys are used, as long as one fits the token. */
export const JWKS_KEEP_MS = 600_000;
/** Keys are fetched again for a token that none fits at most this often. */
export const JWKS_UNKNOWN_KID_MS = 30_000;
/** Shortest wait after a failed fetch of keys before the next one. */
export const JWKS_RETRY_MS = 5_000;
/** Timeout of one fetch of keys. */
export const JWKS_TIMEOUT_MS = 5_000;

/** The key type, and the curve, of each algorithm that is accepted (RFC 7518, 3.1). */
const KEY_TYPES = { RS256: { kty: "RSA" }, ES256: { kty: "EC", crv: "P-256" } } as const;

/** The algorithms that a published key may check. */
export const PUBLISHED_ALGORITHMS = Object.keys(KEY_TYPES);

/** What a token's header says about its key. */
export type Signed = { kid: string; alg: string };

/** A key as published, and what of it verifies: WebCrypto refuses a public key with `key_ops` it does not know. */
type Published = { said: Partial<JWK>; jwk: JWK };

/** `sure`: the last look succeeded, so a key that is not among them is unknown to the issuer. */
type Kept = {
  keys: Published[];
  fetchedAt: number;
  lookedAt: number;
  sure: boolean;
  look: Promise<void>;
};

// Each isolate has its own copy: keys are public.
const kept = new Map<string, Kept>();

/**
 * The issuer's keys that this token may be signed with; empty if there is none. Keys are fetched if they
 * are old, or if none fits and the last look was a while ago: a stranger's tokens must not make us hammer
 * the issuer. One look at a time serves all requests that wait for it.
 * @throws SettingError if the keys cannot be fetched
 */
export async function publishedKeys(url: string, signed: Signed): Promise<JWK[]> {
  const state = kept.get(url) ?? newKept();
  kept.set(url, state);
  const known = fitting(state, signed);
  const now = Date.now();
  if (known.length > 0 && now - state.fetchedAt < JWKS_KEEP_MS) return known;
  const pause = state.sure ? JWKS_UNKNOWN_KID_MS : JWKS_RETRY_MS;
  const due = now - state.lookedAt >= pause;
  if (due) state.look = look(state, url, now);
  // A request that has its key uses it while another one looks.
  if (known.length > 0 && !due) return known;
  await atMost(JWKS_TIMEOUT_MS, state.look);
  const found = fitting(state, signed);
  if (found.length === 0 && !state.sure) {
    throw new SettingError("The keys at AUTH_JWKS_URL cannot be fetched.");
  }
  return found;
}

/** Forgets all keys. For tests. */
export function forgetKeys(): void {
  kept.clear();
}

function newKept(): Kept {
  return { keys: [], fetchedAt: 0, lookedAt: 0, sure: false, look: Promise.resolve() };
}

// Issuers publish keys for encryption and for other algorithms under the same kid (RFC 7517, 4.5).
function fitting({ keys }: Kept, { kid, alg }: Signed): JWK[] {
  const type: { kty: string; crv?: string } | undefined = KEY_TYPES[alg as keyof typeof KEY_TYPES];
  const fits = ({ said }: Published) =>
    said.kid === kid &&
    said.kty === type?.kty &&
    (type.crv === undefined || said.crv === type.crv) &&
    (said.alg ?? alg) === alg &&
    (said.use ?? "sig") === "sig" &&
    (!Array.isArray(said.key_ops) || said.key_ops.includes("verify"));
  return keys.filter(fits).map(({ jwk }) => jwk);
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

function fetchKeys(url: string): Promise<Published[]> {
  return withTimeout(JWKS_TIMEOUT_MS, async (signal) => {
    // An issuer that redirects could send us anywhere.
    const response = await fetch(url, { signal, redirect: "manual" });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`JWKS: ${response.status}`);
    }
    const { keys } = (await response.json()) as { keys: (JWK | null)[] };
    // One invalid entry must not spoil the others.
    return keys.flatMap((said) => {
      if (typeof said?.kid !== "string") return [];
      const { kty, n, e, crv, x, y } = said;
      return [{ said, jwk: { kty, n, e, crv, x, y } as JWK }];
    });
  });
}
