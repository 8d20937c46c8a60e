/** Who gets in, and as whom: tokens checked with AUTH_SECRET or AUTH_JWKS_URL. */
import { sign } from "hono/jwt";
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { TOKEN_MAX_CHARS } from "../../src/auth.ts";
import { forgetKeys } from "../../src/jwks.ts";
import type { Bindings } from "../../src/settings.ts";
import { CLOCK_LEEWAY_S } from "../../src/token.ts";
import {
  base64Url,
  hmacWithPublicKey,
  newPair,
  type Pair,
  type Payload,
  publicJwk,
  signHs256,
  signWith,
  TEST_SECRET,
} from "../support/token.ts";
import { call, newEnv } from "../support/worker.ts";

const SECRET = TEST_SECRET;
const ISSUER = "https://issuer.test/";
const AUDIENCE = "todo-api";
const JWKS_URL = "https://issuer.test/jwks.json";
const NOW_S = Math.floor(Date.now() / 1_000);
const GOOD = { sub: "alice", iss: ISSUER, aud: AUDIENCE, iat: NOW_S, exp: NOW_S + 3_600 };

/** Counts for the closing log line. */
const tried = { cases: 0, refused: 0, accepted: 0, wronglyAccepted: 0, wronglyRefused: 0 };
afterAll(() => console.info(`tokens: ${JSON.stringify(tried)}`));

const secretEnv = () =>
  newEnv({ AUTH: "jwt", AUTH_SECRET: SECRET, AUTH_ISSUER: ISSUER, AUTH_AUDIENCE: AUDIENCE });
const jwksEnv = () =>
  newEnv({ AUTH: "jwt", AUTH_JWKS_URL: JWKS_URL, AUTH_ISSUER: ISSUER, AUTH_AUDIENCE: AUDIENCE });

/** GET /todo with this Authorization header. */
function ask(env: Bindings, authorization?: string) {
  return call(env, "GET", "/todo", undefined, {
    headers: authorization === undefined ? {} : { authorization },
  });
}

async function expectRefused(env: Bindings, authorization: string | undefined, reason: RegExp) {
  tried.cases++;
  const reply = await ask(env, authorization);
  if (reply.status === 401) tried.refused++;
  if (reply.status < 300) tried.wronglyAccepted++;
  expect(reply.status).toBe(401);
  expect(reply.body.error).toMatch(reason);
  expect(reply.headers.get("WWW-Authenticate")).toMatch(/^Bearer/);
  return reply;
}

async function expectAccepted(env: Bindings, authorization: string) {
  tried.cases++;
  const reply = await ask(env, authorization);
  if (reply.status === 200) tried.accepted++;
  else tried.wronglyRefused++;
  expect(reply).toMatchObject({ status: 200, body: { data: [] } });
}

const hs256 = (payload: Payload, secret = SECRET) => signHs256(payload, { secret });
const unsigned = (header: object, payload: object, signature = "") =>
  `${base64Url(JSON.stringify(header))}.${base64Url(JSON.stringify(payload))}.${signature}`;
const without = (name: keyof typeof GOOD) => ({ ...GOOD, [name]: undefined });

