/** KV follows the log: what was put is marked only if it is the last change, and the row is still ours. */
import { env as testEnv } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { type Marked, markStatement, putLatest } from "../../../src/outbox/projection.ts";
import { registryOf } from "../../../src/outbox/resource.ts";
import { readValue } from "../../../src/outbox/store.ts";
import type { Bindings } from "../../../src/settings.ts";
import { all } from "../../../src/storage.ts";
import { eventRows, leaveChanges, planOf } from "../../support/log-rows.ts";
import { failing } from "../../support/operations.ts";
import { thing } from "../../support/thing.ts";

const env = testEnv as unknown as Bindings;
const { DB, KV } = env;
const outbox = { resources: registryOf([thing]) };
const ONE = { owner: "a", resource: "thing", resource_id: "1" };
const LEASE = 5_000;

const mark = (...given: Parameters<typeof markStatement>[0]) =>
  all<Marked>(DB, ...markStatement(given));

describe("marked as projected", () => {
  test("if what was put is the resource's last change", async () => {
    await leaveChanges(DB, [{ due_at: LEASE }, { due_at: 1 }, { resource_id: "2", due_at: LEASE }]);
    expect(await mark({ seq: 1, lease: LEASE, put: 2, due_at: 7 })).toEqual([
      { seq: 1, projected: 1, due_at: null },
    ]);
    const rows = await eventRows(DB);
    expect(rows.map(({ projected }) => projected)).toEqual([1, 0, 0]);
  });

  test.each([
    ["an earlier change was put", 1],
    ["nothing was put", null],
  ])("not if %s: then it is due again", async (_, put) => {
    await leaveChanges(DB, [{ due_at: LEASE }, { due_at: 1 }]);
    expect(await mark({ seq: 1, lease: LEASE, put, due_at: 7 })).toEqual([
      { seq: 1, projected: 0, due_at: 7 },
    ]);
  });

  test("not if another worker has it, whose late put can land on top", async () => {
    await leaveChanges(DB, [{ due_at: LEASE + 1 }]);
    expect(await mark({ seq: 1, lease: LEASE, put: 1, due_at: 7 })).toEqual([]);
    expect(await eventRows(DB)).toMatchObject([{ projected: 0, due_at: LEASE + 1 }]);
  });

  test("not by another owner's, noun's or resource's later change", async () => {
    await leaveChanges(DB, [
      { due_at: LEASE },
      { owner: "b" },
      { resource_id: "2" },
      { resource: "part", resource_id: "1" },
      // No change: it says nothing of the resource.
      { change: null, data: null, projected: null, due_at: null, type: "thing.failed" },
    ]);
    expect(await mark({ seq: 1, lease: LEASE, put: 1, due_at: 7 })).toMatchObject([
      { projected: 1 },
    ]);
  });
});

describe("the last change", () => {
  test("is put, a delete too", async () => {
    await leaveChanges(DB, [{}, {}]);
    expect(await putLatest({ env, outbox }, ONE, Date.now() + 1_000)).toBe(2);
    expect(await readValue(KV, thing, "a", "1")).toContain('"v2"');
    await leaveChanges(DB, [{ change: "delete" }], 3);
    expect(await putLatest({ env, outbox }, ONE, Date.now() + 1_000)).toBe(3);
    expect(await readValue(KV, thing, "a", "1")).toBeNull();
  });

  test("is not put once the lease is over, if KV refuses, or if its noun is no longer in the code", async () => {
    await leaveChanges(DB, [{}]);
    const later = Date.now() + 1_000;
    expect(await putLatest({ env, outbox }, ONE, Date.now())).toBeNull();
    const refusing = failing(env, ({ on, what }) => on === "KV" && what.startsWith("put"));
    expect(await putLatest({ env: refusing, outbox }, ONE, later)).toBeNull();
    expect(await putLatest({ env, outbox: { resources: registryOf([]) } }, ONE, later)).toBeNull();
    expect(await readValue(KV, thing, "a", "1")).toBeNull();
  });

  test("and the check after the put read no other rows of the log", async () => {
    await leaveChanges(DB, [{}, {}]);
    expect(await putLatest({ env, outbox }, ONE, Date.now() + 1_000)).toBe(2);
    const [sql, ...values] = markStatement([]);
    const plan = await planOf(DB, sql, ...values);
    expect(plan).toContain("SEARCH e USING INTEGER PRIMARY KEY");
    expect(plan).toContain("event_resource (owner=? AND resource=? AND resource_id=?)");
    expect(plan).not.toMatch(/SCAN (e|event|later)\b/);
  });
});
