/** The issuer's keys: fetched when needed, kept for a while, and not fetched at a stranger's will. */
import { afterAll, beforeEach, expect, test, vi } from "vitest";
import {
  forgetKeys,
  JWKS_KEEP_MS,
  JWKS_RETRY_MS,
  JWKS_TIMEOUT_MS,
  JWKS_UNKNOWN_KID_MS,
} from "../../src/jwks.ts";
import { newPair, type Pair, publicJwk, signWith } from "../support/token.ts";
import { begin, newEnv } from "../support/worker.ts";

const JWKS_URL = "https://issuer.test/jwks.json";
const AUTH_AUDIENCE = "todo-api";
const env = () => newEnv({ AUTH: "jwt", AUTH_JWKS_URL: JWKS_URL, AUTH_AUDIENCE });

let pair: Pair;
let other: Pair;
let published: Pair[];
/** How often the issuer was asked, and what it answers instead of its keys. */
let fetches: number;
let instead: ((init?: RequestInit) => Response | Promise<Response>) | null;
/** Counts for the closing log line. */
const crowd = { tokens: 0, fetches: 0 };
afterAll(() => console.info(`crowds before cold keys: ${JSON.stringify(crowd)}`));

beforeEach(async () => {
  forgetKeys();
  pair ??= await newPair("ES256");
  other ??= await newPair("ES256");
  published = [pair];
  fetches = 0;
  instead = null;
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    if (String(input) !== JWKS_URL) throw new Error(`not expected: ${String(input)}`);
    fetches++;
    if (instead) return instead(init);
    return Response.json({ keys: await Promise.all(published.map(publicJwk)) });
  });
  return () => void vi.useRealTimers();
});

async function ask(given: { by?: Pair; header?: object; token?: string } = {}) {
  const { by = pair, header = {} } = given;
  const exp = Math.floor(Date.now() / 1_000) + 3_600;
  const token =
    given.token ?? (await signWith(by, { sub: "alice", aud: AUTH_AUDIENCE, exp }, header));
  // A route that needs neither Convoy nor waitUntil.
  return begin(env(), "GET", "/event", undefined, {
    headers: { authorization: `Bearer ${token}` },
  });
}

async function statusOf(given?: Parameters<typeof ask>[0]): Promise<number> {
  return (await ask(given)).status;
}

/** Moves the clock by which the keys age. */
function pass(ms: number): void {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + ms });
}

test("keys are fetched once for many tokens, and again when they have expired", async () => {
  for (let i = 0; i < 5; i++) expect(await statusOf()).toBe(200);
  expect(fetches).toBe(1);
  pass(JWKS_KEEP_MS - 1_000);
  expect(await statusOf()).toBe(200);
  expect(fetches).toBe(1);
  pass(1_001);
  expect(await statusOf()).toBe(200);
  expect(fetches).toBe(2);
});

test("an issuer's new key is fetched for the first token that names it", async () => {
  expect(await statusOf()).toBe(200);
  published = [pair, other];
  pass(JWKS_UNKNOWN_KID_MS + 1);
  expect(await statusOf({ by: other })).toBe(200);
  expect(fetches).toBe(2);
});

test("a key that the issuer withdrew is refused once the cached keys expire", async () => {
  expect(await statusOf()).toBe(200);
  published = [other];
  pass(JWKS_KEEP_MS + 1);
  expect(await statusOf()).toBe(401);
});

test("tokens with unknown kids cause at most one fetch per interval", async () => {
  expect(await statusOf()).toBe(200);
  for (let i = 0; i < 20; i++) {
    expect(await statusOf({ header: { kid: `made up ${i}` } })).toBe(401);
  }
  expect(fetches).toBe(1);
  pass(JWKS_UNKNOWN_KID_MS + 1);
  for (let i = 0; i < 20; i++) {
    expect(await statusOf({ header: { kid: `made up ${i}` } })).toBe(401);
  }
  expect(fetches).toBe(2);
});

