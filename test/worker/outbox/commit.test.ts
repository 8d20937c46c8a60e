/** The commit: one transaction writes the event and its deliveries, also when answers are lost or others are faster. */
import { env as testEnv } from "cloudflare:workers";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { type ChangeToCommit, type CommitResult, commit } from "../../../src/outbox/commit.ts";
import type { Guard } from "../../../src/outbox/resource.ts";
import type { EventRow } from "../../../src/outbox/rows.ts";
import { LEASE_MS, UncertainError, writeEvent } from "../../../src/outbox/write.ts";
import { sleep } from "../../../src/run.ts";
import type { Bindings } from "../../../src/settings.ts";
import { StorageError } from "../../../src/storage.ts";
import {
  deliveryRows,
  eventIdOf,
  eventRows,
  leaveDeliveries,
  leaveEndpoints,
} from "../../support/log-rows.ts";
import { around, type Operation } from "../../support/operations.ts";
import { part, thing } from "../../support/thing.ts";

const env = testEnv as unknown as Bindings;
const { DB } = env;
const NOW = 1_000_000;
const LEASE = NOW + LEASE_MS;
const LOST = new Error("D1_ERROR: Network connection lost.");
const REFUSED = new Error("D1_ERROR: D1 DB is overloaded. Too many requests queued.");

let made = 0;
beforeEach(() => {
  made = 100;
});

/** A change of thing 1 by the owner a. */
function changeOf(
  change: "create" | "update" | "delete",
  given: Partial<ChangeToCommit> = {},
): ChangeToCommit {
  made++;
  return {
    ...{ id: eventIdOf(made), owner: "a", resource: thing, resourceId: "1", change, now: NOW },
    ...{ type: `thing.${change}d`, guard: null, endpointId: null, known: null },
    patch: change === "create" ? { id: 1, name: "new", size: 1 } : { name: "changed" },
    ...given,
  };
}

const create = (given: Partial<ChangeToCommit> = {}) => commit(DB, changeOf("create", given));

/** The written event; anything else is an error. */
function written(result: CommitResult) {
  if (result.kind !== "committed") throw new Error(result.kind);
  return result.written;
}

/** Does to each transaction what `fate` says: run it, lose its answer after or before it is done, refuse it. */
function fated(...fates: ("run" | "done" | "lost" | "refused")[]): D1Database {
  let at = 0;
  return around(env, async ({ on, what }: Operation, run) => {
    const fate = on === "D1" && what === "batch" ? fates[at++] : "run";
    if (fate === "refused") throw REFUSED;
    if (fate === "done") await run();
    if (fate === "lost" || fate === "done") throw LOST;
    return run();
  }).DB;
}

