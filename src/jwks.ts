/** The public keys of AUTH_JWKS_URL, kept for a while. */
import { decode } from "hono/jwt";
import type { HonoJsonWebKey } from "hono/utils/jwt/jws";
import {
  JWKS_KEEP_MS,
  JWKS_RETRY_MS,
  JWKS_TIMEOUT_MS,
  JWKS_UNKNOWN_KID_MS,
  SettingError,
} from "./config.ts";
import { withTimeout } from "./time.ts";

/** Algorithms of tokens that are checked with published keys. */
export const JWKS_ALGORITHMS: ("RS256" | "ES256")[] = ["RS256", "ES256"];

/** `sure`: the last look was answered, so that a kid which is not among `keys` is unknown to the issuer. */
type Kept = { keys: HonoJsonWebKey[]; fetchedAt: number; lookedAt: number; sure: boolean };

// One isolate's copy: keys are public, and every isolate may have its own.
const kept = new Map<string, Kept>();

/**
 * The keys to check `token` with: kept ones, or fetched anew where they are old, or where the token's
 * kid is unknown and the last look is a while ago (a stranger's tokens must not make us hammer the issuer).
 * None, and nothing fetched, for a token that no key could make good.
 * @throws SettingError where the keys cannot be had
 */
export async function keysFor(url: string, token: string): Promise<HonoJsonWebKey[]> {
  const kid = kidOf(token);
  if (kid === undefined) return [];
  const now = Date.now();
  const state = kept.get(url) ?? { keys: [], fetchedAt: 0, lookedAt: 0, sure: false };
  kept.set(url, state);
  const fresh = knows(state, kid) && now - state.fetchedAt < JWKS_KEEP_MS;
  const pause = state.sure ? JWKS_UNKNOWN_KID_MS : JWKS_RETRY_MS;
  if (!fresh && now - state.lookedAt >= pause) await look(state, url, now);
  if (!state.sure && !knows(state, kid)) {
    throw new SettingError("The keys at AUTH_JWKS_URL cannot be fetched.");
  }
  return state.keys;
}

/** Forgets all keys. For tests. */
export function forgetKeys(): void {
  kept.clear();
}

function knows({ keys }: Kept, kid: string): boolean {
  return keys.some((key) => key.kid === kid);
}

async function look(state: Kept, url: string, now: number): Promise<void> {
  // Who comes meanwhile goes on with what is there; with nothing there, everybody looks.
  if (state.keys.length > 0) Object.assign(state, { lookedAt: now, sure: false });
  try {
    const keys = await fetchKeys(url);
    Object.assign(state, { keys, fetchedAt: now, sure: true });
  } catch {
    state.sure = false;
  }
  state.lookedAt = Date.now();
}

/** Undefined where the token is malformed, has no kid, or an algorithm that we do not take. */
function kidOf(token: string): string | undefined {
  try {
    const { kid, alg } = decode(token).header as { kid?: unknown; alg: string };
    const taken = JWKS_ALGORITHMS.some((one) => one === alg);
    return typeof kid === "string" && taken ? kid : undefined;
  } catch {
    return undefined;
  }
}

async function fetchKeys(url: string): Promise<HonoJsonWebKey[]> {
  return withTimeout(JWKS_TIMEOUT_MS, async (signal) => {
    const response = await fetch(url, { signal });
    const body = (await response.json()) as { keys?: unknown };
    if (!response.ok || !Array.isArray(body.keys)) throw new Error(`JWKS: ${response.status}`);
    return (body.keys as (HonoJsonWebKey | null)[]).filter(
      (key) => typeof key?.kid === "string",
    ) as HonoJsonWebKey[];
  });
}