/** 300 requests at once, each with its own token, before any key is cached. */
async function arrive(given: (i: number) => Parameters<typeof ask>[0]): Promise<number[]> {
  const statuses = await Promise.all(Array.from({ length: 300 }, (_, i) => statusOf(given(i))));
  crowd.tokens += statuses.length;
  crowd.fetches += fetches;
  return [...new Set(statuses)];
}

test("a crowd that arrives before the keys is let in by one fetch", async () => {
  expect(await arrive(() => ({}))).toEqual([200]);
  expect(fetches).toBe(1);
});

test("a crowd with junk tokens that arrives before the keys causes one fetch", async () => {
  expect(await arrive((i) => ({ header: { kid: `made up ${i}` } }))).toEqual([401]);
  expect(fetches).toBe(1);
});

test("a crowd causes one fetch while the issuer fails, and no other until a pause is over", async () => {
  instead = () => new Response("oops", { status: 500 });
  expect(await arrive((i) => ({ header: { kid: `made up ${i}` } }))).toEqual([503]);
  expect(fetches).toBe(1);
  pass(JWKS_RETRY_MS - 1_000);
  expect(await statusOf()).toBe(503);
  expect(fetches).toBe(1);
  pass(1_001);
  expect(await statusOf()).toBe(503);
  expect(fetches).toBe(2);
});

test("the pause after a failed fetch starts when it has failed", async () => {
  instead = () => {
    pass(JWKS_TIMEOUT_MS - 1_000);
    return new Response("oops", { status: 500 });
  };
  expect(await statusOf()).toBe(503);
  pass(JWKS_RETRY_MS - 1_000);
  expect(await statusOf()).toBe(503);
  expect(fetches).toBe(1);
});

test("redirects are not followed", async () => {
  const redirects: unknown[] = [];
  instead = (init) => {
    redirects.push(init?.redirect);
    return new Response(null, { status: 302, headers: { location: "https://evil.test/" } });
  };
  expect(await statusOf()).toBe(503);
  expect(redirects).toEqual(["manual"]);
});

test("requests that wait for a fetch that was cut off get a 503, and the next one fetches", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  // A request whose caller went away: neither what it awaits nor its timers ever settle.
  instead = () => new Promise(() => {});
  const asked = [ask(), ask(), ask()];
  await vi.waitFor(() => expect(fetches).toBe(1));
  await vi.advanceTimersByTimeAsync(JWKS_TIMEOUT_MS);
  expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([503, 503, 503]);
  instead = null;
  pass(JWKS_RETRY_MS);
  expect(await statusOf()).toBe(200);
  expect(fetches).toBe(2);
});

test.each<[name: string, instead: NonNullable<typeof instead>]>([
  ["does not answer", () => Promise.reject(new TypeError("fetch failed"))],
  ["answers 500", () => new Response("oops", { status: 500 })],
  ["answers 500 with keys", () => Response.json({ keys: [] }, { status: 500 })],
  ["answers a web page", () => new Response("<html>")],
  ["answers null", () => Response.json(null)],
  ["answers without keys", () => Response.json({})],
  ["answers keys that are not a list", () => Response.json({ keys: {} })],
])("while the issuer %s, a token gets a 503, not a 401", async (_, answer) => {
  instead = answer;
  const reply = await ask();
  expect(reply.status).toBe(503);
  expect(reply.headers.get("Retry-After")).toMatch(/^\d+$/);
  expect(reply.body.error).toContain("AUTH_JWKS_URL");
  instead = null;
  pass(JWKS_RETRY_MS);
  expect(await statusOf()).toBe(200);
});

test("while the issuer is down it is asked only now and then, however many requests come", async () => {
  instead = () => new Response("oops", { status: 500 });
  for (let i = 0; i < 10; i++) expect(await statusOf()).toBe(503);
  expect(fetches).toBe(1);
  instead = null;
  pass(JWKS_RETRY_MS);
  expect(await statusOf()).toBe(200);
  instead = () => new Response("oops", { status: 500 });
  pass(JWKS_UNKNOWN_KID_MS);
  for (let i = 0; i < 10; i++)
    expect(await statusOf({ header: { kid: `made up ${i}` } })).toBe(503);
  expect(fetches).toBe(3);
});