describe("writes", () => {
  test("the event with the change's value, and our lease on it", async () => {
    const { event } = written(await create());
    expect(event).toMatchObject({
      ...{
        seq: 1,
        id: eventIdOf(101),
        owner: "a",
        type: "thing.created",
        change: "create",
        test: 0,
      },
      ...{ resource: "thing", resource_id: "1", occurred_at: NOW, projected: 0, due_at: LEASE },
      data: '{"id":1,"name":"new","size":1}',
    });
    expect(await eventRows(DB)).toEqual([event]);
  });

  test("an update merges into the latest value, and a delete leaves none", async () => {
    await create();
    const updated = written(await commit(DB, changeOf("update")));
    expect(JSON.parse(updated.event.data ?? "")).toEqual({ id: 1, name: "changed", size: 1 });
    expect(written(await commit(DB, changeOf("delete"))).event.data).toBeNull();
    expect((await create()).kind).toBe("committed");
  });

  test("a delivery for each of the owner's endpoints that takes the type: pending under our lease, or held", async () => {
    await leaveEndpoints(DB, [
      { id: "all", owner: "a" },
      { id: "paused", owner: "a", active: false },
      { id: "some", owner: "a" },
      { id: "none", owner: "a" },
      { id: "theirs", owner: "b" },
    ]);
    const types = DB.prepare("UPDATE endpoint SET event_types = ?2 WHERE id = ?1");
    await DB.batch([
      types.bind("some", '["thing.created","ping"]'),
      types.bind("none", '["thing.deleted"]'),
    ]);
    const { deliveries } = written(await create());
    const same = { key_version: 0, failures: 0, own_failures: 0 };
    expect(deliveries.toSorted((a, b) => a.endpoint_id.localeCompare(b.endpoint_id))).toMatchObject(
      [
        { endpoint_id: "all", status: "pending", due_at: LEASE, ...same },
        { endpoint_id: "paused", status: "held", due_at: null, ...same },
        { endpoint_id: "some", status: "pending", due_at: LEASE, ...same },
      ],
    );
    const rows = await deliveryRows(DB);
    expect(rows.map(({ event_seq, owner, type }) => [event_seq, owner, type])).toEqual(
      Array.from({ length: 3 }, () => [1, "a", "thing.created"]),
    );
  });

  test.each([
    ["whatever types it takes", "one", "pending"],
    ["held while it is not active", "paused", "held"],
  ])("one for the endpoint that was named alone, %s", async (_, endpointId, status) => {
    await leaveEndpoints(DB, [
      { id: "one", owner: "a" },
      { id: "paused", owner: "a", active: false },
      { id: "other", owner: "a" },
    ]);
    await DB.prepare(`UPDATE endpoint SET event_types = '["ping"]'`).run();
    const { deliveries } = written(await create({ endpointId }));
    expect(deliveries).toMatchObject([{ endpoint_id: endpointId, status }]);
  });

  test("none for whoever has no endpoint", async () => {
    expect(written(await create()).deliveries).toEqual([]);
  });

  test("those that a limited endpoint cannot take soon are left to the cron, due at once", async () => {
    const rate = { requests: 1, perS: 300 };
    await leaveEndpoints(DB, [{ id: "a1", owner: "a", rate }]);
    await leaveDeliveries(DB, [{ status: "sending", due_at: 1 }], 1);
    expect(written(await create()).deliveries).toMatchObject([{ due_at: LEASE }]);
    await DB.prepare("UPDATE delivery SET status = 'sending', accepted_at = 1").run();
    const { deliveries } = written(await commit(DB, changeOf("update")));
    expect(deliveries).toMatchObject([{ status: "pending", due_at: NOW }]);
  });
});

describe("refuses, and writes nothing", () => {
  test.each<[string, Partial<ChangeToCommit> & { change: "create" | "update" | "delete" }, string]>(
    [
      ["a creation of what there is", { change: "create" }, "exists"],
      ["an update of what there is not", { change: "update", resourceId: "2" }, "not found"],
      ["a removal of what there is not", { change: "delete", resourceId: "2" }, "not found"],
      ["an update of another owner's", { change: "update", owner: "b" }, "not found"],
      ["an update of another noun's", { change: "update", resource: part }, "not found"],
      [
        "an endpoint that the owner has not",
        { change: "update", endpointId: "theirs" },
        "endpoint not found",
      ],
      [
        "the same before it says whether the thing exists",
        { change: "update", resourceId: "2", endpointId: "theirs" },
        "endpoint not found",
      ],
    ],
  )("%s", async (_, { change, ...given }, kind) => {
    await leaveEndpoints(DB, [{ id: "theirs", owner: "b" }]);
    await create();
    expect(await commit(DB, changeOf(change, given))).toMatchObject({ kind });
    expect(await eventRows(DB)).toHaveLength(1);
    expect(await deliveryRows(DB)).toEqual([]);
  });

  test("what KV has decides only if the log has nothing of it", async () => {
    const known = '{"id":1,"name":"kv","size":1}';
    expect(await create({ known })).toEqual({ kind: "exists" });
    const { event } = written(await commit(DB, changeOf("update", { known })));
    expect(JSON.parse(event.data ?? "")).toMatchObject({ name: "changed" });
    await commit(DB, changeOf("delete", { known }));
    // Stale: the log knows better.
    expect(await commit(DB, changeOf("update", { known }))).toMatchObject({ kind: "not found" });
    expect((await create({ known })).kind).toBe("committed");
  });

  describe("by a guard", () => {
    const guard: Guard = { sql: "current.data ->> 'size' < 3", error: "too large" };

    test("a change whose condition on the current value does not hold, whatever KV says", async () => {
      await create({ patch: { id: 1, name: "x", size: 3 } });
      const known = '{"id":1,"name":"x","size":1}';
      expect(await commit(DB, changeOf("update", { guard, known }))).toEqual({ kind: "guarded" });
      expect(await eventRows(DB)).toHaveLength(1);
    });

    test("also one that is neither true nor false", async () => {
      await create();
      const none: Guard = { sql: "current.data ->> 'colour' = 'red'", error: "not red" };
      expect(await commit(DB, changeOf("update", { guard: none }))).toEqual({ kind: "guarded" });
    });

    test("of two that race, the second sees what the first made", async () => {
      await create();
      const grow = () => changeOf("update", { guard, patch: { size: 3 } });
      const results = await Promise.all([commit(DB, grow()), commit(DB, grow())]);
      expect(results.map(({ kind }) => kind).sort()).toEqual(["committed", "guarded"]);
    });

    test("what is missing is not found, rather than not allowed", async () => {
      expect(await commit(DB, changeOf("update", { guard }))).toMatchObject({ kind: "not found" });
    });
  });
});

