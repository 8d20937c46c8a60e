/** The cron's projection: by resource, owners in turn, only what is its own. */
import { env as testEnv } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { metered, meterOf } from "../../../src/meter.ts";
import { CLAIM, MARK_DUE, projectDue } from "../../../src/outbox/project.ts";
import { registryOf } from "../../../src/outbox/resource.ts";
import { readValue, valueKey } from "../../../src/outbox/store.ts";
import { LEASE_MS } from "../../../src/outbox/write.ts";
import { shareOf } from "../../../src/run.ts";
import type { Bindings } from "../../../src/settings.ts";
import { batch, run } from "../../../src/storage.ts";
import { eventRows, leaveChanges, planOf } from "../../support/log-rows.ts";
import { around, failing, recording } from "../../support/operations.ts";
import { thing } from "../../support/thing.ts";

const env = testEnv as unknown as Bindings;
const { DB, KV } = env;
const outbox = { resources: registryOf([thing]) };
const isPut = ({ on, what }: { on: string; what: string }) =>
  on === "KV" && /put|delete/.test(what);

afterEach(() => void vi.useRealTimers());

/** One run with so many subrequests. */
async function project(subrequests: number, given: Bindings = env, turn?: string) {
  const meter = meterOf(subrequests);
  const budget = shareOf(meter, 0, Number.POSITIVE_INFINITY);
  const report = await projectDue({ env: metered(given, meter), outbox }, budget, turn);
  return { ...report, spent: meter.spent() };
}

const nameOf = async (owner: string, id: string) =>
  JSON.parse((await readValue(KV, thing, owner, id)) ?? "null")?.name ?? null;

async function unprojected(): Promise<number> {
  return (await eventRows(DB)).filter(({ projected }) => projected === 0).length;
}

describe("one put serves", () => {
  test("all due rows of a resource: 3,000 updates of one delay no other, at six subrequests a run", async () => {
    await leaveChanges(
      DB,
      Array.from({ length: 3_000 }, () => ({})),
    );
    await leaveChanges(DB, [{ resource_id: "2" }, { owner: "b", resource_id: "3" }], 3_001);
    const { env: watched, operations } = recording(env);
    const first = await project(6, watched);
    expect(first.spent).toBeLessThanOrEqual(6);
    const second = await project(6, watched);
    expect(first.projected + second.projected).toBe(3_002);
    expect(operations.filter(isPut)).toHaveLength(3);
    expect(await unprojected()).toBe(0);
    expect([await nameOf("a", "1"), await nameOf("a", "2"), await nameOf("b", "3")]).toEqual([
      "v3000",
      "v3001",
      "v3002",
    ]);
  }, 60_000);

  test("a delete, too, and each owner and noun for itself", async () => {
    await KV.put(valueKey(thing, "a", "1"), "{}");
    await leaveChanges(DB, [{}, { change: "delete" }, { owner: "b" }]);
    expect(await project(45)).toMatchObject({ puts: 2, projected: 3 });
    expect([await nameOf("a", "1"), await nameOf("b", "1")]).toEqual([null, "v3"]);
  });
});

describe("only what is its own", () => {
  test("is marked: a row that another worker has stays, and so does one that was not due at the claim", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 1_000_000 });
    const lease = 1_000_000 + LEASE_MS;
    await leaveChanges(DB, [{}, { due_at: lease - 1 }, { due_at: 1_000_001 }, { due_at: 2 }]);
    // The row's lease ends while the put is on its way: whoever had it may have put until then.
    const slow = around(env, async (operation, work) => {
      if (isPut(operation)) vi.setSystemTime(1_000_002);
      return work();
    });
    // Enough for one round.
    await project(4, slow);
    expect((await eventRows(DB)).map(({ projected }) => projected)).toEqual([1, 0, 0, 1]);
    await project(45);
    expect((await eventRows(DB)).map(({ projected }) => projected)).toEqual([1, 0, 1, 1]);
  });

  test("is put: nothing once the lease is over", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 1_000_000 });
    await leaveChanges(DB, [{}]);
    const late = around(env, async (operation, work) => {
      const answer = await work();
      if (operation.on === "D1") vi.setSystemTime(Date.now() + LEASE_MS);
      return answer;
    });
    expect(await project(45, late)).toMatchObject({ puts: 0, projected: 0 });
    expect(await nameOf("a", "1")).toBeNull();
    expect(await unprojected()).toBe(1);
  });

  test("is recorded: after the lease another worker's row stays as it is", async () => {
    await leaveChanges(DB, [{}]);
    const stolen = around(env, async (operation, work) => {
      const answer = await work();
      if (isPut(operation)) await run(DB, "UPDATE event SET due_at = 9e12");
      return answer;
    });
    expect(await project(45, stolen)).toMatchObject({ puts: 1, projected: 0 });
    expect(await eventRows(DB)).toMatchObject([{ projected: 0, due_at: 9e12 }]);
  });
});

test("after the put it looks again: a change made meanwhile leaves all to the next run, and others go on", async () => {
  await leaveChanges(DB, [{}, {}, { resource_id: "2" }]);
  let isChanged = false;
  const racing = around(env, async (operation, work) => {
    if (isPut(operation) && !isChanged) {
      isChanged = true;
      await leaveChanges(DB, [{ due_at: Date.now() + LEASE_MS }], 10);
    }
    return work();
  });
  const { puts, projected } = await project(45, racing);
  expect({ puts, projected }).toEqual({ puts: 2, projected: 1 });
  const rows = await eventRows(DB);
  expect(rows.map((row) => row.projected)).toEqual([0, 0, 1, 0]);
  const later = rows.filter(({ due_at }) => (due_at ?? 0) > Date.now() + 40_000);
  expect(later.map(({ seq }) => seq)).toContain(10);
  // The next run has the last change.
  await run(DB, "UPDATE event SET due_at = 1 WHERE projected = 0");
  expect(await project(45)).toMatchObject({ puts: 1, projected: 3 });
  expect(await nameOf("a", "1")).toBe("v10");
});