describe("with AUTH_SECRET", () => {
  test.each<[name: string, payload: Payload, reason: RegExp]>([
    ["expired", { ...GOOD, exp: NOW_S - CLOCK_LEEWAY_S - 1 }, /expired/],
    ["expired long ago", { ...GOOD, exp: 0 }, /expired/],
    ["from the wrong issuer", { ...GOOD, iss: "https://evil.test/" }, /issuer/],
    ["from an issuer that only starts with ours", { ...GOOD, iss: `${ISSUER}x` }, /issuer/],
    ["without issuer", without("iss"), /issuer/],
    ["for the wrong audience", { ...GOOD, aud: "other" }, /audience/],
    ["for a list of wrong audiences", { ...GOOD, aud: ["other", "todo"] }, /audience/],
    ["for an audience that contains ours", { ...GOOD, aud: `x${AUDIENCE}` }, /audience/],
    ["without audience", without("aud"), /audience/],
    ["without exp", without("exp"), /exp/],
    ["with exp null", { ...GOOD, exp: null }, /exp/],
    ["with exp as a string", { ...GOOD, exp: String(GOOD.exp) }, /exp/],
    ["with exp as an object", { ...GOOD, exp: {} }, /exp/],
    ["not yet valid", { ...GOOD, nbf: NOW_S + CLOCK_LEEWAY_S + 30 }, /not valid yet/],
    ["with nbf as a string", { ...GOOD, nbf: "0" }, /not valid yet/],
    ["issued in the future", { ...GOOD, iat: NOW_S + CLOCK_LEEWAY_S + 30 }, /not valid yet/],
    ["with iat as a string", { ...GOOD, iat: "x" }, /not valid yet/],
    ["without sub", without("sub"), /sub/],
    ["with an empty sub", { ...GOOD, sub: "" }, /sub/],
    ["with a sub of 256 bytes", { ...GOOD, sub: "a".repeat(256) }, /sub/],
    ["with a sub of 128 characters in 256 bytes", { ...GOOD, sub: "é".repeat(128) }, /sub/],
    ["with a lone surrogate in sub", { ...GOOD, sub: "a\ud800" }, /sub/],
    ["with a number as sub", { ...GOOD, sub: 7 }, /sub/],
    ["with a list as sub", { ...GOOD, sub: ["alice"] }, /sub/],
    ["with an object as sub", { ...GOOD, sub: { toString: "alice" } }, /sub/],
    ["with a space as sub", { ...GOOD, sub: " " }, /sub/],
    ["with a leading space in sub", { ...GOOD, sub: " alice" }, /sub/],
    ["with a trailing space in sub", { ...GOOD, sub: "alice " }, /sub/],
    ["with a trailing no-break space in sub", { ...GOOD, sub: "alice\u00a0" }, /sub/],
    ["with a leading ideographic space in sub", { ...GOOD, sub: "\u3000alice" }, /sub/],
    ["with U+0000 as sub", { ...GOOD, sub: "\0" }, /sub/],
    ["with U+0000 in sub", { ...GOOD, sub: "a\0b" }, /sub/],
    ["with a trailing line break in sub", { ...GOOD, sub: "alice\n" }, /sub/],
    ["with DEL in sub", { ...GOOD, sub: "a\x7f" }, /sub/],
    ["with a trailing NEL in sub", { ...GOOD, sub: "alice\u0085" }, /sub/],
  ])("a token %s is refused with the reason", async (_, payload, reason) => {
    const reply = await expectRefused(secretEnv(), `Bearer ${await hs256(payload)}`, reason);
    expect(reply.headers.get("WWW-Authenticate")).toContain('error="invalid_token"');
  });

  test.each<[name: string, token: () => string | Promise<string>, reason: RegExp]>([
    ["signed with the wrong key", () => hs256(GOOD, "another secret"), /signature/],
    ["signed with a space as the key", () => hs256(GOOD, " "), /signature/],
    ["with alg none", () => unsigned({ alg: "none", typ: "JWT" }, GOOD), /algorithm|malformed/],
    ["with alg None", () => unsigned({ alg: "None", typ: "JWT" }, GOOD), /algorithm|malformed/],
    ["with alg none and a signature", () => unsigned({ alg: "none" }, GOOD, "AAAA"), /./],
    ["without alg", () => unsigned({ typ: "JWT" }, GOOD, "AAAA"), /./],
    ["with HS512", () => sign(GOOD, SECRET, "HS512"), /algorithm|malformed/],
    ["with HS384", () => sign(GOOD, SECRET, "HS384"), /algorithm|malformed/],
    ["with RS256 while a secret is set", async () => signWith(await newPair("RS256"), GOOD), /./],
    ["without its signature", async () => (await hs256(GOOD)).replace(/\.[^.]*$/, "."), /./],
    ["with its signature cut short", async () => (await hs256(GOOD)).slice(0, -4), /./],
    ["with another payload", async () => tampered(await hs256(GOOD)), /signature/],
    ["with four parts", async () => `${await hs256(GOOD)}.AAAA`, /./],
    ["with one part", () => "token", /malformed/],
    ["with two parts", () => "a.b", /malformed/],
    ["with three empty parts", () => "..", /malformed/],
    ["that is not base64", () => "%%%.%%%.%%%", /malformed/],
    ["whose payload is not JSON", () => `${base64Url('{"alg":"HS256"}')}.e30x.AA`, /./],
    ["whose header is null", () => unsigned(null as never, GOOD, "AA"), /./],
    ["whose header is a list", () => unsigned([], GOOD, "AA"), /./],
    ["whose payload is null, correctly signed", () => hs256(null as never), /./],
    ["whose payload is a string, correctly signed", () => hs256("alice" as never), /./],
    ["with an infinite exp", () => signHs256(`{"sub":"alice","exp":1e999}`), /exp|iss|aud/],
    ["with an unknown critical header", () => critical(["exp"], { exp: 1 }), /malformed/],
    ["with an empty list of critical headers", () => critical([]), /malformed/],
    ["with critical headers that are not a list", () => critical("exp"), /malformed/],
    ["with an unencoded payload", () => critical(["b64"], { b64: false }), /malformed/],
    ["that is huge", () => "a".repeat(TOKEN_MAX_CHARS + 1), /too long/],
    ["that is valid but huge", () => hs256({ ...GOOD, pad: "a".repeat(9_000) }), /too long/],
  ])("a token %s is refused", async (_, token, reason) => {
    await expectRefused(secretEnv(), `Bearer ${await token()}`, reason);
  });

  test("without a token, the answer asks for one and names no error", async () => {
    const reply = await expectRefused(secretEnv(), undefined, /Authorization: Bearer TOKEN/);
    expect(reply.headers.get("WWW-Authenticate")).toBe("Bearer");
  });

  test.each([
    ["another scheme", "Basic YWxpY2U6c2VjcmV0"],
    ["no scheme", "TOKEN"],
    ["the scheme alone", "Bearer"],
    ["two tokens", "Bearer TOKEN TOKEN"],
    ["a tab", "Bearer\tTOKEN"],
    ["a comma", "TOKEN, Bearer TOKEN"],
  ])("%s in the Authorization header is refused", async (_, header) => {
    const good = await hs256(GOOD);
    await expectRefused(secretEnv(), header.replaceAll("TOKEN", good), /Bearer TOKEN/);
  });

  test.each<[name: string, payload: Payload, header?: object]>([
    ["that is valid", GOOD],
    ["that expired within the leeway", { ...GOOD, exp: NOW_S - CLOCK_LEEWAY_S + 30 }],
    ["with an nbf within the leeway", { ...GOOD, nbf: NOW_S + CLOCK_LEEWAY_S - 30 }],
    ["issued by a clock slightly ahead", { ...GOOD, iat: NOW_S + CLOCK_LEEWAY_S - 30 }],
    ["without iat", without("iat")],
    ["for several audiences", { ...GOOD, aud: ["other", AUDIENCE] }],
    ["with unknown claims", { ...GOOD, scope: "x", admin: true, nested: {} }],
    ["with a fractional exp", { ...GOOD, exp: GOOD.exp + 0.5 }],
    ["with typ at+jwt", GOOD, { typ: "at+jwt" }],
    ["with typ application/at+jwt", GOOD, { typ: "application/at+jwt" }],
    ["without typ", GOOD, { typ: undefined }],
    ["with a kid, which is ignored", GOOD, { kid: "2026" }],
  ])("a token %s is accepted", async (_, payload, header = {}) => {
    await expectAccepted(secretEnv(), `Bearer ${await signHs256(payload, { header })}`);
  });

  test("an exp that is not a finite number is refused, even without an issuer and audience to check", async () => {
    const env = newEnv({ AUTH: "jwt", AUTH_SECRET: SECRET });
    for (const exp of ["1e999", "-1e999", "NaN", "true", "[9e9]"]) {
      const token = await signHs256(`{"sub":"alice","exp":${exp}}`);
      await expectRefused(env, `Bearer ${token}`, /exp|malformed/);
    }
  });

  test.each(["bearer TOKEN", "BEARER TOKEN", "Bearer  TOKEN"])(
    "%s is accepted, too",
    async (header) => {
      await expectAccepted(secretEnv(), header.replace("TOKEN", await hs256(GOOD)));
    },
  );

  test("issuer and audience are not checked unless set", async () => {
    const env = newEnv({ AUTH: "jwt", AUTH_SECRET: SECRET });
    await expectAccepted(env, `Bearer ${await hs256({ sub: "alice", exp: GOOD.exp })}`);
  });

  test("an empty AUTH means jwt", async () => {
    const env = { ...newEnv({ AUTH_SECRET: SECRET }), AUTH: "" };
    await expectRefused(env, undefined, /token/);
    await expectAccepted(env, `Bearer ${await hs256(GOOD)}`);
  });
});

