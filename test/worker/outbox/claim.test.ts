/** What is claimed to be posted: of whom, in which order, and what becomes of the rest. */
import { env as testEnv } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { CLAIM, claim } from "../../../src/outbox/claim.ts";
import { LEASE_MS } from "../../../src/outbox/write.ts";
import type { Bindings } from "../../../src/settings.ts";
import { run } from "../../../src/storage.ts";
import {
  deliveryRows,
  eventIdOf,
  type LeftDelivery,
  leaveDeliveries,
  leaveEndpoints,
  planOf,
} from "../../support/log-rows.ts";

const { DB } = testEnv as unknown as Bindings;
const NOW = 1_000_000;
const LEASE = NOW + LEASE_MS;

const many = (count: number, given: LeftDelivery): LeftDelivery[] =>
  Array.from({ length: count }, () => given);

async function claimed(limit: number, turn = "", now = NOW) {
  const { rows, ...rest } = await claim(DB, { turn, limit, now });
  return { ...rest, seqs: rows.map(({ event_seq }) => event_seq), rows };
}

/** D1, and how many rows its batches wrote, as D1 counts them. */
function countingWrites() {
  let written = 0;
  const db = {
    prepare: (sql: string) => DB.prepare(sql),
    async batch(statements: D1PreparedStatement[]) {
      const results = await DB.batch(statements);
      for (const { meta } of results) written += meta.rows_written;
      return results;
    },
  } as unknown as D1Database;
  return { db, written: () => written };
}

async function statusesOf(owner: string) {
  const rows = (await deliveryRows(DB)).filter((row) => row.owner === owner);
  return rows.map(({ status, due_at }) => [status, due_at]);
}

describe("claimed", () => {
  test("with the event, until the lease", async () => {
    await leaveEndpoints(DB, [{ id: "a1", owner: "a" }]);
    await leaveDeliveries(DB, [{ failures: 2, error: "500", occurred_at: 7 }]);
    const { rows } = await claimed(10);
    const [row] = await deliveryRows(DB);
    expect(row).toMatchObject({ status: "pending", due_at: LEASE, failures: 2, error: "500" });
    const event = { seq: 1, id: eventIdOf(1), type: "ping", occurred_at: 7, test: 0 };
    const nothing = { resource: null, resource_id: null, data: null };
    expect(rows).toEqual([{ ...row, event: { ...event, ...nothing } }]);
    expect((await claimed(10)).seqs).toEqual([]);
    // It is due again when the lease is over.
    expect((await claimed(10, "", LEASE)).seqs).toEqual([1]);
  });

  test("a few of each owner in turn, though one has 9,000", async () => {
    await leaveEndpoints(DB, [
      { id: "a1", owner: "a" },
      { id: "b1", owner: "b" },
      { id: "c1", owner: "c" },
    ]);
    await leaveDeliveries(DB, many(9_000, { owner: "a" }));
    await leaveDeliveries(DB, many(10, { owner: "b" }), 10_001);
    await leaveDeliveries(DB, many(1, { owner: "c" }), 10_101);
    const first = await claimed(25);
    expect(first.seqs.slice(0, 5)).toEqual([1, 10_001, 10_101, 2, 10_002]);
    expect(Map.groupBy(first.rows, ({ owner }) => owner).get("a")).toHaveLength(14);
    expect(first).toMatchObject({ more: true, turn: "c" });
    expect((await claimed(25)).rows.every(({ owner }) => owner === "a")).toBe(true);
  }, 60_000);

  test("the owner's turn goes on where it ended, also in another run", async () => {
    const owners = ["a", "b", "c", "d", "e"];
    await leaveEndpoints(
      DB,
      owners.map((owner) => ({ id: `${owner}1`, owner })),
    );
    await leaveDeliveries(
      DB,
      owners.flatMap((owner) => many(2, { owner })),
    );
    const turns = [];
    let turn = "";
    for (let n = 0; n < 5; n++) {
      const { rows, turn: next } = await claimed(2, turn);
      turns.push(rows.map(({ owner }) => owner).join(""));
      turn = next;
      expect(await DB.prepare("SELECT post_turn FROM cron_state").first("post_turn")).toBe(turn);
    }
    expect(turns).toEqual(["ab", "cd", "ae", "bc", "de"]);
  });

  test("inside an owner what is due first, and nothing that is not due", async () => {
    await leaveEndpoints(DB, [{ id: "a1", owner: "a" }]);
    await leaveDeliveries(
      DB,
      [5, NOW + 1, 3, NOW, 4].map((due_at) => ({ due_at })),
    );
    expect((await claimed(2)).seqs).toEqual([3, 5]);
    expect((await claimed(9)).seqs).toEqual([1, 4]);
  });
});

