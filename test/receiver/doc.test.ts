// docs/receiving.md is right: its example, its table of fields, its limit and its SQL.
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { toConvoyEvent, WORDS } from "../../src/event/message.ts";
import { RECEIVER } from "../support/receiver.ts";
import { block, DOC, EXAMPLE } from "./document.ts";

const openssl = spawnSync("openssl", ["version"]).status === 0;
test.skipIf(!openssl)("the example's shell command prints its signature", () => {
  const printed = execFileSync("sh", ["-c", block("sh")], { encoding: "utf8" });
  const claimed = /which prints `(.*)`/.exec(DOC)![1]!;
  expect(printed).toContain(claimed);
  expect(EXAMPLE.header).toBe(`t=${EXAMPLE.nowS},v1=${claimed}`);
});

test("the example is the body that this product posts", () => {
  const body = JSON.parse(EXAMPLE.body);
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
  expect(JSON.stringify(data)).toBe(EXAMPLE.body);
  expect(EXAMPLE.head).toContain(`X-Convoy-Idempotency-Key: ${body.event_id}`);
});

test("the table of fields has every field and every event of this product, and no other", () => {
  const rows = [...DOC.matchAll(/^\| `(\w+)` \| (.*?) \| (.*) \|$/gm)];
  expect(rows.map(([, field]) => field)).toEqual(Object.keys(JSON.parse(EXAMPLE.body)));
  const events = [...rows[0]![3]!.matchAll(/`(\w+)`/g)].map(([, event]) => event);
  expect(events.sort()).toEqual(
    Object.values(WORDS)
      .map(({ event }) => event)
      .sort(),
  );
});

test("the largest body stays under the promised 16 KiB", () => {
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

test("the ordering statement is the receiver's own", () => {
  const plain = (sql: string) => sql.replace(/\s+/g, " ").trim();
  const own = plain(fs.readFileSync(path.join(RECEIVER, "apply.ts"), "utf8"));
  const conflict = plain(block("sql").slice(block("sql").indexOf("ON CONFLICT")));
  expect(own).toContain(conflict);
});