const OWNERS = [
  ...["a", "A", "a:b", "a/b", "a", ":", "/", "a b", "a\u200b", "\u200b", "😀", "é", "e\u0301"],
  ...["todo:a", "default", "null", "%00", "../b", "a'--", "?", "a".repeat(254), "a".repeat(255)],
  ...["é".repeat(127), "😀".repeat(63), "\u{10ffff}"],
].filter((owner, at, all) => all.indexOf(owner) === at);

test(`${OWNERS.length} owners with odd names each see only their own todo`, async () => {
  const env = secretEnv();
  const headers = new Map<string, { authorization: string }>();
  for (const sub of OWNERS) {
    tried.cases++;
    const authorization = `Bearer ${await hs256({ ...GOOD, sub })}`;
    headers.set(sub, { authorization });
    const item = JSON.stringify(sub);
    const added = await call(env, "POST", "/todo", { id: 1, item }, { headers: { authorization } });
    expect(added.status).toBe(201);
    tried.accepted++;
  }
  for (const sub of OWNERS) {
    const reply = await call(env, "GET", "/todo", undefined, { headers: headers.get(sub) ?? {} });
    expect(reply.body.data).toEqual([{ id: 1, item: JSON.stringify(sub), completed: false }]);
    const events = await call(env, "GET", "/event", undefined, { headers: headers.get(sub) ?? {} });
    expect(events.body.data).toHaveLength(1);
  }
});