test("concurrent tokens, some of a new key, cause one fetch and no 401", async () => {
  expect(await statusOf()).toBe(200);
  published = [pair, other];
  pass(JWKS_UNKNOWN_KID_MS);
  const statuses = await Promise.all(
    Array.from({ length: 10 }, (_, i) =>
      statusOf(i === 0 ? { by: other } : { by: i < 6 ? pair : other }),
    ),
  );
  expect(fetches).toBe(2);
  expect(statuses).not.toContain(401);
  expect(statuses.slice(1, 6)).toEqual([200, 200, 200, 200, 200]);
  expect(await statusOf({ by: other })).toBe(200);
});

test("an issuer that never answers is given up on after a timeout", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  instead = (init) =>
    new Promise((_, reject) => {
      init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
    });
  const asked = ask();
  await vi.waitFor(() => expect(fetches).toBe(1));
  await vi.advanceTimersByTimeAsync(JWKS_TIMEOUT_MS);
  expect((await asked).status).toBe(503);
});

test("known keys remain in use while the issuer is down", async () => {
  expect(await statusOf()).toBe(200);
  instead = () => new Response("oops", { status: 500 });
  pass(JWKS_KEEP_MS + 1);
  expect(await statusOf()).toBe(200);
  // Other keys cannot be checked without it.
  expect(await statusOf({ by: other })).toBe(503);
});

test.each(["", "a", "a.b.c", "..", "e30.e30.", "%%%.%%%.%%%", "bnVsbA.bnVsbA.AA", "W10.W10.AA"])(
  "the malformed token %j is a 401, without fetching keys",
  async (token) => {
    expect(await statusOf({ token })).toBe(401);
    instead = () => new Response("oops", { status: 500 });
    expect(await statusOf({ token })).toBe(401);
    expect(fetches).toBe(0);
  },
);

test.each<[name: string, keys: unknown[]]>([
  ["a list with null", [null]],
  ["a list with strings", ["key"]],
  ["a key without kid", [{ kty: "EC" }]],
  ["a shared secret", [{ kty: "oct", k: "AAAA", kid: "PAIR" }]],
  ["a short RSA key", ["SHORT"]],
  ["an encryption key", ["ENCRYPTS"]],
  ["no key", []],
  ["a broken key under the kid", ["BROKEN"]],
])("with %s from the issuer the token is refused, and nothing breaks", async (_, keys) => {
  const broken = { kty: "EC", crv: "P-256", x: "AA", y: "AA", kid: pair.kid, alg: "ES256" };
  const { n, e } = await shortRsa();
  const odd: Record<string, object> = {
    BROKEN: broken,
    SHORT: { kty: "RSA", n, e, kid: pair.kid },
    ENCRYPTS: { ...(await publicJwk(pair)), use: "enc" },
  };
  const text = JSON.stringify({ keys: keys.map((key) => odd[String(key)] ?? key) });
  instead = () => new Response(text.replaceAll("PAIR", pair.kid));
  expect(await statusOf()).toBe(401);
  instead = null;
  pass(JWKS_KEEP_MS);
  expect(await statusOf()).toBe(200);
});

test("a token with an unsupported algorithm is a 401, even while the issuer is down", async () => {
  instead = () => new Response("oops", { status: 500 });
  expect(await statusOf({ header: { alg: "HS256" } })).toBe(401);
  expect(await statusOf({ header: { alg: "none" } })).toBe(401);
  expect(fetches).toBe(0);
});

test("an encryption key under the same kid is skipped", async () => {
  const encrypts = { ...(await publicJwk(other)), kid: pair.kid, use: "enc" };
  const jwk = await publicJwk(pair);
  instead = () => Response.json({ keys: [encrypts, jwk] });
  expect(await statusOf()).toBe(200);
});

