// Makes and checks Convoy's signatures. The check does what a receiver would, and reports each step.
import { createHmac, timingSafeEqual } from "node:crypto";
import { SIGNATURE_TOLERANCE_S } from "../config.ts";
import { compactJson } from "./json.ts";

/** Hashes that Convoy offers; an endpoint's default is SHA256. */
export type Hash = "SHA256" | "SHA512";
/** Encodings that Convoy offers; an endpoint's default is hex. */
export type Encoding = "hex" | "base64";

/** What a signature is made from. `timestampS` is the Unix time in seconds; only advanced signatures use it. */
export type SignInput = {
  payload: string;
  secrets: string[];
  advanced: boolean;
  timestampS: number;
  hash?: Hash;
  encoding?: Encoding;
};

/** What a receiver checks a signature with. `toleranceS` and `nowS` are seconds. */
export type VerifyInput = {
  payload: string;
  header: string;
  secret: string;
  advanced: boolean;
  nowS: number;
  toleranceS?: number;
  hash?: Hash;
  encoding?: Encoding;
};

/** One step of a check: what was checked, and the result. */
export type Step = { step: string; ok: boolean; detail: string };

/** The outcome of a check; `reason` is set if it failed. */
export type Verdict = { valid: boolean; reason?: string; steps: Step[] };

function mac(text: string, secret: string, hash: Hash = "SHA256", encoding: Encoding = "hex") {
  return createHmac(hash.toLowerCase(), secret).update(text).digest(encoding);
}

/**
 * The value of X-Convoy-Signature for a body, over the compacted JSON. Simple: the bare signature by the newest
 * secret; advanced: `t=…,v1=…` over `t,body`, one signature per overlapping secret, in the order of the endpoint's
 * list (recorded).
 */
export function sign(input: SignInput): string {
  const body = compactJson(input.payload);
  if (!input.advanced) {
    const secret = input.secrets.at(-1) ?? "";
    return mac(body, secret, input.hash, input.encoding);
  }
  const signed = `${input.timestampS},${body}`;
  const parts = input.secrets.map(
    (secret) => `v1=${mac(signed, secret, input.hash, input.encoding)}`,
  );
  return [`t=${input.timestampS}`, ...parts].join(",");
}

function same(one: string, other: string): boolean {
  const left = Buffer.from(one);
  const right = Buffer.from(other);
  return left.length === right.length && timingSafeEqual(left, right);
}

function verdict(steps: Step[]): Verdict {
  const failed = steps.find((step) => !step.ok);
  return failed ? { valid: false, reason: failed.detail, steps } : { valid: true, steps };
}

/** Why no signature matches: usually a body with spaces, which Convoy signs without them. */
function mismatch(input: VerifyInput, prefix: string, given: string[]): string {
  const compacted = compactJson(input.payload);
  if (compacted !== input.payload) {
    const expected = mac(prefix + compacted, input.secret, input.hash, input.encoding);
    if (given.some((value) => same(value, expected)))
      return "the body has spaces outside its strings: Convoy signs the compacted JSON but sends the bytes as posted";
  }
  return "no signature in the header matches this body and this secret";
}

/** Checks a signature over the body as received, as Convoy's own libraries do; passes the 17 published vectors. */
export function verify(input: VerifyInput): Verdict {
  return input.advanced ? verifyAdvanced(input) : verifySimple(input);
}

function verifySimple(input: VerifyInput): Verdict {
  const steps: Step[] = [];
  const expected = mac(input.payload, input.secret, input.hash, input.encoding);
  steps.push({
    step: "read the header",
    ok: input.header !== "",
    detail: input.header === "" ? "the header is empty" : "one simple signature",
  });
  const ok = same(input.header, expected);
  steps.push({
    step: "compare in constant time",
    ok,
    detail: ok ? "the signature matches" : mismatch(input, "", [input.header]),
  });
  return verdict(steps);
}

function parseAdvanced(header: string): { timestamps: string[]; signatures: string[] } {
  const timestamps: string[] = [];
  const signatures: string[] = [];
  for (const part of header.split(",")) {
    const at = part.indexOf("=");
    const name = part.slice(0, at).trim();
    const value = part.slice(at + 1).trim();
    if (at > 0 && name === "t") timestamps.push(value);
    else if (at > 0 && /^v\d+$/.test(name)) signatures.push(value);
  }
  return { timestamps, signatures };
}

function verifyAdvanced(input: VerifyInput): Verdict {
  const toleranceS = input.toleranceS ?? SIGNATURE_TOLERANCE_S;
  const { timestamps, signatures } = parseAdvanced(input.header);
  const timestamp = timestamps.length === 1 ? (timestamps[0] ?? "") : "";
  const steps: Step[] = [];
  const readable = /^\d{1,15}$/.test(timestamp);
  steps.push({
    step: "read the timestamp",
    ok: readable,
    detail: readable
      ? `t=${timestamp}, ${new Date(Number(timestamp) * 1000).toISOString()}`
      : timestamps.length === 0
        ? "the header has no timestamp (t=…)"
        : "the timestamp is not one whole number of seconds",
  });
  if (!readable) return verdict(steps);

  const offS = Math.abs(input.nowS - Number(timestamp));
  steps.push({
    step: "is it recent",
    ok: offS <= toleranceS,
    detail:
      offS <= toleranceS
        ? `${Math.round(offS)} s off, ${toleranceS} s allowed`
        : `the timestamp is ${Math.round(offS)} s off, more than the ${toleranceS} s allowed`,
  });
  steps.push({
    step: "read the signatures",
    ok: signatures.length > 0,
    detail:
      signatures.length > 0 ? `${signatures.length} in the header` : "the header has no signature",
  });
  const prefix = `${timestamp},`;
  const expected = mac(prefix + input.payload, input.secret, input.hash, input.encoding);
  const at = signatures.findIndex((signature) => same(signature, expected));
  steps.push({
    step: "compare in constant time",
    ok: at >= 0,
    detail:
      at >= 0
        ? `signature ${at + 1} of ${signatures.length} matches HMAC-${input.hash ?? "SHA256"} of "${prefix}" and the body`
        : mismatch(input, prefix, signatures),
  });
  return verdict(steps);
}