describe("KV that refuses", () => {
  const many = (count: number, owner: string) =>
    Array.from({ length: count }, (_, n) => ({ owner, resource_id: String(n + 1) }));

  test("every put: few are tried, and all are due in the next run or at once", async () => {
    await leaveChanges(DB, many(250, "a"));
    const { env: watched, operations } = recording(failing(env, isPut));
    const refused = await project(200, watched);
    expect(operations.filter(isPut).length).toBeLessThanOrEqual(8);
    expect(refused).toMatchObject({
      puts: 0,
      projected: 0,
      refused: operations.filter(isPut).length,
    });
    const soon = Date.now() + 60_000;
    expect((await eventRows(DB)).every(({ due_at }) => (due_at ?? 0) < soon)).toBe(true);
  });

  test("one resource: the others are projected, its other rows are not tried again in this run", async () => {
    await leaveChanges(DB, [{}, {}, {}, { resource_id: "2" }, { owner: "b" }]);
    const refusing = { ...env, KV: refusingKey(KV, valueKey(thing, "a", "1")) };
    const { env: watched, operations } = recording(refusing);
    expect(await project(45, watched)).toMatchObject({ puts: 2, projected: 2 });
    expect(operations.filter(isPut)).toHaveLength(3);
    expect(await unprojected()).toBe(3);
  });
});

/** KV that refuses to put this key. */
function refusingKey(kv: KVNamespace, key: string): KVNamespace {
  return {
    put: (name: string, value: string, options: KVNamespacePutOptions) =>
      name === key
        ? Promise.reject(new Error("KV PUT failed: 429 Too Many Requests"))
        : kv.put(name, value, options),
    delete: (name: string) => kv.delete(name),
  } as unknown as KVNamespace;
}

describe("owners take turns", () => {
  test("in a run, and from one run to the next, whatever one of them has waiting", async () => {
    await leaveChanges(DB, [
      ...Array.from({ length: 300 }, (_, n) => ({ owner: "a", resource_id: String(n) })),
      { owner: "b" },
      { owner: "c" },
    ]);
    await project(6);
    expect([await nameOf("b", "1"), await nameOf("c", "1")]).toEqual(["v301", "v302"]);
    expect(await DB.prepare("SELECT project_turn FROM cron_state").first("project_turn")).toBe("c");
    await run(DB, "UPDATE event SET projected = 0, due_at = 1");
    await project(4, env, "a");
    const rows = (await eventRows(DB)).filter(({ projected }) => projected === 1);
    expect(rows.map(({ owner }) => owner)).toEqual(["b", "c"]);
  });
});

test("a noun that is no longer in the code holds up no other, and costs no writes", async () => {
  const left = Array.from({ length: 50 }, (_, id) => ({ resource: "gone", resource_id: `${id}` }));
  await leaveChanges(DB, left);
  await leaveChanges(
    DB,
    [
      { resource_id: "2", due_at: 2 },
      { owner: "b", due_at: 2 },
    ],
    51,
  );
  const before = (await eventRows(DB)).slice(0, 50);
  expect(await project(45)).toMatchObject({ puts: 2, projected: 2 });
  expect((await eventRows(DB)).slice(0, 50)).toEqual(before);
});

test("in a long run, too, every owner has its turn before one has a second", async () => {
  const owners = Array.from({ length: 150 }, (_, n) => `o${String(n).padStart(3, "0")}`);
  await leaveChanges(
    DB,
    owners.flatMap((owner) => ["1", "2"].map((resource_id) => ({ owner, resource_id }))),
  );
  await project(160);
  const done = (await eventRows(DB)).filter(({ projected }) => projected === 1);
  expect(new Set(done.map(({ owner }) => owner)).size).toBe(150);
});

test("a run keeps to its budget, and hands back what it could not put", async () => {
  await leaveChanges(
    DB,
    Array.from({ length: 50 }, (_, n) => ({ resource_id: String(n) })),
  );
  for (const subrequests of [2, 3, 10, 17]) {
    const { spent, puts } = await project(subrequests);
    expect(spent).toBeLessThanOrEqual(subrequests);
    expect(puts > 0).toBe(subrequests > 2);
  }
});

test("D1 failing after the puts leaves the rows due when their lease ends", async () => {
  await leaveChanges(DB, [{}]);
  const lost = failing(env, ({ on, what }) => on === "D1" && what === "batch", { done: true });
  await expect(project(45, lost)).rejects.toThrow(/D1/);
  expect(await eventRows(DB)).toMatchObject([{ projected: 0 }]);
  await batch(DB, [["UPDATE event SET due_at = 1"]]);
  expect(await project(45)).toMatchObject({ projected: 1 });
});

test("all is served by indexes", async () => {
  for (const plan of [
    await planOf(DB, CLAIM, "", 1, 2, 3, "[]", "[]"),
    await planOf(DB, MARK_DUE, "[]", 1),
  ]) {
    expect(plan).not.toMatch(/SCAN (event|later|last)\b/);
  }
  expect(await planOf(DB, MARK_DUE, "[]", 1)).toContain(
    "SEARCH event USING INDEX event_resource (owner=? AND resource=? AND resource_id=?)",
  );
});
