/** The scrub compares each change with KV once; a rebuild all of them, from the log or from KV. */
import { env as testEnv } from "cloudflare:workers";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { projectDue } from "../../../src/outbox/project.ts";
import { rebuildFromKv, rebuildFromLog } from "../../../src/outbox/rebuild.ts";
import { registryOf } from "../../../src/outbox/resource.ts";
import { scrub } from "../../../src/outbox/scrub.ts";
import { listValues, valueKey, writeValue } from "../../../src/outbox/store.ts";
import type { Bindings } from "../../../src/settings.ts";
import { first } from "../../../src/storage.ts";
import { logCaller } from "../../support/log-caller.ts";
import {
  deliveryRows,
  eventIdOf,
  eventRows,
  leaveChanges,
  leaveEndpoints,
} from "../../support/log-rows.ts";
import { around, failing } from "../../support/operations.ts";
import { part, thing } from "../../support/thing.ts";

const env = testEnv as unknown as Bindings;
const { DB, KV } = env;
const outbox = { resources: registryOf([thing, part]) };
const stores = { env, outbox };
const budget = (left: number) => ({ left: () => left-- });

beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}));

/** Changes that the log takes for projected, and KV has. */
async function leaveProjected(...changes: Parameters<typeof leaveChanges>[1]): Promise<void> {
  await leaveChanges(
    DB,
    changes.map((one) => ({ projected: 1 as const, due_at: null, ...one })),
  );
  for (const row of await eventRows(DB)) {
    await writeValue(KV, thing, row.owner, row.resource_id ?? "", row);
  }
}

const put = (owner: string, id: string, seq: number, data: string | null) =>
  writeValue(KV, thing, owner, id, { seq, data });
const versionOf = async (id: string, owner = "a") =>
  (await KV.getWithMetadata<{ seq: number }>(valueKey(thing, owner, id))).metadata?.seq ?? null;
const unprojected = async () =>
  (await eventRows(DB)).filter(({ projected }) => projected === 0).map(({ seq }) => seq);
const placeOf = () => first<{ scrub_after: string }>(DB, "SELECT scrub_after FROM cron_state");

describe("the scrub", () => {
  const ALL = { after: "", until: "~" };
  const scrubAll = (range = ALL, left = 50) => scrub(stores, range, budget(left));

  test("has what differs put again: what KV lost, has in another version, or has although it was removed", async () => {
    await leaveProjected(
      { resource_id: "1" },
      { resource_id: "2" },
      { resource_id: "3" },
      { resource_id: "4", change: "delete" },
    );
    await put("a", "1", 0, null);
    await put("a", "2", 99, '{"id":2}');
    await put("a", "4", 3, '{"id":4}');
    expect(await scrubAll()).toEqual({ checked: 4, repaired: 3 });
    expect(await unprojected()).toEqual([1, 2, 4]);
    await projectDue(stores, budget(50));
    expect(await Promise.all(["1", "2", "3", "4"].map((id) => versionOf(id)))).toEqual([
      1,
      2,
      3,
      null,
    ]);
    expect(await unprojected()).toEqual([]);
  });

  test("compares only the last change of each, which the log takes for projected", async () => {
    await leaveProjected({ resource_id: "1" }, { resource_id: "1" });
    await leaveChanges(DB, [{ resource_id: "2" }], 3);
    expect(await scrubAll()).toEqual({ checked: 1, repaired: 0 });
  });

  test("looks at nothing younger than it is told, and begins where it was", async () => {
    await leaveProjected({ resource_id: "1" }, { resource_id: "2" }, { resource_id: "3" });
    for (const id of ["1", "2", "3"]) await put("a", id, 0, null);
    await DB.prepare("UPDATE cron_state SET scrub_after = ?").bind(eventIdOf(1)).run();
    expect(await scrubAll({ after: eventIdOf(1), until: eventIdOf(3) })).toEqual({
      checked: 1,
      repaired: 1,
    });
    expect(await unprojected()).toEqual([2]);
    expect(await placeOf()).toEqual({ scrub_after: eventIdOf(2) });
  });

  test.each([1, 2])(
    "saves its place with the repair: what D1 loses is compared again (its transaction %i)",
    async (nth) => {
      await leaveProjected({ resource_id: "1" });
      await put("a", "1", 0, null);
      let batches = 0;
      const losing = failing(env, ({ what }) => what === "batch" && ++batches === nth);
      await scrub({ env: losing, outbox }, ALL, budget(50)).catch(() => {});
      const { scrub_after: after = "" } = (await placeOf()) ?? {};
      await scrubAll({ after, until: "~" });
      expect(await unprojected()).toEqual([1]);
    },
  );

  test("does not move its place from anywhere but where it was", async () => {
    await leaveProjected({ resource_id: "1" });
    await DB.prepare("UPDATE cron_state SET scrub_after = 'ahead'").run();
    await scrubAll();
    expect(await placeOf()).toEqual({ scrub_after: "ahead" });
  });

  test("goes on page by page within its budget", async () => {
    await leaveProjected(...Array.from({ length: 250 }, (_, n) => ({ resource_id: String(n) })));
    let after = "";
    let checked = 0;
    for (let runs = 0; runs < 9; runs++) {
      checked += (await scrub(stores, { after, until: "~" }, budget(3)))?.checked ?? 0;
      after = (await placeOf())?.scrub_after ?? "";
    }
    expect(checked).toBe(250);
  });

  test("leaves alone what another change has overtaken, and nouns that are no longer in the code", async () => {
    await leaveProjected({ resource_id: "1" });
    await put("a", "1", 0, null);
    const racing = around(env, async ({ on }, run) => {
      const done = await run();
      if (on === "KV") await leaveChanges(DB, [{ resource_id: "1" }], 2);
      return done;
    });
    await scrub({ env: racing, outbox }, ALL, budget(3));
    // The older one is marked, and projecting puts the last one.
    await projectDue(stores, budget(50));
    expect(await versionOf("1")).toBe(2);
    await leaveChanges(DB, [{ resource: "gone", projected: 1, due_at: null }], 3);
    await expect(scrubAll()).resolves.toMatchObject({ repaired: 0 });
  });
});

