// The example receiver's signature check: Convoy's vectors, recorded deliveries, and what must not pass.
import { afterEach, expect, test, vi } from "vitest";
import { type VerifyOptions, verifySignature } from "../../examples/receiver/verify.ts";
import recorded from "../fixtures/recorded-deliveries.json" with { type: "json" };
import vectors from "../fixtures/signature-vectors.json" with { type: "json" };
import { bytes, sign } from "../support/sign.ts";

afterEach(() => vi.restoreAllMocks());

test("there are 17 vectors", () => expect(vectors).toHaveLength(17));

test.each(vectors)("vector $name: $description", async (vector) => {
  const options: VerifyOptions = {
    toleranceS: vector.tolerance,
    hash: vector.hash === "SHA512" ? "SHA-512" : "SHA-256",
  };
  const verdict = await verifySignature(
    bytes(vector.payload),
    vector.header,
    [vector.secret],
    options,
  );
  expect(verdict).toBe(vector.valid);
});

/** Deliveries of the real Convoy whose secret is known: body, signature, secrets, seconds of `t`. */
const deliveries = recorded.flatMap(({ case: name, secret, secrets, received }) =>
  (secret || secrets ? (received ?? []) : []).map(({ body, headers }) => ({
    name,
    // Convoy signs the JSON compacted; these bodies were posted with spaces, which this product never does.
    body: compact(body),
    posted: body,
    header: headers["X-Convoy-Signature"],
    secrets: secrets ?? [secret!],
    nowS: Number(/t=(\d+)/.exec(headers["X-Convoy-Signature"])![1]),
  })),
);

/** JSON without the spaces between its tokens, everything else as it was (Go's json.Compact). */
function compact(json: string): string {
  return json.replace(/("(?:[^"\\]|\\.)*")|\s+/g, (_all, text) => text ?? "");
}

test("five recorded deliveries have a known secret", () => expect(deliveries).toHaveLength(5));

test.each(deliveries)(
  "recorded delivery verifies with each of its secrets: $name",
  async (delivery) => {
    const { body, header, secrets, nowS } = delivery;
    for (const secret of secrets) {
      expect(await verifySignature(bytes(body), header, [secret], { nowS })).toBe(true);
      expect(await verifySignature(bytes(body), header, ["other", secret], { nowS })).toBe(true);
    }
    expect(await verifySignature(bytes(body), header, ["other"], { nowS })).toBe(false);
    expect(await verifySignature(bytes(body), header, secrets, { nowS: nowS + 301 })).toBe(false);
    expect(await verifySignature(bytes(body), header, secrets, { nowS: nowS - 301 })).toBe(false);
  },
);

test.each(deliveries)(
  "recorded delivery posted with spaces does not verify as received: $name",
  async (delivery) => {
    const { posted, header, secrets, nowS } = delivery;
    expect(await verifySignature(bytes(posted), header, secrets, { nowS })).toBe(false);
  },
);

const SECRET = "whsec_test";
const BODY = '{"event":"ping","item":"é 😀"}';
const NOW_S = 1_795_519_572;
const v1 = sign(SECRET, `${NOW_S},${BODY}`);

test.each([
  ["empty", ""],
  ["only a comma", ","],
  ["only keys", "t=,v1="],
  ["no v1", `t=${NOW_S}`],
  ["another scheme only", `t=${NOW_S},v2=${v1}`],
  ["no time", `v1=${v1}`],
  ["another time", `t=${NOW_S + 1},v1=${v1}`],
  ["two times, the signed one second", `t=${NOW_S + 1},t=${NOW_S},v1=${v1}`],
  ["the end missing", `t=${NOW_S},v1=${v1.slice(0, -2)}`],
  ["something after the end", `t=${NOW_S},v1=${v1}00`],
  ["neither hex nor base64", `t=${NOW_S},v1=${"é".repeat(32)}`],
  ["bad base64", `t=${NOW_S},v1====`],
  ["the advanced signature sent as a simple one", v1],
  ["a simple signature sent as an advanced one", `t=${NOW_S},v1=${sign(SECRET, BODY)}`],
])("a header is refused, without an error: %s", async (_name, header) => {
  expect(await verifySignature(bytes(BODY), header, [SECRET], { nowS: NOW_S })).toBe(false);
});

test.each([
  ["as Convoy sends it", `t=${NOW_S},v1=${v1}`],
  ["in capitals", `t=${NOW_S},v1=${v1.toUpperCase()}`],
  ["in base64", `t=${NOW_S},v1=${Buffer.from(v1, "hex").toString("base64")}`],
  ["with spaces", `t=${NOW_S}, v1=${v1}`],
  ["with a scheme still to come", `t=${NOW_S},v2=xyz,v1=${v1}`],
  ["simple", sign(SECRET, BODY)],
])("a header is accepted: %s", async (_name, header) => {
  expect(await verifySignature(bytes(BODY), header, [SECRET], { nowS: NOW_S })).toBe(true);
});

test("no secret, or an empty one, verifies nothing", async () => {
  const header = `t=${NOW_S},v1=${sign("", `${NOW_S},${BODY}`)}`;
  expect(await verifySignature(bytes(BODY), header, [], { nowS: NOW_S })).toBe(false);
  expect(await verifySignature(bytes(BODY), header, [""], { nowS: NOW_S })).toBe(false);
});

test("WebCrypto alone, which compares in constant time, decides", async () => {
  const verify = vi.spyOn(crypto.subtle, "verify").mockResolvedValue(false);
  const header = `t=${NOW_S},v1=${v1}`;
  expect(await verifySignature(bytes(BODY), header, [SECRET], { nowS: NOW_S })).toBe(false);
  expect(verify).toHaveBeenCalledOnce();
  verify.mockResolvedValue(true);
  const wrong = header.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
  expect(await verifySignature(bytes(BODY), wrong, [SECRET], { nowS: NOW_S })).toBe(true);
});

test("a header with thousands of signatures costs no more than ten", async () => {
  const verify = vi.spyOn(crypto.subtle, "verify");
  const header = `t=${NOW_S},${Array(5_000).fill("v1=00").join(",")}`;
  expect(await verifySignature(bytes(BODY), header, [SECRET], { nowS: NOW_S })).toBe(false);
  expect(verify).toHaveBeenCalledTimes(10);
});

test.each([
  ["empty", ""],
  ["NaN", "NaN"],
  ["infinite", "Infinity"],
  ["negative", `-${NOW_S}`],
  ["with a sign", `+${NOW_S}`],
  ["hexadecimal", `0x${NOW_S.toString(16)}`],
  ["with a fraction", `${NOW_S}.0`],
  ["with an exponent", `${NOW_S}e0`],
  ["too long", `${"0".repeat(20)}${NOW_S}`],
])(
  "a time that is no plain number of seconds is refused, though it is signed: %s",
  async (_name, time) => {
    const header = `t=${time},v1=${sign(SECRET, `${time},${BODY}`)}`;
    expect(await verifySignature(bytes(BODY), header, [SECRET], { nowS: NOW_S })).toBe(false);
  },
);
