// docs/receiving.md is right: its example, its table of fields, its limit and its SQL.
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { bodyOf, postOf } from "../../src/outbox/message.ts";
import { eventTypesOf } from "../../src/outbox/resource.ts";
import { resources } from "../../src/resources.ts";
import { RECEIVER } from "../support/receiver.ts";
import { block, DOC, EXAMPLE } from "./document.ts";

const openssl = spawnSync("openssl", ["version"]).status === 0;
test.skipIf(!openssl)("the example's shell command prints its signature", () => {
  const printed = execFileSync("sh", ["-c", block("sh")], { encoding: "utf8" });
  const claimed = /which prints `(.*)`/.exec(DOC)![1]!;
  expect(printed).toContain(claimed);
  expect(EXAMPLE.header).toBe(`t=${EXAMPLE.nowS},v1=${claimed}`);
});

/** A change of a todo, as the log has it. */
function changeOf(type: string, todo: { id: number }) {
  const what = { resource: "todo", resource_id: String(todo.id), data: JSON.stringify(todo) };
  return { type, ...what, test: 0 as const };
}

test("the example is what this product posts", () => {
  const body = JSON.parse(EXAMPLE.body);
  const [, key = "", endpoint = ""] = /Idempotency-Key: (.*\.(\w+))/.exec(EXAMPLE.head) ?? [];
  const event = {
    ...changeOf("created", body.todo),
    id: body.event_id,
    occurred_at: Date.parse(body.occurred_at),
    seq: body.sequence,
  };
  const post = postOf(event, endpoint, 0, resources);
  expect(JSON.stringify(post.body)).toBe(EXAMPLE.body);
  expect(post.key).toBe(key);
});

test("the table of fields has every field and every event of this product, and no other", () => {
  const rows = [...DOC.matchAll(/^\| `(\w+)` \| (.*?) \| (.*) \|$/gm)];
  const example = JSON.parse(EXAMPLE.body);
  const event = { ...changeOf("created", example.todo), id: "x", occurred_at: 0, seq: 1 };
  const tested = bodyOf({ ...event, test: 1 }, resources);
  const fields = new Set([...Object.keys(example), ...Object.keys(tested)]);
  expect(rows.map(([, field]) => field).sort()).toEqual([...fields].sort());
  const events = [...rows[0]![3]!.matchAll(/`(\w+)`/g)].map(([, event]) => event);
  expect(events.sort()).toEqual(
    eventTypesOf(resources)
      .map(({ event }) => event)
      .sort(),
  );
});

test("the largest body stays under the promised 16 KiB", () => {
  const item = "\u0001".repeat(2_000);
  const todo = { id: Number.MAX_SAFE_INTEGER, item, completed: false };
  const event = { ...changeOf("updated", todo), id: "x".repeat(36), occurred_at: 0 };
  const body = bodyOf({ ...event, seq: Number.MAX_SAFE_INTEGER }, resources);
  expect(Buffer.byteLength(JSON.stringify(body))).toBeLessThan(16 * 1024);
});

test("the ordering statement is the receiver's own", () => {
  const plain = (sql: string) => sql.replace(/\s+/g, " ").trim();
  const own = plain(fs.readFileSync(path.join(RECEIVER, "apply.ts"), "utf8"));
  const conflict = plain(block("sql").slice(block("sql").indexOf("ON CONFLICT")));
  expect(own).toContain(conflict);
});
