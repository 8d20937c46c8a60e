/** The inbox's "Copy check in TypeScript": it runs as it is, and lets nothing in that it should not. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { advanced, sign } from "../support/sign.ts";

// A page's own module, without types.
const page = path.resolve(import.meta.dirname, "../../local/inbox/snippets.js");
const { asTypeScript } = await import(page);

const SECRET = "whsec_example";
const BODY = '{"event":"created","item":"Grüße 🥛"}';
const NOW_S = Math.floor(Date.now() / 1_000);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "snippet-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs the snippet of a delivery with this header. */
function run(header: string, isAdvanced = true, secret = SECRET) {
  const file = path.join(folder, "check.mts");
  const delivery = { body: BODY, signature: { header }, check: { advanced: isAdvanced } };
  writeFileSync(file, asTypeScript(delivery));
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--no-warnings", file], {
    env: { ...process.env, WEBHOOK_SECRET: secret },
    encoding: "utf8",
  });
  return { status, said: stdout.trim() + stderr };
}

const good = advanced([SECRET], BODY, NOW_S);
/** The same number of characters, one of them of two bytes. */
const forged = (header: string) => `${header.slice(0, -1)}é`;

test.each<[what: string, header: string, isAdvanced: boolean, says: string]>([
  ["a signature", good, true, "{ valid: true, fresh: true }"],
  [
    "two, with spaces",
    advanced(["old", SECRET], BODY, NOW_S).replaceAll(",", ", "),
    true,
    "{ valid: true, fresh: true }",
  ],
  ["an old one", advanced([SECRET], BODY, NOW_S - 3_600), true, "{ valid: true, fresh: false }"],
  ["another secret's", advanced(["other"], BODY, NOW_S), true, "{ valid: false, fresh: true }"],
  ["a byte above 127", forged(good), true, "{ valid: false, fresh: true }"],
  ["no time", `v1=${sign(SECRET, `,${BODY}`)}`, true, "{ valid: false, fresh: false }"],
  ["nothing", "", true, "{ valid: false, fresh: false }"],
  ["a simple one", sign(SECRET, BODY), false, "true"],
  ["a simple one with a byte above 127", forged(sign(SECRET, BODY)), false, "false"],
])("%s", (_, header, isAdvanced, says) => {
  expect(run(header, isAdvanced)).toEqual({ status: 0, said: says });
});

test.each([
  [advanced([""], BODY, NOW_S), true],
  [sign("", BODY), false],
])("what anyone can sign with an empty secret is not accepted", (header, isAdvanced) => {
  const { status, said } = run(header, isAdvanced, "");
  expect(status).toBe(1);
  expect(said).toContain("WEBHOOK_SECRET is not set");
});