type Rebuild = typeof rebuildFromLog | typeof rebuildFromKv;

/** Calls until there is no cursor. */
async function all(work: Rebuild, { dryRun = false } = {}, left = 50) {
  const data: object[] = [];
  let cursor: string | undefined;
  let pages = 0;
  do {
    const { different, next } = await work(stores, { dryRun, cursor }, budget(left));
    data.push(...different);
    cursor = next ?? undefined;
    pages++;
  } while (cursor !== undefined && pages < 50);
  return { data, pages };
}

const difference = (resource_id: string, log: number | null, kv: number | null) => ({
  ...{ owner: "a", resource: "thing", resource_id, log, kv },
});

describe("a rebuild from the log", () => {
  test("tells what differs, and puts it again if it is not only to look", async () => {
    await leaveProjected(
      { resource_id: "1" },
      { resource_id: "2" },
      { resource_id: "3", change: "delete" },
    );
    await put("a", "1", 0, null);
    await put("a", "2", 1, '{"id":2}');
    await put("a", "3", 1, '{"id":3}');
    const differences = [difference("1", 1, null), difference("2", 2, 1), difference("3", 3, 1)];
    expect((await all(rebuildFromLog, { dryRun: true })).data).toEqual(differences);
    expect(await versionOf("1")).toBeNull();
    expect((await all(rebuildFromLog)).data).toEqual(differences);
    expect(await Promise.all(["1", "2", "3"].map((id) => versionOf(id)))).toEqual([1, 2, null]);
    expect((await all(rebuildFromLog)).data).toEqual([]);
    // Repairing KV sends nothing.
    expect(await deliveryRows(DB)).toEqual([]);
  });

  test("leaves alone what the log has forgotten", async () => {
    await put("a", "7", 3, '{"id":7}');
    expect((await all(rebuildFromLog)).data).toEqual([]);
    expect(await versionOf("7")).toBe(3);
  });

  test("leaps above the numbers that KV has seen: receivers drop what is lower", async () => {
    await leaveProjected({ resource_id: "1" });
    await put("a", "1", 500, '{"id":1}');
    await all(rebuildFromLog);
    const { call } = logCaller(env);
    await call("POST", "/thing", { name: "x", size: 1 });
    expect((await eventRows(DB)).at(-1)?.seq).toBeGreaterThan(500);
  });

  test("restores 250 within many small budgets, and the cron does the rest", async () => {
    await leaveProjected(
      ...Array.from({ length: 250 }, (_, n) => ({ resource_id: String(n), owner: `o${n % 3}` })),
    );
    for (const { name } of (await KV.list()).keys) await KV.delete(name);
    expect((await all(rebuildFromLog, {}, 20)).data).toHaveLength(250);
    await projectDue(stores, budget(1_000));
    expect((await KV.list()).keys).toHaveLength(250);
    expect((await all(rebuildFromLog, { dryRun: true })).data).toEqual([]);
  });
});

