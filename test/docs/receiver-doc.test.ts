// docs/receiving.md is true: its example, its code in three languages, and its table of fields.
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { verifySignature } from "../../examples/receiver/verify.ts";
import { toConvoyEvent, WORDS } from "../../src/event/message.ts";
import vectors from "../fixtures/signature-vectors.json" with { type: "json" };
import { RECEIVER } from "../support/receiver.ts";
import { advanced, bytes, sign } from "../support/sign.ts";

const doc = fs.readFileSync(path.resolve(import.meta.dirname, "../../docs/receiving.md"), "utf8");

/** The first code block of a language, without the indentation of the list it may stand in. */
function block(language: string): string {
  const found = new RegExp(`^( *)\`\`\`${language}\\n([\\s\\S]*?)^ *\`\`\`$`, "m").exec(doc);
  if (!found) throw new Error(`no block in ${language}`);
  return found[2]!.replaceAll(new RegExp(`^${found[1]}`, "gm"), "");
}

const [head, exampleBody] = block("http").trimEnd().split("\n\n") as [string, string];
const header = /^X-Convoy-Signature: (.*)$/m.exec(head)![1]!;
const nowS = Number(/t=(\d+)/.exec(header)![1]);
const secret = /with the request above and the secret `(.*)`/.exec(doc)![1]!;

/** One question to a verifier, and what it has to say. */
type Case = {
  body: string;
  header: string;
  secrets: string[];
  tolerance: number;
  now: number;
  hash: string;
  valid: boolean;
};

const base = {
  body: exampleBody,
  header,
  secrets: [secret],
  tolerance: 300,
  now: nowS,
  hash: "SHA256",
  valid: true,
};
const signedAt = (time: string) => `t=${time},v1=${sign(secret, `${time},${exampleBody}`)}`;
const cases: Case[] = [
  ...vectors.map(({ payload, header, secret, tolerance, hash, valid }) => {
    return { body: payload, header, secrets: [secret], tolerance, now: 1_795_519_572, hash, valid };
  }),
  base,
  { ...base, secrets: ["other", secret] },
  { ...base, header: advanced(["old", secret], exampleBody, nowS) },
  { ...base, header: advanced([secret, "new"], exampleBody, nowS) },
  { ...base, now: nowS + 300 },
  { ...base, header: sign(secret, exampleBody) },
  ...[
    { secrets: [] },
    { secrets: [""], header: advanced([""], exampleBody, nowS) },
    { body: `${exampleBody} ` },
    { now: nowS + 301 },
    { now: nowS - 301 },
    { header: "" },
    { header: "t=,v1=" },
    { header: sign(secret, `${nowS},${exampleBody}`) },
    { header: `t=${nowS},v1=${"é".repeat(32)}` },
    ...["", "NaN", `+${nowS}`, `${nowS}.0`, `${nowS}e0`, ` ${nowS}`, "9".repeat(400)].map(
      (time) => {
        return { header: signedAt(time) };
      },
    ),
  ].map((change) => ({ ...base, ...change, valid: false })),
];
const expected = cases.map(({ valid }) => valid);

/** Whether a command can be run here; the snippets of other languages are checked where it can. */
const runs = (command: string, argument: string) => spawnSync(command, [argument]).status === 0;

describe("the worked example", () => {
  test("verifies with the receiver's code", async () => {
    expect(await verifySignature(bytes(exampleBody), header, [secret], { nowS })).toBe(true);
  });

  test.skipIf(!runs("openssl", "version"))("its shell command prints its signature", () => {
    const printed = execFileSync("sh", ["-c", block("sh")], { encoding: "utf8" });
    const claimed = /which prints `(.*)`/.exec(doc)![1]!;
    expect(printed).toContain(claimed);
    expect(header).toBe(`t=${nowS},v1=${claimed}`);
  });

  test("is the body that this product posts", () => {
    const body = JSON.parse(exampleBody);
    const { data } = toConvoyEvent({
      id: body.event_id,
      owner: "o",
      type: "created",
      endpoint_id: null,
      occurred_at: Date.parse(body.occurred_at),
      todo_id: body.todo.id,
      todo: JSON.stringify(body.todo),
      seq: body.sequence,
    });
    expect(JSON.stringify(data)).toBe(exampleBody);
    expect(head).toContain(`X-Convoy-Idempotency-Key: ${body.event_id}`);
  });
});

