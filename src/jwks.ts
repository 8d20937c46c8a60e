/** The public keys of AUTH_JWKS_URL, kept for a while. */
import { decode } from "hono/jwt";
import type { HonoJsonWebKey } from "hono/utils/jwt/jws";
import { JWKS_KEEP_MS, JWKS_TIMEOUT_MS, JWKS_UNKNOWN_KID_MS, SettingError } from "./config.ts";
import { withTimeout } from "./wait.ts";

type Kept = { keys: HonoJsonWebKey[]; fetchedAt: number };

// One isolate's copy: keys are public, and every isolate may have its own.
const kept = new Map<string, Kept>();

/**
 * The keys to check `token` with: kept ones, or fetched anew where they are old, or where the token's
 * kid is unknown and the last fetch is a while ago (a stranger's tokens must not make us hammer the issuer).
 * @throws SettingError where the keys cannot be had
 */
export async function keysFor(url: string, token: string): Promise<HonoJsonWebKey[]> {
  const age = Date.now() - (kept.get(url)?.fetchedAt ?? Number.NEGATIVE_INFINITY);
  const known = kept.get(url)?.keys.some((key) => key.kid === kidOf(token));
  const fresh = age < (known ? JWKS_KEEP_MS : JWKS_UNKNOWN_KID_MS);
  if (!fresh) {
    try {
      kept.set(url, { keys: await fetchKeys(url), fetchedAt: Date.now() });
    } catch {
      if (!known) throw new SettingError("The keys at AUTH_JWKS_URL cannot be fetched.");
    }
  }
  return kept.get(url)?.keys ?? [];
}

/** Forgets all keys. For tests. */
export function forgetKeys(): void {
  kept.clear();
}

function kidOf(token: string): unknown {
  try {
    return (decode(token).header as { kid?: unknown }).kid;
  } catch {
    return undefined;
  }
}

async function fetchKeys(url: string): Promise<HonoJsonWebKey[]> {
  return withTimeout(JWKS_TIMEOUT_MS, async (signal) => {
    const response = await fetch(url, { signal });
    const body = (await response.json()) as { keys?: unknown };
    if (!response.ok || !Array.isArray(body.keys)) throw new Error(`JWKS: ${response.status}`);
    return body.keys as HonoJsonWebKey[];
  });
}
