// Signs as Convoy does; written independently of the receiver's code, so that they check each other.
import { createHmac } from "node:crypto";

/** HMAC-SHA256 of a text, in hex. */
export function sign(secret: string, text: string): string {
  return createHmac("sha256", secret).update(text).digest("hex");
}

/** X-Convoy-Signature, advanced: `t=…` and one `v1=…` for each secret. `atS`: Unix seconds. */
export function advanced(
  secrets: string[],
  body: string,
  atS = Math.floor(Date.now() / 1_000),
): string {
  return [`t=${atS}`, ...secrets.map((secret) => `v1=${sign(secret, `${atS},${body}`)}`)].join(",");
}

/** A text's UTF-8 in its own buffer. */
export function bytes(text: string): ArrayBuffer {
  return new Uint8Array(new TextEncoder().encode(text)).buffer;
}
