/** Tokens signed with the tests' own keys, good ones and forged ones. */
import { encodeBase64Url } from "hono/utils/encode";

/** Long enough for a secret, though known to everyone. */
export const TEST_SECRET = "a secret of the tests, thirty-two bytes or more";

/** Request options to call as the owner `sub`, if AUTH_SECRET is TEST_SECRET. */
export async function as(sub: string, claims: Payload = {}, secret = TEST_SECRET) {
  const exp = Math.floor(Date.now() / 1_000) + 600;
  const token = await signHs256({ sub, exp, ...claims }, { secret });
  return { headers: { authorization: `Bearer ${token}` } };
}

/** Claims, valid or not. */
export type Payload = Record<string, unknown>;

/** A key pair and its kid. */
export type Pair = {
  alg: "RS256" | "ES256";
  kid: string;
  privateKey: CryptoKey;
  publicKey: CryptoKey;
};

const ALGORITHMS = {
  RS256: {
    name: "RSASSA-PKCS1-v1_5",
    hash: "SHA-256",
    modulusLength: 2_048,
    publicExponent: new Uint8Array([1, 0, 1]),
  },
  ES256: { name: "ECDSA", hash: "SHA-256", namedCurve: "P-256" },
} as const;

/** A new key pair with a unique kid. */
export async function newPair(alg: Pair["alg"]): Promise<Pair> {
  const made = await crypto.subtle.generateKey(ALGORITHMS[alg], true, ["sign", "verify"]);
  const { privateKey, publicKey } = made as CryptoKeyPair;
  return { alg, kid: crypto.randomUUID(), privateKey, publicKey };
}

/** The public key as an issuer publishes it. */
export async function publicJwk({ alg, kid, publicKey }: Pair) {
  const jwk = (await crypto.subtle.exportKey("jwk", publicKey)) as JsonWebKey;
  return { ...jwk, kid, alg, use: "sig" };
}

/** A token signed with HS256; `payload` may be JSON text, `header` overrides fields of its header. */
export async function signHs256(
  payload: Payload | string,
  { secret = TEST_SECRET, header = {} }: { secret?: string; header?: object } = {},
): Promise<string> {
  const head = JSON.stringify({ alg: "HS256", typ: "JWT", ...header });
  const text = typeof payload === "string" ? payload : JSON.stringify(payload);
  const signed = `${base64Url(head)}.${base64Url(text)}`;
  const bytes = new TextEncoder().encode(secret);
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytes, algorithm, false, ["sign"]);
  const signature = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(signed));
  return `${signed}.${base64Url(new Uint8Array(signature))}`;
}

/** A token signed with the pair; `header` overrides fields of its header, not how it is signed. */
export async function signWith(pair: Pair, payload: Payload, header: object = {}): Promise<string> {
  const head = JSON.stringify({ alg: pair.alg, typ: "JWT", kid: pair.kid, ...header });
  const signed = `${base64Url(head)}.${base64Url(JSON.stringify(payload))}`;
  const bytes = new TextEncoder().encode(signed);
  const signature = await crypto.subtle.sign(ALGORITHMS[pair.alg], pair.privateKey, bytes);
  return `${signed}.${base64Url(new Uint8Array(signature))}`;
}

/** Text (as UTF-8) or bytes in base64url without padding. */
export function base64Url(data: string | Uint8Array): string {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  return encodeBase64Url(bytes.slice().buffer).replaceAll("=", "");
}

/** The classic key confusion: the public key, known to everyone, used as a shared secret. */
export async function hmacWithPublicKey(
  pair: Pair,
  payload: Payload,
  as: "jwk" | "pem",
): Promise<string> {
  const spki = (await crypto.subtle.exportKey("spki", pair.publicKey)) as ArrayBuffer;
  const body = btoa(String.fromCharCode(...new Uint8Array(spki)));
  const pem = `-----BEGIN PUBLIC KEY-----\n${body.replaceAll(/.{64}/g, "$&\n")}\n-----END PUBLIC KEY-----\n`;
  const secret = as === "pem" ? pem : JSON.stringify(await publicJwk(pair));
  return signHs256(payload, { secret, header: { kid: pair.kid } });
}
