// Makes and checks Convoy's signatures. The check does what a receiver would, and reports each step.
import { createHmac, timingSafeEqual } from "node:crypto";
import { compactJson } from "./json.ts";

/** How far a signature's timestamp may be off: the default of Convoy's libraries. */
const SIGNATURE_TOLERANCE_S = 300;

export type Hash = "SHA256" | "SHA512";
export type Encoding = "hex" | "base64";
/** How Convoy is told to sign; an endpoint's defaults are SHA256 and hex. */
type How = { payload: string; advanced: boolean; hash?: Hash; encoding?: Encoding };

/** `timestampS` is the Unix time in seconds; only advanced signatures use it. */
type SignInput = How & { secrets: string[]; timestampS: number };
/** `toleranceS` and `nowS` are seconds. */
type VerifyInput = How & { header: string; secret: string; nowS: number; toleranceS?: number };

/** One step of a check: what was checked, and the result. */
export type Step = { step: string; ok: boolean; detail: string };

/** The outcome of a check; `reason` is set if it failed. */
export type Verdict = { valid: boolean; reason?: string; steps: Step[] };

function mac(text: string, secret: string, { hash = "SHA256", encoding = "hex" }: How): string {
  return createHmac(hash.toLowerCase(), secret).update(text).digest(encoding);
}

/**
 * The value of X-Convoy-Signature for a body, over the compacted JSON. Simple: the bare signature by the newest
 * secret; advanced: `t=…,v1=…` over `t,body`, one signature per overlapping secret, in the order of the endpoint's
 * list (recorded).
 */
export function sign(input: SignInput): string {
  const body = compactJson(input.payload);
  if (!input.advanced) return mac(body, input.secrets.at(-1) ?? "", input);
  const signed = `${input.timestampS},${body}`;
  const parts = input.secrets.map((secret) => `v1=${mac(signed, secret, input)}`);
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
    const expected = mac(prefix + compacted, input.secret, input);
    if (given.some((value) => same(value, expected)))
      return "the body has spaces outside its strings: Convoy signs the compacted JSON but sends the bytes as posted";
  }
  return "no signature in the header matches this body and this secret";
}

/** Checks a signature over the body as received, as Convoy's own libraries do; passes the 17 published vectors. */
export function verify(input: VerifyInput): Verdict {
  return input.advanced ? verifyAdvanced(input) : verifySimple(input);
}

/** The last step: whether one of the signatures given is that of the body. */
function compare(input: VerifyInput, prefix: string, given: string[], found: string): Step {
  const step = "compare in constant time";
  const expected = mac(prefix + input.payload, input.secret, input);
  const at = given.findIndex((signature) => same(signature, expected));
  if (at < 0) return { step, ok: false, detail: mismatch(input, prefix, given) };
  return { step, ok: true, detail: found.replace("#", String(at + 1)) };
}

function verifySimple(input: VerifyInput): Verdict {
  const ok = input.header !== "";
  const detail = ok ? "one simple signature" : "the header is empty";
  return verdict([
    { step: "read the header", ok, detail },
    compare(input, "", [input.header], "the signature matches"),
  ]);
}

function verifyAdvanced(input: VerifyInput): Verdict {
  const { header, hash = "SHA256", nowS, toleranceS = SIGNATURE_TOLERANCE_S } = input;
  const pairs = header.split(",").map((part) => part.split(/=(.*)/s).map((text) => text.trim()));
  const timestamps = pairs.flatMap(([name, value]) => (name === "t" ? (value ?? "") : []));
  const signatures = pairs.flatMap(([name = "", value]) =>
    /^v\d+$/.test(name) ? (value ?? "") : [],
  );
  const [timestamp = ""] = timestamps;
  const ok = timestamps.length === 1 && /^\d{1,15}$/.test(timestamp);
  const unreadable =
    timestamps.length === 0
      ? "the header has no timestamp (t=…)"
      : "the timestamp is not one whole number of seconds";
  const read = (detail: string) => ({ step: "read the timestamp", ok, detail });
  if (!ok) return verdict([read(unreadable)]);

  const offS = Math.abs(nowS - Number(timestamp));
  const off = `${Math.round(offS)} s off`;
  const number = signatures.length;
  const prefix = `${timestamp},`;
  const matching = `signature # of ${number} matches HMAC-${hash} of "${prefix}" and the body`;
  return verdict([
    read(`t=${timestamp}, ${new Date(Number(timestamp) * 1000).toISOString()}`),
    offS <= toleranceS
      ? { step: "is it recent", ok: true, detail: `${off}, ${toleranceS} s allowed` }
      : {
          step: "is it recent",
          ok: false,
          detail: `the timestamp is ${off}, more than the ${toleranceS} s allowed`,
        },
    {
      step: "read the signatures",
      ok: number > 0,
      detail: number > 0 ? `${number} in the header` : "the header has no signature",
    },
    compare(input, prefix, signatures, matching),
  ]);
}
