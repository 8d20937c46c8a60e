// The 17 published signature vectors, against the inbox's check and against the signing code.
import { expect, test } from "vitest";
import { type Encoding, type Hash, sign, verify } from "../../local/convoy/signature.ts";
import vectors from "../fixtures/signature-vectors.json" with { type: "json" };

const nowS = Date.parse("2026-11-24T12:00:00Z") / 1000;
const inputOf = (vector: (typeof vectors)[number]) => ({
  payload: vector.payload,
  header: vector.header,
  secret: vector.secret,
  advanced: vector.advanced,
  hash: vector.hash as Hash,
  encoding: vector.encoding as Encoding,
  toleranceS: vector.tolerance,
  nowS,
});

test("there are 17 vectors", () => {
  expect(vectors).toHaveLength(17);
});

test.each(vectors)("$name: $description", (vector) => {
  const verdict = verify(inputOf(vector));
  expect(verdict.valid).toBe(vector.valid);
  expect(verdict.reason === undefined).toBe(vector.valid);
});

test.each(vectors.filter((one) => one.valid && !/multi|not_first/.test(one.name)))(
  "signing produces the header of $name",
  (vector) => {
    const { payload, secret, advanced, hash, encoding } = inputOf(vector);
    const timestampS = Number(/t=(\d+)/.exec(vector.header)?.[1] ?? 0);
    expect(sign({ payload, secrets: [secret], advanced, timestampS, hash, encoding })).toBe(
      vector.header,
    );
  },
);

test.each([
  ["advanced_tamper", "no signature in the header matches this body and this secret"],
  ["advanced_missing_timestamp", "the header has no timestamp (t=…)"],
  ["advanced_t_infinity", "the timestamp is not one whole number of seconds"],
  ["simple_tamper", "no signature in the header matches this body and this secret"],
])("a failed check of %s says why", (name, reason) => {
  const vector = vectors.find((one) => one.name === name)!;
  expect(verify(inputOf(vector)).reason).toBe(reason);
});

test("a body with spaces fails, and the check says that Convoy signs it without them", () => {
  const payload = '{"a": 1}';
  const header = sign({ payload, secrets: ["s"], advanced: true, timestampS: nowS });
  const verdict = verify({ payload, header, secret: "s", advanced: true, nowS });
  expect(verdict).toMatchObject({
    valid: false,
    reason: expect.stringContaining("compacted JSON"),
  });
});
