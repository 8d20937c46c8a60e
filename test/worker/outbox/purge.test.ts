/** What is finished and old goes, and never so that an older change becomes a resource's last. What was held too long is dead. */
import { env as testEnv } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { expireHeld, hasExpiredSql, purge } from "../../../src/outbox/purge.ts";
import type { EventRow } from "../../../src/outbox/rows.ts";
import { idAt } from "../../../src/outbox/time-range.ts";
import type { Bindings } from "../../../src/settings.ts";
import { first } from "../../../src/storage.ts";
import { deliveryRows, eventRows, leaveChanges, leaveDeliveries } from "../../support/log-rows.ts";

const { DB } = testEnv as unknown as Bindings;
const BEFORE = 1_000;
const budget = (left: number) => ({ left: () => left-- });

const purgeAll = (from = 0) => purge(DB, BEFORE, from, budget(50));
const seqs = async () => (await eventRows(DB)).map(({ seq }) => seq);

/** A change that is in KV. */
const done = (given: Partial<EventRow> = {}) => ({ projected: 1 as const, due_at: null, ...given });

describe("an event goes", () => {
  test("with its deliveries, once all of them are final and old", async () => {
    await leaveDeliveries(DB, [
      { status: "delivered" },
      { status: "failed" },
      { status: "dead" },
      { status: "delivered", finished_at: BEFORE },
      { status: "pending" },
      { status: "sending" },
      { status: "held" },
    ]);
    expect(await purgeAll()).toBe(3);
    expect(await seqs()).toEqual([4, 5, 6, 7]);
    expect((await deliveryRows(DB)).map(({ event_seq }) => event_seq)).toEqual([4, 5, 6, 7]);
  });

  test("not before its own time is over, though it has no delivery", async () => {
    await leaveChanges(DB, [
      done({ resource_id: "1" }),
      done({ resource_id: "2", occurred_at: BEFORE }),
    ]);
    expect(await purgeAll()).toBe(1);
    expect(await seqs()).toEqual([2]);
  });

  test("not while KV may lack it", async () => {
    await leaveChanges(DB, [{ resource_id: "1" }, done({ resource_id: "2" })]);
    expect(await purgeAll()).toBe(1);
    expect(await seqs()).toEqual([1]);
  });

  test("but the last change of a resource, too: KV has it", async () => {
    await leaveChanges(DB, [done(), done()]);
    expect(await purgeAll()).toBe(2);
    expect(await seqs()).toEqual([]);
  });
});

describe("a change stays", () => {
  test("while an older one of its resource stays: that one would become the last", async () => {
    await leaveChanges(DB, [done(), done(), done({ resource_id: "2" })]);
    await leaveDeliveries(DB, [{ status: "held" }], 10);
    await DB.prepare("UPDATE delivery SET event_seq = 1").run();
    expect(await purgeAll()).toBe(2);
    // The second stays because of the first; another resource's and what changes nothing do not.
    expect(await seqs()).toEqual([1, 2]);
  });

  test("while an older one is before the window that is looked at", async () => {
    await leaveChanges(DB, [{}, done(), done({ resource_id: "2" })]);
    await DB.prepare("UPDATE cron_state SET purge_after = 1").run();
    expect(await purgeAll(1)).toBe(1);
    expect(await seqs()).toEqual([1, 2]);
  });

  test("only of its own owner, noun and id", async () => {
    await leaveChanges(DB, [
      {},
      done({ owner: "b" }),
      done({ resource: "part" }),
      done({ resource_id: "2" }),
    ]);
    expect(await purgeAll()).toBe(3);
    expect(await seqs()).toEqual([1]);
  });
});

describe("over many windows", () => {
  const many = (count: number) =>
    leaveDeliveries(
      DB,
      Array.from({ length: count }, () => ({ status: "delivered" as const })),
    );
  const place = async () =>
    (await first<{ purge_after: number }>(DB, "SELECT purge_after FROM cron_state"))?.purge_after;

  test("it continues where its budget ended, and begins anew at the end", async () => {
    await many(1_200);
    // Nothing may go of the first window.
    await DB.prepare("UPDATE delivery SET finished_at = ? WHERE event_seq <= 500")
      .bind(BEFORE)
      .run();
    expect(await purge(DB, BEFORE, 0, budget(1))).toBe(0);
    expect(await place()).toBe(500);
    expect(await purgeAll(500)).toBe(700);
    expect(await place()).toBe(0);
    expect(await seqs()).toHaveLength(500);
  });

  test("a run that finds another one ahead leaves its place alone", async () => {
    await many(600);
    await DB.prepare("UPDATE delivery SET finished_at = ?").bind(BEFORE).run();
    await DB.prepare("UPDATE cron_state SET purge_after = 550").run();
    await purge(DB, BEFORE, 0, budget(1));
    expect(await place()).toBe(550);
  });
});

describe("what is held", () => {
  /** Events of these times, each with one held delivery; ids follow the times. */
  async function leaveHeld(...times: number[]): Promise<void> {
    await leaveDeliveries(
      DB,
      times.map((occurred_at) => ({ status: "held" as const, occurred_at })),
    );
    for (const [n, time] of times.entries()) {
      await DB.prepare("UPDATE event SET id = ? WHERE seq = ?")
        .bind(`${idAt(time)}${n}`, n + 1)
        .run();
    }
  }
  const hasExpired = async () =>
    (await first<{ due: number }>(DB, `SELECT ${hasExpiredSql("?1")} AS due`, idAt(BEFORE)))?.due;
  const statuses = async () => (await deliveryRows(DB)).map(({ status }) => status);

  test("too long is dead, with words, and nothing else", async () => {
    await leaveHeld(BEFORE - 1, BEFORE, BEFORE + 1);
    await leaveDeliveries(DB, [{ status: "pending", occurred_at: 1 }], 10);
    expect(await hasExpired()).toBe(1);
    expect(await expireHeld(DB, BEFORE, 5_000)).toBe(1);
    const [row] = await deliveryRows(DB);
    expect(row).toMatchObject({
      status: "dead",
      finished_at: 5_000,
      error: "It was held for too long.",
    });
    expect((await statuses()).slice(1)).toEqual(["held", "held", "pending"]);
    expect(await hasExpired()).toBe(0);
  });

  test("all of it, if the whole log is old", async () => {
    await leaveHeld(1, 2);
    expect(await expireHeld(DB, BEFORE, 5_000)).toBe(2);
  });

  test("by the event's own time: requests at once may commit in another order", async () => {
    // The first in the log by sequence is not the first by time.
    await leaveHeld(BEFORE + 5, BEFORE + 1);
    expect(await hasExpired()).toBe(0);
    expect(await expireHeld(DB, BEFORE, 5_000)).toBe(0);
    expect(await statuses()).toEqual(["held", "held"]);
  });
});
