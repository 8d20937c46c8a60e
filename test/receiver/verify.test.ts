// The signature checks of examples/receiver and docs/receiving.md, on the same cases.
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { verifySignature } from "../../examples/receiver/verify.ts";
import { RECEIVER } from "../support/receiver.ts";
import { advanced, bytes } from "../support/sign.ts";
import { block, EXAMPLE } from "./document.ts";
import { CASES } from "./signature-cases.ts";

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "receiving-"));
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

/** Whether a command runs here; code in other languages is checked only if it does. */
const runs = (command: string, argument: string) => spawnSync(command, [argument]).status === 0;

/** A check's verdicts, by case. */
const byCase = (verdicts: boolean[]) =>
  Object.fromEntries(CASES.map(({ name }, i) => [name, verdicts[i]]));
const expected = byCase(CASES.map(({ valid }) => valid));

describe("the signature check, on Convoy's vectors, recorded deliveries and what must be refused", () => {
  test("has all vectors and all recorded deliveries with a known secret, each case under its own name", () => {
    const named = (start: RegExp) => CASES.filter(({ name }) => start.test(name)).length;
    expect(named(/^vector: \w+$/)).toBe(17);
    expect(named(/^recorded: /)).toBe(7);
    expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length);
  });

  test("in TypeScript", async () => {
    const verdicts = CASES.map(({ body, header, secrets, simple, tolerance, now, hash }) =>
      verifySignature(bytes(body), header, secrets, {
        simple,
        toleranceS: tolerance,
        nowS: now,
        hash: hash === "SHA512" ? "SHA-512" : "SHA-256",
      }),
    );
    expect(byCase(await Promise.all(verdicts))).toEqual(expected);
  });

  test.skipIf(!runs("python3", "--version"))("in Python", () => {
    const harness = `
import json, sys
print(json.dumps([
    verify(c["body"].encode(), c["header"] or None, c["secrets"], simple=c["simple"],
           tolerance_s=c["tolerance"], now_s=c["now"], digest=c["hash"].lower())
    for c in json.load(sys.stdin)
]))`;
    const program = block("python") + harness;
    const input = JSON.stringify(CASES);
    const answer = execFileSync("python3", ["-c", program], { input, encoding: "utf8" });
    expect(byCase(JSON.parse(answer))).toEqual(expected);
  });

  test.skipIf(!runs("go", "version"))("in Go", () => {
    const harness = `package main

import (
	"crypto/sha512"
	"encoding/json"
	"os"
	"time"
)

func main() {
	var cases []struct {
		Body, Header, Hash string
		Secrets            []string
		Simple             bool
		Tolerance, Now     int64
	}
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	verdicts := []bool{}
	for _, c := range cases {
		options := Options{Simple: c.Simple, Now: time.Unix(c.Now, 0)}
		if c.Hash != "SHA256" {
			options.Hash = sha512.New
		}
		if c.Tolerance != 300 {
			options.Tolerance = time.Duration(c.Tolerance) * time.Second
		}
		verdicts = append(verdicts, Verify([]byte(c.Body), c.Header, c.Secrets, options))
	}
	json.NewEncoder(os.Stdout).Encode(verdicts)
}
`;
    fs.writeFileSync(path.join(folder, "go.mod"), "module receiving\n\ngo 1.21\n");
    fs.writeFileSync(
      path.join(folder, "verify.go"),
      block("go").replace("package webhook", "package main"),
    );
    fs.writeFileSync(path.join(folder, "main.go"), harness);
    const answer = execFileSync("go", ["run", "."], {
      cwd: folder,
      input: JSON.stringify(CASES),
      encoding: "utf8",
      env: { ...process.env, GOPROXY: "off", GOTOOLCHAIN: "local", GOFLAGS: "-mod=mod" },
    });
    expect(byCase(JSON.parse(answer))).toEqual(expected);
  });
});

test("the handler of docs/receiving.md returns a body signed now, and throws on one signed long ago", async () => {
  fs.copyFileSync(path.join(RECEIVER, "verify.ts"), path.join(folder, "verify.ts"));
  fs.writeFileSync(path.join(folder, "receive.ts"), block("ts"));
  const { receive } = await import(path.join(folder, "receive.ts"));
  const { body, header, secret } = EXAMPLE;
  const request = (signature: string) =>
    new Request("http://receiver.test/", {
      method: "POST",
      headers: { "X-Convoy-Signature": signature },
      body,
    });
  expect(await receive(request(advanced([secret], body)), [secret])).toEqual(JSON.parse(body));
  await expect(receive(request(header), [secret])).rejects.toThrow("bad signature");
});

test("the verdict is that of WebCrypto, which compares in constant time", async () => {
  const { body, header, nowS, secret } = EXAMPLE;
  const verdict = vi.spyOn(crypto.subtle, "verify");
  for (const answer of [true, false]) {
    verdict.mockResolvedValue(answer);
    expect(await verifySignature(bytes(body), header, [secret], { nowS })).toBe(answer);
    expect(await verifySignature(bytes(body), header, ["other"], { nowS })).toBe(answer);
  }
});