test("the table of fields has every field and every event of this product, and no other", () => {
  const rows = [...doc.matchAll(/^\| `(\w+)` \| (.*?) \| (.*) \|$/gm)];
  expect(rows.map(([, field]) => field)).toEqual(Object.keys(JSON.parse(exampleBody)));
  const events = [...rows[0]![3]!.matchAll(/`(\w+)`/g)].map(([, event]) => event);
  expect(events.sort()).toEqual(
    Object.values(WORDS)
      .map(({ event }) => event)
      .sort(),
  );
});

test("a body stays under the 16 KiB that it promises", () => {
  const todo = JSON.stringify({
    id: Number.MAX_SAFE_INTEGER,
    item: "\u0001".repeat(2_000),
    completed: false,
  });
  const source = {
    id: "x".repeat(36),
    owner: "o",
    endpoint_id: null,
    occurred_at: 0,
    todo_id: 1,
    todo,
  };
  const { data } = toConvoyEvent({ ...source, type: "updated", seq: Number.MAX_SAFE_INTEGER });
  expect(Buffer.byteLength(JSON.stringify(data))).toBeLessThan(16 * 1024);
});

test("the statement that orders is the receiver's own", () => {
  const plain = (sql: string) => sql.replace(/\s+/g, " ").trim();
  const own = plain(fs.readFileSync(path.join(RECEIVER, "apply.ts"), "utf8"));
  const conflict = plain(block("sql").slice(block("sql").indexOf("ON CONFLICT")));
  expect(own).toContain(conflict);
});

describe("the code, over the vectors and what must be refused", () => {
  test("TypeScript", async () => {
    const verdicts = cases.map(({ body, header, secrets, tolerance, now, hash }) =>
      verifySignature(bytes(body), header, secrets, {
        toleranceS: tolerance,
        nowS: now,
        hash: hash === "SHA512" ? "SHA-512" : "SHA-256",
      }),
    );
    expect(await Promise.all(verdicts)).toEqual(expected);
  });

  test("TypeScript, the handler", async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "receiving-"));
    fs.copyFileSync(path.join(RECEIVER, "verify.ts"), path.join(folder, "verify.ts"));
    fs.writeFileSync(path.join(folder, "receive.ts"), block("ts"));
    const { receive } = await import(path.join(folder, "receive.ts"));
    const request = (signature: string) =>
      new Request("http://receiver.test/", {
        method: "POST",
        headers: { "X-Convoy-Signature": signature },
        body: exampleBody,
      });
    const good = request(advanced([secret], exampleBody));
    expect(await receive(good, secret)).toEqual(JSON.parse(exampleBody));
    await expect(receive(request(header), secret)).rejects.toThrow("bad signature");
    fs.rmSync(folder, { recursive: true });
  });

  test.skipIf(!runs("python3", "--version"))("Python", () => {
    const harness = `
import json, sys
print(json.dumps([
    verify(c["body"].encode(), c["header"], c["secrets"], c["tolerance"], c["now"], c["hash"].lower())
    for c in json.load(sys.stdin)
]))`;
    const input = JSON.stringify(cases);
    const program = block("python") + harness;
    const answer = execFileSync("python3", ["-c", program], { input, encoding: "utf8" });
    expect(JSON.parse(answer)).toEqual(expected);
  });

  test.skipIf(!runs("go", "version"))("Go", () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "receiving-"));
    const harness = `package main

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"os"
	"time"
)

func main() {
	var cases []struct {
		Body, Header, Hash string
		Secrets            []string
		Tolerance, Now     int64
	}
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	verdicts := []bool{}
	for _, c := range cases {
		newHash := sha256.New
		if c.Hash == "SHA512" {
			newHash = sha512.New
		}
		tolerance := time.Duration(c.Tolerance) * time.Second
		verdicts = append(verdicts, Verify([]byte(c.Body), c.Header, c.Secrets, newHash, tolerance, time.Unix(c.Now, 0)))
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
      input: JSON.stringify(cases),
      encoding: "utf8",
      env: { ...process.env, GOPROXY: "off", GOTOOLCHAIN: "local", GOFLAGS: "-mod=mod" },
    });
    fs.rmSync(folder, { recursive: true });
    expect(JSON.parse(answer)).toEqual(expected);
  });
});
