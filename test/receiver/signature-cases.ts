// What a signature check must answer, whatever language it is written in.
import recorded from "../fixtures/recorded-deliveries.json" with { type: "json" };
import vectors from "../fixtures/signature-vectors.json" with { type: "json" };
import { advanced, sign } from "../support/sign.ts";
import { EXAMPLE } from "./document.ts";

/** One question to a signature check, and its answer; `tolerance` and `now` in seconds. */
export type SignatureCase = {
  name: string;
  body: string;
  header: string;
  secrets: string[];
  simple: boolean;
  tolerance: number;
  now: number;
  hash: "SHA256" | "SHA512";
  valid: boolean;
};

const { body, header, nowS, secret } = EXAMPLE;
const base = {
  body,
  header,
  secrets: [secret],
  simple: false,
  tolerance: 300,
  now: nowS,
  hash: "SHA256" as const,
};

const v1 = sign(secret, `${nowS},${body}`);
const base64 = (hex: string) => Buffer.from(hex, "hex").toString("base64");
const padding = (count: number) => Array(count).fill("v1=00").join(",");
const signedAt = (time: string) => `t=${time},v1=${sign(secret, `${time},${body}`)}`;

const ACCEPTED: Record<string, Partial<SignatureCase>> = {
  "the worked example": {},
  "another secret of the receiver": { secrets: ["other", secret] },
  "the receiver has the old secret of a rotation": {
    header: advanced([secret, "new"], body, nowS),
  },
  "the receiver has the new secret of a rotation": {
    header: advanced(["old", secret], body, nowS),
  },
  "as old as allowed": { now: nowS + 300 },
  "as far ahead as allowed": { now: nowS - 300 },
  "in base64": { header: `t=${nowS},v1=${base64(v1)}` },
  "with spaces": { header: `t=${nowS}, v1=${v1}` },
  "beside a future scheme": { header: `t=${nowS},v2=xyz,v1=${v1}` },
  "the tenth v1": { header: `t=${nowS},${padding(9)},v1=${v1}` },
  "simple, in hex, if the receiver says simple": { simple: true, header: sign(secret, body) },
  "simple, in base64, if the receiver says simple": {
    simple: true,
    header: base64(sign(secret, body)),
  },
};

const REFUSED: Record<string, Partial<SignatureCase>> = {
  "simple, if the receiver did not say so": { header: sign(secret, body) },
  "advanced, if the receiver says simple": { simple: true },
  // An old delivery signs `t,body`: as a simple signature, without a timestamp, it would be good forever.
  "an old delivery sent again as a simple one, in hex": {
    body: `${nowS},${body}`,
    header: v1,
    now: nowS + 86_400,
  },
  "an old delivery sent again as a simple one, in base64": {
    body: `${nowS},${body}`,
    header: base64(v1),
    now: nowS + 86_400,
  },
  "a simple signature as v1": { header: `t=${nowS},v1=${sign(secret, body)}` },
  "another secret": { secrets: ["other"] },
  "no secret": { secrets: [] },
  "an empty secret": { secrets: [""], header: advanced([""], body, nowS) },
  "an empty secret, simple": { simple: true, secrets: [""], header: sign("", body) },
  "another body": { body: `${body} ` },
  "too old": { now: nowS + 301 },
  "too far ahead": { now: nowS - 301 },
  "no header": { header: "" },
  "no header, simple": { simple: true, header: "" },
  "a comma": { header: "," },
  "only keys": { header: "t=,v1=" },
  "no v1": { header: `t=${nowS}` },
  "another scheme alone": { header: `t=${nowS},v2=${v1}` },
  "no time": { header: `v1=${v1}` },
  "another time": { header: `t=${nowS + 1},v1=${v1}` },
  "two times, the signed one second": { header: `t=${nowS + 1},t=${nowS},v1=${v1}` },
  "the end missing": { header: `t=${nowS},v1=${v1.slice(0, -2)}` },
  "something after the end": { header: `t=${nowS},v1=${v1}00` },
  "neither hex nor base64": { header: `t=${nowS},v1=${"é".repeat(32)}` },
  "bytes that are not text": { header: `t=${nowS},v1=\udcff` },
  "bad base64": { header: `t=${nowS},v1====` },
  "the eleventh v1: a stuffed header costs no work": {
    header: `t=${nowS},${padding(10)},v1=${v1}`,
  },
  ...Object.fromEntries(
    [
      "",
      "NaN",
      "Infinity",
      `-${nowS}`,
      `+${nowS}`,
      ` ${nowS}`,
      `${nowS}.0`,
      `${nowS}e0`,
      `0x${nowS.toString(16)}`,
      `${"0".repeat(20)}${nowS}`,
      "9".repeat(400),
    ].map((time) => [`signed, at a time of "${time.slice(0, 40)}"`, { header: signedAt(time) }]),
  ),
};

/** JSON without the spaces between its tokens, which is what Convoy signs (Go's json.Compact). */
function compact(json: string): string {
  return json.replace(/("(?:[^"\\]|\\.)*")|\s+/g, (_all, text) => text ?? "");
}

/** Deliveries of the real Convoy, once for each secret that signed them. */
const RECORDED = recorded.flatMap(({ case: name, secret, secrets, received }) =>
  (secrets ?? (secret ? [secret] : [])).flatMap((one) =>
    (received ?? []).map(({ body, headers }, i) => {
      const header = headers["X-Convoy-Signature"];
      const now = Number(/t=(\d+)/.exec(header)![1]);
      const title = `recorded: ${name}, ${i}, ${one}`;
      return {
        ...base,
        name: title,
        body: compact(body),
        header,
        secrets: [one],
        now,
        valid: true,
      };
    }),
  ),
);

/** Convoy's own vectors, each also given to a receiver in the other mode, which refuses it. */
const VECTORS = vectors.flatMap((vector) => {
  const { name, payload: body, header, tolerance, advanced, valid } = vector;
  const hash = vector.hash === "SHA512" ? ("SHA512" as const) : ("SHA256" as const);
  const given = { body, header, secrets: [vector.secret], tolerance, hash, now: nowS };
  return [
    { ...given, name: `vector: ${name}`, simple: !advanced, valid },
    { ...given, name: `vector: ${name}, in the other mode`, simple: advanced, valid: false },
  ];
});

const all = (cases: Record<string, Partial<SignatureCase>>, valid: boolean) =>
  Object.entries(cases).map(([name, given]) => ({ ...base, ...given, name, valid }));

/** Every case, each with its own name. */
export const CASES: SignatureCase[] = [
  ...VECTORS,
  ...RECORDED,
  ...all(ACCEPTED, true),
  ...all(REFUSED, false),
];