describe("a rebuild from KV", () => {
  const value = (id: number, name = "kv") => JSON.stringify({ id, name, size: 1 });

  test("takes over what the log lost, in events with deliveries, and with sequences above all that were seen", async () => {
    await leaveEndpoints(DB, [
      { id: "a1", owner: "a" },
      { id: "a2", owner: "a", active: false },
      { id: "b1", owner: "b" },
    ]);
    await leaveProjected(
      { resource_id: "1" },
      { resource_id: "2", change: "delete" },
      { resource_id: "3" },
    );
    const large = "ü".repeat(1_500);
    await put("a", "1", 7, value(1, large));
    await put("a", "2", 8, value(2));
    await put("a", "4", 9, value(4));
    const differences = [difference("1", 1, 7), difference("2", 2, 8), difference("4", null, 9)];
    expect((await all(rebuildFromKv, { dryRun: true })).data).toEqual(differences);
    expect(await eventRows(DB)).toHaveLength(3);

    expect((await all(rebuildFromKv)).data).toEqual(differences);
    const written = (await eventRows(DB)).slice(3);
    expect(written.map(({ change, type, resource_id }) => [change, type, resource_id])).toEqual([
      ["update", "thing.updated", "1"],
      ["create", "thing.created", "2"],
      ["update", "thing.updated", "4"],
    ]);
    expect(Math.min(...written.map(({ seq }) => seq))).toBeGreaterThan(9);
    expect(JSON.parse(written[0]?.data ?? "")).toEqual({ id: 1, name: large, size: 1 });
    const made = (await deliveryRows(DB)).map(
      ({ endpoint_id, status }) => `${endpoint_id} ${status}`,
    );
    expect(made).toEqual(written.flatMap(() => ["a1 pending", "a2 held"]));

    // Once is enough, and the log agrees with KV when its changes are projected.
    expect((await all(rebuildFromKv)).data).toEqual([]);
    await projectDue(stores, budget(50));
    expect((await all(rebuildFromLog)).data).toEqual([]);
    const { data } = await listValues(KV, thing, "a", { limit: 9 });
    expect(data.map(({ id }) => id)).toEqual([1, 2, 3, 4]);
  });

  test("takes over nothing that the log knows, or has purged in due course", async () => {
    await leaveProjected({ resource_id: "1" }, { resource_id: "2" }, { resource_id: "3" });
    await DB.prepare("DELETE FROM event WHERE seq < 3").run();
    expect((await all(rebuildFromKv)).data).toEqual([]);
    expect(await eventRows(DB)).toHaveLength(1);
  });

  test("does not undo a change made between its read and its write", async () => {
    await leaveProjected({ resource_id: "1" });
    await put("a", "1", 7, value(1, "lost"));
    let isFirst = true;
    const racing = around(env, async ({ what }, run) => {
      if (what === "batch" && isFirst) {
        isFirst = false;
        await leaveChanges(DB, [{ resource_id: "1" }], 2);
      }
      return run();
    });
    await rebuildFromKv({ env: racing, outbox }, { dryRun: false });
    expect((await eventRows(DB)).map(({ seq }) => seq)).toEqual([1, 2]);
  });

  test("goes through the pages of every noun", async () => {
    for (let id = 0; id < 45; id++) await put("a", String(id), id + 1, value(id));
    for (const id of ["part_1", "part_2"]) {
      const data = JSON.stringify({ id, name: "lid", sealed: false });
      await writeValue(KV, part, "a", id, { seq: 100, data });
    }
    const list: typeof KV.list = (options) => KV.list({ ...options, limit: 20 });
    const paged = new Proxy(KV, {
      get: (_, name) => (name === "list" ? list : Reflect.get(KV, name).bind(KV)),
    });
    const small = { env: { ...env, KV: paged }, outbox };
    const found: object[] = [];
    let cursor: string | undefined;
    let pages = 0;
    do {
      const report = await rebuildFromKv(small, { dryRun: false, cursor });
      found.push(...report.different);
      cursor = report.next ?? undefined;
      pages++;
    } while (cursor !== undefined && pages < 20);
    expect([found.length, pages]).toEqual([47, 4]);
    expect(await eventRows(DB)).toHaveLength(47);
  });

  test.each(["nonsense", "1:nobody:x", "x:thing:"])(
    "refuses the cursor %j, which it did not give",
    async (cursor) => {
      await expect(rebuildFromKv(stores, { dryRun: true, cursor })).rejects.toMatchObject({
        name: "BadCursor",
      });
    },
  );
});

describe("POST /rebuild", () => {
  test("is for operators: anyone else changes nothing", async () => {
    await leaveProjected({ resource_id: "1" });
    await put("a", "1", 0, null);
    const reply = await logCaller(env).call("POST", "/rebuild", { from: "log" });
    expect(reply).toMatchObject({
      status: 403,
      body: { error: expect.stringMatching(/operator/) },
    });
    expect(await versionOf("1")).toBeNull();
    const done = await logCaller(env, { operator: true }).call("POST", "/rebuild", { from: "log" });
    expect(done).toMatchObject({
      status: 200,
      body: { data: [difference("1", 1, null)], checked: 1 },
    });
    expect(await versionOf("1")).toBe(1);
  });

  test.each([{}, { from: "disk" }, { from: "log", x: 1 }, { from: "kv", cursor: "nonsense" }])(
    "%j is a 400",
    async (body) => {
      const { call } = logCaller(env, { operator: true });
      expect((await call("POST", "/rebuild", body)).status).toBe(400);
    },
  );
});
