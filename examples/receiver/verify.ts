// The signature of a webhook from Convoy. Copy this file: it needs nothing but WebCrypto.

/**
 * The receiver's choices. `simple`: the endpoint signs the simple way, which has no timestamp.
 * `toleranceS`: how old, or how far ahead, a timestamp may be. `nowS`: the clock, for tests.
 */
export type VerifyOptions = {
  simple?: boolean;
  toleranceS?: number;
  nowS?: number;
  hash?: "SHA-256" | "SHA-512";
};

/**
 * Whether `header` (X-Convoy-Signature) signs `body`, the raw bytes as received, with one of `secrets`.
 * Advanced: `t=SECONDS,v1=SIGNATURE[,v1=…]` over `SECONDS,body`; simple: the bare signature of the body.
 * Signatures are HMACs in hex or base64. A bad header never throws: it is just not valid.
 */
export async function verifySignature(
  body: ArrayBuffer,
  header: string,
  secrets: string[],
  {
    simple = false,
    toleranceS = 300,
    nowS = Date.now() / 1_000,
    hash = "SHA-256",
  }: VerifyOptions = {},
): Promise<boolean> {
  let signed = body;
  let signatures = [header];
  // Never guessed from the header: an old `t=…,v1=…` over `t,body` would pass as simple, with its age unchecked.
  if (!simple) {
    const pairs = header.split(",").map((pair) => pair.trim().split(/=(.*)/));
    const time = pairs.find(([key]) => key === "t")?.[1] ?? "";
    if (!/^\d{1,15}$/.test(time) || Math.abs(nowS - Number(time)) > toleranceS) return false;
    signatures = pairs.filter(([key]) => key === "v1").map(([, value]) => value ?? "");
    signed = await new Blob([`${time},`, body]).arrayBuffer();
  }
  // One per valid secret, so only a few; a header stuffed with more must not cause extra work.
  const candidates = signatures.slice(0, 10).map(decode);
  for (const secret of secrets.filter(Boolean)) {
    const bytes = new TextEncoder().encode(secret);
    const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash }, false, [
      "verify",
    ]);
    for (const candidate of candidates) {
      // verify() compares in constant time; a comparison with === would not.
      if (await crypto.subtle.verify("HMAC", key, candidate, signed)) return true;
    }
  }
  return false;
}

/** The bytes of a signature in hex or base64; empty if it is neither. */
function decode(text: string): Uint8Array<ArrayBuffer> {
  if (/^([0-9a-f]{2})+$/i.test(text)) {
    return Uint8Array.from(text.match(/../g)!, (pair) => Number.parseInt(pair, 16));
  }
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text) || text.length % 4 !== 0) return new Uint8Array();
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
