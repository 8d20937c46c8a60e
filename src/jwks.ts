/**
 * The public keys of AUTH_JWKS_URL: this says when to look, jose imports and uses them. jose's own
 * createRemoteJWKSet shares no fetch between requests on Workers, drops old keys while the issuer is
 * away, and does not wait after a fetch that failed (jose 6.2.18, jwks/remote.js).
 */
import type { JWK } from "jose";
import {
  JWKS_KEEP_MS,
  JWKS_RETRY_MS,
  JWKS_TIMEOUT_MS,
  JWKS_UNKNOWN_KID_MS,
  SettingError,
} from "./config.ts";
import { logError } from "./log.ts";
import { withTimeout } from "./time.ts";

/** `sure`: the last look was answered, so that a kid which is not among the keys is unknown to the issuer. */
type Kept = {
  keys: JWK[];
  fetchedAt: number;
  lookedAt: number;
  sure: boolean;
  look: Promise<void>;
};

// One isolate's copy: keys are public, and every isolate may have its own.
const kept = new Map<string, Kept>();

/**
 * The issuer's key of this kid; undefined where it has none. Keys are fetched where they are old, or
 * where the kid is unknown and the last look is a while ago: a stranger's tokens must not make us
 * hammer the issuer. One look at a time serves everybody who waits for it.
 * @throws SettingError where the keys cannot be had
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
  // Who knows its key goes on with it while somebody else looks.
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

// Some issuers publish a key to encrypt with under the same kid.
function keyOf({ keys }: Kept, kid: string): JWK | undefined {
  return keys.find((key) => key.kid === kid && key.use !== "enc");
}

// The request that looks may be cut off, and its promise never settles: who waits has a clock of its own.
async function atMost(ms: number, work: Promise<void>): Promise<void> {
  await withTimeout(ms, (signal) => {
    const given = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    return Promise.race([work, given]);
  });
}

/** Never throws: `sure` says how it went. Until it ends, or its time is over, nobody else looks. */
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
    // One entry that is none must not take the others with it.
    return keys.filter((key) => typeof key?.kid === "string") as JWK[];
  });
}