describe("held deliveries of an active endpoint", () => {
  test("are taken by sequence, beside what is due: neither keeps the other waiting", async () => {
    await leaveEndpoints(DB, [
      { id: "a1", owner: "a" },
      { id: "a2", owner: "a" },
      { id: "a3", owner: "a" },
    ]);
    const held: LeftDelivery = { endpoint_id: "a2", status: "held" };
    await leaveDeliveries(DB, many(200, held));
    await leaveDeliveries(DB, [{ ...held, endpoint_id: "a3" }], 300);
    await leaveDeliveries(DB, many(200, { due_at: 5 }), 1_000);
    expect((await claimed(6)).seqs).toEqual([1, 2, 3, 1_000, 1_001, 1_002]);
    expect((await deliveryRows(DB))[0]).toMatchObject({
      status: "pending",
      due_at: LEASE,
      accepted_at: null,
    });
    await run(DB, "DELETE FROM delivery WHERE status = 'pending'");
    await run(DB, "DELETE FROM delivery WHERE endpoint_id = 'a2' AND event_seq < 198");
    expect((await claimed(9)).seqs).toEqual([198, 199, 200, 300]);
  });

  test("stay held while it is not active; 2,000 are each written once when they are taken", async () => {
    await leaveEndpoints(DB, [{ id: "a1", owner: "a", active: false }]);
    await leaveDeliveries(DB, many(2_000, { status: "held" }));
    const { db, written } = countingWrites();
    expect((await claim(db, { turn: "", limit: 200, now: NOW })).rows).toEqual([]);
    await run(DB, "UPDATE endpoint SET wanted = 'active'");
    for (let n = 0; n < 10; n++) {
      expect((await claim(db, { turn: "", limit: 200, now: NOW })).rows).toHaveLength(200);
    }
    expect((await claim(db, { turn: "", limit: 200, now: NOW })).rows).toEqual([]);
    // The row, out of one index and into another; the turn.
    expect(written()).toBeLessThanOrEqual(2_000 * 3 + 12);
  }, 60_000);
});

describe("in the same statement", () => {
  test("deliveries of an endpoint that is not active become held, of one without a record dead", async () => {
    await leaveEndpoints(DB, [
      { id: "a1", owner: "a", active: false },
      { id: "b1", owner: "b" },
    ]);
    await leaveDeliveries(DB, [{}, { owner: "c" }, { owner: "b" }]);
    await run(DB, "UPDATE delivery SET error = '500'");
    expect(await claimed(10)).toMatchObject({ seqs: [3], held: 1, dead: 1 });
    expect(await deliveryRows(DB)).toMatchObject([
      { status: "held", due_at: null, finished_at: null, error: "500" },
      { status: "dead", due_at: null, finished_at: NOW, error: "The endpoint was removed." },
      { status: "pending", due_at: LEASE, error: "500" },
    ]);
  });

  test("an owner whose row failed lately comes after the others", async () => {
    await leaveEndpoints(
      DB,
      ["a", "b", "c"].map((owner) => ({ id: `${owner}1`, owner })),
    );
    await leaveDeliveries(DB, [{ failed_at: 7 }, { owner: "b", failed_at: 5 }, { owner: "c" }]);
    expect((await claimed(10)).seqs).toEqual([3, 2, 1]);
  });

  test("they take no place of those that can be posted", async () => {
    await leaveEndpoints(DB, [{ id: "b1", owner: "b" }]);
    await leaveDeliveries(DB, [...many(10, { owner: "c" }), ...many(10, { owner: "b" })]);
    expect(await claimed(5)).toMatchObject({ seqs: [11, 12, 13, 14, 15], dead: 10, more: true });
  });
});