test.each<[name: string, first: (jwk: JsonWebKey) => unknown]>([
  [
    "of another type",
    async () => ({ ...(await publicJwk(await newPair("RS256"))), kid: pair.kid }),
  ],
  ["of another algorithm", (jwk) => ({ ...jwk, alg: "ES384" })],
  ["of another curve", (jwk) => ({ ...jwk, crv: "P-384", alg: undefined })],
  ["that is broken", (jwk) => ({ ...jwk, x: "AA" })],
  ["that only encrypts", (jwk) => ({ ...jwk, use: "enc" })],
  ["that only signs", (jwk) => ({ ...jwk, use: undefined, key_ops: ["sign"] })],
  ["of another pair", async () => ({ ...(await publicJwk(other)), kid: pair.kid })],
  ["that is shared", () => ({ kty: "oct", k: "AAAA", kid: pair.kid })],
])("a key %s under the same kid stands first or last: the token is accepted", async (_, first) => {
  const jwk = (await publicJwk(pair)) as JsonWebKey;
  const odd = await first(jwk);
  for (const keys of [
    [odd, jwk],
    [jwk, odd],
  ]) {
    forgetKeys();
    instead = () => Response.json({ keys });
    expect(await statusOf()).toBe(200);
    expect(await statusOf({ by: { ...other, kid: "none" } })).toBe(401);
  }
});

test.each([
  ["the bare minimum", { use: undefined, alg: undefined, ext: undefined, key_ops: undefined }],
  ["use and alg null", { use: null, alg: null }],
  ["key_ops for both sides", { key_ops: ["sign", "verify"] }],
  ["key_ops that are no list", { key_ops: "verify" }],
  ["a certificate chain", { x5c: ["AAAA"], x5t: "x", ext: false }],
])("a key with %s checks its tokens", async (_, more) => {
  const jwk = { ...(await publicJwk(pair)), ...more };
  instead = () => Response.json({ keys: [jwk] });
  expect(await statusOf()).toBe(200);
});

test("RS256 and ES256 under one kid each check their own", async () => {
  const rsa = { ...(await newPair("RS256")), kid: pair.kid };
  published = [rsa, pair];
  expect(await statusOf({ by: rsa })).toBe(200);
  expect(await statusOf({ by: pair })).toBe(200);
  expect(fetches).toBe(1);
});

test.each<[name: string, first: (jwk: JsonWebKey) => unknown]>([
  ["type", async () => ({ ...(await publicJwk(await newPair("RS256"))), kid: pair.kid })],
  ["algorithm", (jwk) => ({ ...jwk, alg: "ES384" })],
  ["use", (jwk) => ({ ...jwk, use: "enc" })],
])("a key that is new under a known kid, by its %s, is fetched at once", async (_, first) => {
  const jwk = (await publicJwk(pair)) as JsonWebKey;
  const keys = [await first(jwk)];
  instead = () => Response.json({ keys });
  expect(await statusOf()).toBe(401);
  keys.push(jwk);
  pass(JWKS_UNKNOWN_KID_MS);
  expect(await statusOf()).toBe(200);
});

test("an expired token is called expired, however many keys fit", async () => {
  const twin = { ...other, kid: pair.kid };
  published = [pair, twin];
  const token = await signWith(pair, { sub: "a", aud: AUTH_AUDIENCE, exp: 1 });
  expect((await ask({ token })).body.error).toBe("The token has expired.");
});

test("a token with typ at+jwt is accepted", async () => {
  expect(await statusOf({ header: { typ: "at+jwt" } })).toBe(200);
});

/** An RSA key of 1,024 bits, too short to check RS256 with (RFC 7518, 3.3). */
async function shortRsa(): Promise<JsonWebKey> {
  const algorithm = {
    name: "RSASSA-PKCS1-v1_5",
    hash: "SHA-256",
    modulusLength: 1_024,
    publicExponent: new Uint8Array([1, 0, 1]),
  };
  const made = (await crypto.subtle.generateKey(algorithm, true, ["sign"])) as CryptoKeyPair;
  return (await crypto.subtle.exportKey("jwk", made.publicKey)) as JsonWebKey;
}
