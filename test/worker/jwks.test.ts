/** The issuer's keys: fetched when needed, kept for a while, never fetched because a stranger says so. */
import { afterAll, beforeEach, expect, test, vi } from "vitest";
import {
  JWKS_KEEP_MS,
  JWKS_RETRY_MS,
  JWKS_TIMEOUT_MS,
  JWKS_UNKNOWN_KID_MS,
} from "../../src/config.ts";
import { forgetKeys } from "../../src/token.ts";
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
/** What the closing line counts. */
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

/** Moves the clock that says how old the keys are. */
function pass(ms: number): void {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + ms });
}

test("keys are fetched once for many tokens, and again when they are old", async () => {
  for (let i = 0; i < 5; i++) expect(await statusOf()).toBe(200);
  expect(fetches).toBe(1);
  pass(JWKS_KEEP_MS - 1_000);
  expect(await statusOf()).toBe(200);
  expect(fetches).toBe(1);
  pass(1_001);
  expect(await statusOf()).toBe(200);
  expect(fetches).toBe(2);
});

test("a key that the issuer has begun to use is fetched for the first token that names it", async () => {
  expect(await statusOf()).toBe(200);
  published = [pair, other];
  pass(JWKS_UNKNOWN_KID_MS + 1);
  expect(await statusOf({ by: other })).toBe(200);
  expect(fetches).toBe(2);
});

test("a key that the issuer took back is refused once the keys are old", async () => {
  expect(await statusOf()).toBe(200);
  published = [other];
  pass(JWKS_KEEP_MS + 1);
  expect(await statusOf()).toBe(401);
});

test("tokens with unknown kids make us fetch at most once in a while", async () => {
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

/** 300 at once, each with its own token, before any key is there. */
async function arrive(given: (i: number) => Parameters<typeof ask>[0]): Promise<number[]> {
  const statuses = await Promise.all(Array.from({ length: 300 }, (_, i) => statusOf(given(i))));
  crowd.tokens += statuses.length;
  crowd.fetches += fetches;
  return [...new Set(statuses)];
}

test("a crowd that arrives before the keys are there is let in by one fetch", async () => {
  expect(await arrive(() => ({}))).toEqual([200]);
  expect(fetches).toBe(1);
});

test("a crowd with junk tokens before the keys are there makes one fetch", async () => {
  expect(await arrive((i) => ({ header: { kid: `made up ${i}` } }))).toEqual([401]);
  expect(fetches).toBe(1);
});

test("a crowd while the issuer fails makes one fetch, and none until a while has passed", async () => {
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

test("the while after a look that failed begins when it has failed", async () => {
  instead = () => {
    pass(JWKS_TIMEOUT_MS - 1_000);
    return new Response("oops", { status: 500 });
  };
  expect(await statusOf()).toBe(503);
  pass(JWKS_RETRY_MS - 1_000);
  expect(await statusOf()).toBe(503);
  expect(fetches).toBe(1);
});

test("no redirect is followed", async () => {
  const redirects: unknown[] = [];
  instead = (init) => {
    redirects.push(init?.redirect);
    return new Response(null, { status: 302, headers: { location: "https://evil.test/" } });
  };
  expect(await statusOf()).toBe(503);
  expect(redirects).toEqual(["manual"]);
});

test("who waits for a look that was cut off is answered all the same, and the next one looks", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  // A request whose caller went away: what it awaited never settles, its timers neither.
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
  ["answers a page", () => new Response("<html>")],
  ["answers null", () => Response.json(null)],
  ["answers without keys", () => Response.json({})],
  ["answers keys that are no list", () => Response.json({ keys: {} })],
])("while the issuer %s, a token is answered 503, not 401", async (_, answer) => {
  instead = answer;
  const reply = await ask();
  expect(reply.status).toBe(503);
  expect(reply.headers.get("Retry-After")).toMatch(/^\d+$/);
  expect(reply.body.error).toContain("AUTH_JWKS_URL");
  instead = null;
  pass(JWKS_RETRY_MS);
  expect(await statusOf()).toBe(200);
});

test("while the issuer is away it is asked now and then, however many come", async () => {
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

test("strangers who come together make us fetch once, and nobody is told wrong", async () => {
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

test("an issuer that never answers is given up after its time", async () => {
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

test("keys that are known go on being used while the issuer is away", async () => {
  expect(await statusOf()).toBe(200);
  instead = () => new Response("oops", { status: 500 });
  pass(JWKS_KEEP_MS + 1);
  expect(await statusOf()).toBe(200);
  // Others cannot be judged without it.
  expect(await statusOf({ by: other })).toBe(503);
});

test.each(["", "a", "a.b.c", "..", "e30.e30.", "%%%.%%%.%%%", "bnVsbA.bnVsbA.AA", "W10.W10.AA"])(
  "the malformed token %j is a 401, and nobody is asked for keys",
  async (token) => {
    expect(await statusOf({ token })).toBe(401);
    instead = () => new Response("oops", { status: 500 });
    expect(await statusOf({ token })).toBe(401);
    expect(fetches).toBe(0);
  },
);

test.each<[name: string, keys: unknown[]]>([
  ["a list with null", [null]],
  ["a list with texts", ["key"]],
  ["a key without kid", [{ kty: "EC" }]],
  ["a shared secret", [{ kty: "oct", k: "AAAA", kid: "PAIR" }]],
  ["a short RSA key", ["SHORT"]],
  ["a key to encrypt with", ["ENCRYPTS"]],
  ["no key", []],
  ["a broken key under the kid", ["BROKEN"]],
])("%s from the issuer refuses the token and breaks nothing", async (_, keys) => {
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

test("a token of an algorithm that we do not take is a 401 while the issuer is away", async () => {
  instead = () => new Response("oops", { status: 500 });
  expect(await statusOf({ header: { alg: "HS256" } })).toBe(401);
  expect(await statusOf({ header: { alg: "none" } })).toBe(401);
  expect(fetches).toBe(0);
});

test("a key to encrypt with under the same kid is passed over", async () => {
  const encrypts = { ...(await publicJwk(other)), kid: pair.kid, use: "enc" };
  const jwk = await publicJwk(pair);
  instead = () => Response.json({ keys: [encrypts, jwk] });
  expect(await statusOf()).toBe(200);
});

test("a token of typ at+jwt is one like any other", async () => {
  expect(await statusOf({ header: { typ: "at+jwt" } })).toBe(200);
});

/** RSA of 1,024 bits, which RS256 must not be checked with (RFC 7518, 3.3). */
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