describe("an endpoint with a rate limit", () => {
  const MINUTE_MS = 60_000;

  test("has ten minutes' worth under way; the rest is due when its turn is about, written once", async () => {
    await leaveEndpoints(DB, [{ id: "a1", owner: "a", rate: { requests: 1, perS: 60 } }]);
    await leaveDeliveries(DB, many(4, { status: "sending", due_at: NOW }));
    await leaveDeliveries(DB, many(10, {}), 11);
    const { seqs, more } = await claimed(20);
    expect(seqs).toEqual([11, 12, 13, 14, 15, 16]);
    expect(more).toBe(false);
    const waiting = (await statusesOf("a")).slice(10);
    const turns = [1, 2, 3, 4].map((n) => ["pending", NOW + n * MINUTE_MS]);
    expect(waiting).toEqual(turns);
    // Those that come later wait behind them; none is written again before its turn.
    await leaveDeliveries(DB, many(2, {}), 21);
    expect((await claimed(20)).seqs).toEqual([]);
    const last = NOW + 4 * MINUTE_MS;
    expect((await statusesOf("a")).slice(14)).toEqual(
      [last + MINUTE_MS, last + 2 * MINUTE_MS].map((due) => ["pending", due]),
    );
    expect((await claimed(20)).seqs).toEqual([]);
  });

  test("does not wait behind its own failures that back off", async () => {
    await leaveEndpoints(DB, [{ id: "a1", owner: "a", rate: { requests: 1, perS: 600 } }]);
    await leaveDeliveries(DB, [
      { status: "sending" },
      { due_at: NOW + 60 * MINUTE_MS, failures: 6 },
      {},
    ]);
    expect((await claimed(20)).seqs).toEqual([]);
    expect((await statusesOf("a"))[2]).toEqual(["pending", NOW + 10 * MINUTE_MS]);
  });

  test("keeps back only its own deliveries", async () => {
    await leaveEndpoints(DB, [
      { id: "a1", owner: "a", rate: { requests: 1, perS: 3_600 } },
      { id: "a2", owner: "a" },
      { id: "b1", owner: "b", rate: { requests: 10_000, perS: 1 } },
    ]);
    await leaveDeliveries(DB, [...many(30, {}), { endpoint_id: "a2" }, ...many(3, { owner: "b" })]);
    const first = await claimed(10);
    expect(first.seqs).toEqual([1, 32, 33, 34]);
    expect(first.more).toBe(true);
    expect((await claimed(10)).seqs).toEqual([31]);
  });

  test("takes what was held for it at its rate, too", async () => {
    await leaveEndpoints(DB, [{ id: "a1", owner: "a", rate: { requests: 1, perS: 300 } }]);
    await leaveDeliveries(DB, many(4, { status: "held" }));
    expect((await claimed(10)).seqs).toEqual([1, 2]);
    expect(await statusesOf("a")).toEqual([
      ["pending", LEASE],
      ["pending", LEASE],
      ["pending", NOW + 5 * MINUTE_MS],
      ["pending", NOW + 10 * MINUTE_MS],
    ]);
  });
});

describe("a claim reads", () => {
  test("by indexes alone", async () => {
    const plan = await planOf(DB, CLAIM, "", NOW, 10, LEASE);
    expect(plan).toContain("SEARCH delivery USING PRIMARY KEY (event_seq=? AND endpoint_id=?)");
    expect(plan).not.toMatch(/SCAN (delivery|event|endpoint|s|w|e)\b/);
  });

  test("a few rows for each that it claims, whatever waits and however much is due", async () => {
    const owners = Array.from({ length: 20 }, (_, n) => `o${String(n).padStart(2, "0")}`);
    await leaveEndpoints(
      DB,
      owners.map((owner) => ({ id: `${owner}1`, owner })),
    );
    const read = async () => {
      const bound = DB.prepare(CLAIM).bind("", NOW, 40, NOW + 1);
      const { results, meta } = await bound.all();
      expect(results).toHaveLength(40);
      return meta.rows_read;
    };
    await leaveDeliveries(
      DB,
      owners.flatMap((owner) => many(10, { owner })),
    );
    const few = await read();
    await leaveDeliveries(
      DB,
      owners.flatMap((owner) => [...many(50, { owner }), ...many(100, { owner, due_at: NOW * 2 })]),
      1_000,
    );
    expect(await read()).toBeLessThan(few + 500);
    expect(few).toBeLessThan(100 * 40);
  }, 60_000);
});