describe("a change that finds nothing", () => {
  test("is an event for the endpoint that was named", async () => {
    await leaveEndpoints(DB, [
      { id: "a1", owner: "a" },
      { id: "a2", owner: "a" },
    ]);
    const result = await commit(DB, changeOf("update", { endpointId: "a1" }));
    expect(result).toMatchObject({
      kind: "not found",
      failed: {
        event: {
          id: eventIdOf(101),
          type: "thing.failed",
          change: null,
          data: null,
          projected: null,
          resource_id: "1",
        },
        deliveries: [{ endpoint_id: "a1", status: "pending", due_at: LEASE }],
      },
    });
  });

  test("is none if nobody was named", async () => {
    await leaveEndpoints(DB, [{ id: "a1", owner: "a" }]);
    expect(await commit(DB, changeOf("delete"))).toEqual({ kind: "not found", failed: null });
    expect(await eventRows(DB)).toEqual([]);
  });

  test("tells of no failure if another request made it in between", async () => {
    await leaveEndpoints(DB, [{ id: "a1", owner: "a" }]);
    let statements = 0;
    const racing = around(env, async (operation, run) => {
      // The change, its explanation, the event: before that, somebody creates it.
      if (operation.on === "D1" && ++statements === 3) await create({ endpointId: "a1" });
      return run();
    }).DB;
    const result = await commit(racing, changeOf("update", { endpointId: "a1" }));
    expect(result).toEqual({ kind: "not found", failed: null });
    expect((await eventRows(DB)).map(({ type }) => type)).toEqual(["thing.created"]);
  });

  test("stays not found though the answer to its event is lost: nothing of the thing was changed", async () => {
    await leaveEndpoints(DB, [{ id: "a1", owner: "a" }]);
    const db = fated("run", "done", "lost", "lost", "lost", "lost");
    expect(await commit(db, changeOf("update", { endpointId: "a1" }))).toEqual({
      kind: "not found",
      failed: null,
    });
    expect((await eventRows(DB)).map(({ type }) => type)).toEqual(["thing.failed"]);
  });
});

