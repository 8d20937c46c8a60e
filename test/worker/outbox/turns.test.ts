/** Owners in turn: whoever has something due, from the kept place, at a cost that does not depend on what waits. */
import { env as testEnv } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { anyDueSql, keepTurnSql, turnSql, type Work } from "../../../src/outbox/turns.ts";
import type { Bindings } from "../../../src/settings.ts";
import { run } from "../../../src/storage.ts";
import { leaveChanges, leaveDeliveries, leaveEndpoints, planOf } from "../../support/log-rows.ts";

const { DB } = testEnv as unknown as Bindings;
const NOW = 1_000;
const LATER = 1_000_000;

/** The owners whose turn it is, and what it took to find them. */
async function turn(work: Work, place: string, limit = 10) {
  const sql = `${turnSql(work)} SELECT owner FROM turn ORDER BY round, owner`;
  const { results, meta } = await DB.prepare(sql).bind(place, NOW, limit).all<{ owner: string }>();
  return { owners: results.map(({ owner }) => owner).join(""), read: meta.rows_read };
}

async function anyDue(work: Work): Promise<boolean> {
  const row = await DB.prepare(`SELECT ${anyDueSql(work)} AS due`)
    .bind(NOW)
    .first<{ due: number }>();
  return row?.due === 1;
}

/** Leaves work of each kind for these owners, due at a time. */
async function leave(owners: string[], due_at: number, first = 1): Promise<void> {
  await leaveDeliveries(
    DB,
    owners.flatMap((owner) =>
      (["pending", "sending"] as const).map((status) => ({ owner, status, due_at })),
    ),
    first,
  );
  await leaveChanges(
    DB,
    owners.map((owner) => ({ owner, due_at })),
    first + 2 * owners.length,
  );
}

describe.each<Work>(["post", "look-up", "project"])("owners with something to %s", (work) => {
  test("take turns from the kept place, once around, and those that wait are passed over", async () => {
    expect(await turn(work, "")).toMatchObject({ owners: "" });
    expect(await anyDue(work)).toBe(false);
    await leave(["b", "d", "g"], LATER);
    expect(await anyDue(work)).toBe(false);
    await leave(["a", "c", "e", "f", "f"], NOW, 100);
    expect(await anyDue(work)).toBe(true);
    const owners = async (place: string, limit?: number) => (await turn(work, place, limit)).owners;
    expect(await owners("")).toBe("acef");
    expect(await owners("a")).toBe("cefa");
    expect(await owners("d")).toBe("efac");
    expect(await owners("e", 2)).toBe("fa");
    expect(await owners("z")).toBe("acef");
  });

  test("keep where their turn ended", async () => {
    await leave(["a", "c", "e"], NOW);
    const place = async (from: string, limit: number) =>
      DB.prepare(keepTurnSql(work)).bind(from, NOW, limit).first<string>("place");
    expect(await place("", 2)).toBe("c");
    expect(await place("c", 2)).toBe("a");
    expect(await place("c", 10)).toBe("c");
    await run(DB, "DELETE FROM delivery");
    await run(DB, "DELETE FROM event");
    expect(await place("c", 10)).toBe("c");
  });

  test("are found without reading what 1,000 others wait for, one row each or six", async () => {
    const waiting = Array.from({ length: 1_000 }, (_, n) => `w${String(n).padStart(4, "0")}`);
    await leave(waiting, LATER);
    await leave(["x"], NOW, 10_000);
    const beside = await turn(work, "");
    expect(beside.owners).toBe("x");
    // Two steps of the index for each owner.
    expect(beside.read).toBeLessThan(4_100);
    for (let more = 1; more <= 5; more++) await leave(waiting, LATER, 10_000 * (more + 1));
    expect((await turn(work, "")).read).toBeLessThan(beside.read + 100);
  }, 120_000);

  test("are led to by an index", async () => {
    const plan = await planOf(DB, `${turnSql(work)} SELECT owner FROM turn`, "", NOW, 10);
    const index = { post: "pending", "look-up": "sending", project: "unprojected" }[work];
    expect(plan).toContain(
      `COVERING INDEX ${work === "project" ? "event" : "delivery"}_${index} (owner>?)`,
    );
    expect(plan).not.toMatch(/SCAN (delivery|event|endpoint)\b/);
    const any = await planOf(DB, `SELECT ${anyDueSql(work)}`, NOW);
    expect(any).not.toMatch(/SCAN (delivery|event|endpoint)\b/);
  });
});

describe("held deliveries", () => {
  test("are due if their endpoint is active, and only then", async () => {
    await leaveEndpoints(DB, [
      { id: "b1", owner: "b" },
      { id: "c1", owner: "c", active: false },
      { id: "d1", owner: "d" },
    ]);
    await leaveDeliveries(DB, [
      { owner: "b", status: "held" },
      { owner: "c", status: "held" },
      { owner: "c", status: "held" },
      // Of an endpoint without a record.
      { owner: "e", status: "held" },
    ]);
    expect(await anyDue("post")).toBe(true);
    expect((await turn("post", "")).owners).toBe("b");
    await leaveDeliveries(DB, [{ owner: "a" }, { owner: "b" }, { owner: "d" }], 10);
    expect((await turn("post", "a")).owners).toBe("bda");
    await run(DB, "UPDATE endpoint SET wanted = 'paused'");
    await run(DB, "DELETE FROM delivery WHERE status = 'pending'");
    expect(await anyDue("post")).toBe(false);
    expect((await turn("post", "")).owners).toBe("");
  });

  test("of an endpoint that is paused cost a step, however many they are", async () => {
    await leaveEndpoints(DB, [{ id: "c1", owner: "c", active: false }]);
    await leaveDeliveries(
      DB,
      Array.from({ length: 3_000 }, () => ({ owner: "c", status: "held" })),
    );
    expect((await turn("post", "")).read).toBeLessThan(20);
  });
});