describe("with AUTH_JWKS_URL", () => {
  let keys: { RS256: Pair; ES256: Pair };
  beforeEach(async () => {
    forgetKeys();
    keys ??= { RS256: await newPair("RS256"), ES256: await newPair("ES256") };
    const jwks = { keys: [await publicJwk(keys.RS256), await publicJwk(keys.ES256)] };
    const real = globalThis.fetch;
    vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) =>
      String(input) === JWKS_URL ? Response.json(jwks) : real(input, init),
    );
  });

  test.each(["RS256", "ES256"] as const)("a token signed with %s is accepted", async (alg) => {
    await expectAccepted(jwksEnv(), `Bearer ${await signWith(keys[alg], GOOD)}`);
  });

  test.each<[name: string, token: () => string | Promise<string>, reason: RegExp]>([
    ["expired", () => signWith(keys.RS256, { ...GOOD, exp: 1 }), /expired/],
    ["without exp", () => signWith(keys.ES256, without("exp")), /exp/],
    ["from the wrong issuer", () => signWith(keys.RS256, { ...GOOD, iss: "x" }), /issuer/],
    ["for the wrong audience", () => signWith(keys.RS256, { ...GOOD, aud: "x" }), /audience/],
    ["with alg none", () => unsigned({ alg: "none", kid: keys.RS256.kid }, GOOD), /./],
    [
      "signed with HS256 and the public key as secret",
      async () => hmacWithPublicKey(keys.RS256, GOOD, "jwk"),
      /./,
    ],
    [
      "signed with HS256 and the public key's PEM as secret",
      async () => hmacWithPublicKey(keys.RS256, GOOD, "pem"),
      /./,
    ],
    [
      "signed by another key under a known kid",
      async () => signWith({ ...(await newPair("RS256")), kid: keys.RS256.kid }, GOOD),
      /./,
    ],
    [
      "signed with ES256 under the RSA key's kid",
      () => signWith({ ...keys.ES256, kid: keys.RS256.kid }, GOOD),
      /./,
    ],
    ["with RS512", () => signWith(keys.RS256, GOOD, { alg: "RS512" }), /./],
    ["without kid", () => signWith(keys.RS256, GOOD, { kid: undefined }), /kid/],
    ["with a numeric kid", () => signWith(keys.RS256, GOOD, { kid: 7 }), /./],
    ["with an unknown kid", () => signWith(keys.RS256, GOOD, { kid: "unknown" }), /./],
    ["signed with HS256 and a shared secret", () => hs256(GOOD), /./],
    ["that is malformed", () => "a.b.c", /./],
  ])("a token %s is refused", async (_, token, reason) => {
    await expectRefused(jwksEnv(), `Bearer ${await token()}`, reason);
  });
});

test("/health answers anyone, but ?deep only a caller with a token", async () => {
  expect((await call(secretEnv(), "GET", "/health")).status).toBe(200);
  expect((await call(secretEnv(), "GET", "/health?deep")).status).toBe(401);
  const headers = { authorization: `Bearer ${await hs256(GOOD)}` };
  const deep = await call(secretEnv(), "GET", "/health?deep", undefined, { headers });
  expect(deep).toMatchObject({ status: 200, body: { d1: "ok", kv: "ok", convoy: "ok" } });
});

/** A token that is valid but for its critical headers. */
function critical(crit: unknown, header: object = {}): Promise<string> {
  return signHs256(GOOD, { header: { crit, ...header } });
}

/** The same header and signature around another subject. */
function tampered(token: string): string {
  const [header, , signature] = token.split(".");
  return `${header}.${base64Url(JSON.stringify({ ...GOOD, sub: "mallory" }))}.${signature}`;
}