describe("an answer that was lost", () => {
  // A transaction, then a look-up and a transaction for each further try.
  test.each<[string, Parameters<typeof fated>, string, number]>([
    ["after it was done: it is found", ["done"], "committed", 1],
    ["before it was done: it is done again", ["lost"], "committed", 1],
    ["twice, after it was done", ["done", "lost", "run"], "committed", 1],
    ["twice, before it was done", ["lost", "run", "lost"], "committed", 1],
    ["at each try", ["lost", "run", "lost", "run", "lost"], "uncertain", 0],
    ["at each try, though it was done", ["done", "lost", "lost"], "uncertain", 1],
    [
      "and whose look-up D1 then refuses, though it was done",
      ["done", "refused", "refused"],
      "uncertain",
      1,
    ],
    ["and whose look-up D1 refuses once", ["done", "refused", "run"], "committed", 1],
    ["and D1 refuses what follows", ["lost", "run", "refused", "run", "refused"], "uncertain", 0],
  ])("%s", async (_, fates, kind, events) => {
    await leaveEndpoints(DB, [{ id: "a1", owner: "a" }]);
    const result = await commit(fated(...fates), changeOf("create"));
    expect(result.kind).toBe(kind);
    if (result.kind === "committed") {
      expect(result.written).toMatchObject({
        event: { due_at: LEASE },
        deliveries: [{ endpoint_id: "a1", due_at: LEASE }],
      });
    }
    expect(await eventRows(DB)).toHaveLength(events);
    expect(await deliveryRows(DB)).toHaveLength(events);
  });

  test.each([
    ["exists", "create"],
    ["is missing", "delete"],
  ] as const)(
    "and after which the thing %s for others' sake is uncertain: the first try may still land",
    async (_, change) => {
      if (change === "delete") await create();
      let batches = 0;
      const db = around(env, async ({ what }, run) => {
        if (what !== "batch" || ++batches !== 1) return run();
        // The first try is on its way; another request is faster.
        await commit(DB, changeOf(change));
        throw LOST;
      }).DB;
      expect(await commit(db, changeOf(change))).toEqual({ kind: "uncertain" });
    },
  );

  test("with D1's refusal at once, nothing was changed for certain: that is an error", async () => {
    await expect(commit(fated("refused"), changeOf("create"))).rejects.toThrow(StorageError);
    expect(await eventRows(DB)).toEqual([]);
  });

  test("nor with tables that are missing", async () => {
    await DB.prepare("ALTER TABLE delivery RENAME TO d2").run();
    await expect(create()).rejects.toMatchObject({ reason: "schema" });
  });

  test("it waits longer before each try", async () => {
    await commit(fated("lost", "run", "lost"), changeOf("create"));
    expect(vi.mocked(sleep).mock.calls).toEqual([[50], [100]]);
  });

  test("a row that another worker has claimed meanwhile is not ours, and says so", async () => {
    await leaveEndpoints(DB, [{ id: "a1", owner: "a" }]);
    const claimed = LEASE + 60_000;
    let batches = 0;
    const db = around(env, async ({ what }, run) => {
      if (what !== "batch" || ++batches !== 1) return run();
      await run();
      await DB.batch([
        DB.prepare("UPDATE event SET due_at = ?").bind(claimed),
        DB.prepare("UPDATE delivery SET due_at = ?").bind(claimed),
      ]);
      throw LOST;
    }).DB;
    const { event, deliveries } = written(await commit(db, changeOf("create")));
    expect(event.due_at).toBe(claimed);
    expect(deliveries).toMatchObject([{ due_at: claimed }]);
  });
});

test("a change that others undo faster than it can be explained is busy, and leaves no event", async () => {
  await create();
  let gone = false;
  const db = around(env, async ({ on }, run) => {
    if (on === "D1") {
      gone = !gone;
      await commit(DB, changeOf(gone ? "delete" : "create"));
    }
    return run();
  }).DB;
  expect(await commit(db, changeOf("update"))).toEqual({ kind: "busy" });
  expect((await eventRows(DB)).filter(({ change }) => change === "update")).toEqual([]);
});

test("of twenty creations at once, one wins", async () => {
  const results = await Promise.all(Array.from({ length: 20 }, () => create()));
  const kinds = results.map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind === "committed")).toHaveLength(1);
  expect(kinds.filter((kind) => kind === "exists")).toHaveLength(19);
});

test("two updates of different fields lose neither", async () => {
  await create();
  await Promise.all([
    ...Array.from({ length: 5 }, () => commit(DB, changeOf("update", { patch: { name: "n" } }))),
    ...Array.from({ length: 5 }, () => commit(DB, changeOf("update", { patch: { size: 9 } }))),
  ]);
  const last = (await eventRows(DB)).at(-1) as EventRow;
  expect(JSON.parse(last.data ?? "")).toEqual({ id: 1, name: "n", size: 9 });
});

test("an insert whose conditions do not hold is null, but uncertain once an answer was lost", async () => {
  const request = { id: eventIdOf(1), endpointId: null, now: NOW, lease: LEASE };
  expect(await writeEvent(DB, request, ["SELECT 1 WHERE 0"])).toBeNull();
  await expect(writeEvent(fated("lost"), request, ["SELECT 1 WHERE 0"])).rejects.toThrow(
    UncertainError,
  );
});
