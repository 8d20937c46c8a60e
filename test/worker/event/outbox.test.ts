/** The log as an outbox: claims, leases, settling, and which index serves them. */
import { describe, expect, test } from "vitest";
import {
  claim,
  claimStatement,
  latestOf,
  markStored,
  type Settlement,
  settle,
  type Work,
} from "../../../src/event/outbox.ts";
import { type EventRow, log, newEnv } from "../../support/worker.ts";

type Given = {
  type?: string;
  todo?: number | null;
  stored?: 0 | 1 | null;
  state?: string;
  due: number | null;
};

/** Writes rows of the owner `me` into the log, in order; seq is their place from 1. */
async function given(db: D1Database, rows: Given[]) {
  for (const [index, row] of rows.entries()) {
    const { type = "created", todo = index + 1, stored = 1, state = "pending", due } = row;
    await db
      .prepare(
        `INSERT INTO event (id, owner, type, todo_id, todo, stored, state, occurred_at, due_at, finished_at)
         VALUES (?1, 'me', ?2, ?3, '{}', ?4, ?5, 0, ?6, iif(?6 IS NULL, 1, NULL))`,
      )
      .bind(`event ${index + 1}`, type, todo, stored, state, due)
      .run();
  }
}

function settlement(over: Partial<Settlement> & { seq: number; lease: number }): Settlement {
  return {
    state: "accepted",
    attempts: 0,
    replays: 0,
    error: null,
    accepted_at: 5,
    due_at: null,
    ...over,
  };
}

const seqs = (rows: { seq: number }[]) => rows.map(({ seq }) => seq);
const dues = (rows: EventRow[]) => rows.map(({ due_at }) => due_at);

describe("a claim", () => {
  test("takes what is due, oldest first, at most its limit, and leases it", async () => {
    const { DB, ...env } = newEnv();
    await given(DB, [
      { due: 30 },
      { due: 10 },
      { due: 20 },
      { due: 101 },
      { due: null, state: "accepted" },
    ]);
    const rows = await claim(DB, "publish", { now: 100, lease: 900, limit: 2 });
    expect(rows.map(({ seq, lease }) => [seq, lease])).toEqual([
      [2, 900],
      [3, 900],
    ]);
    expect(dues(await log({ DB, ...env }))).toEqual([30, 900, 900, 101, null]);
    expect(seqs(await claim(DB, "publish", { now: 100, lease: 901, limit: 9 }))).toEqual([1]);
    expect(await claim(DB, "publish", { now: 100, lease: 902, limit: 9 })).toEqual([]);
  });

  test("two at the same time never get the same row", async () => {
    const { DB } = newEnv();
    await given(
      DB,
      Array.from({ length: 20 }, () => ({ due: 1 })),
    );
    const claims = await Promise.all(
      [901, 902, 903].map((lease) => claim(DB, "publish", { now: 100, lease, limit: 8 })),
    );
    const taken = claims.flatMap(seqs);
    expect(taken).toHaveLength(20);
    expect(new Set(taken).size).toBe(20);
  });

  const rows: Given[] = [
    { due: 1, stored: 1, state: "pending" },
    { due: 1, stored: 0, state: "pending" },
    { due: 1, stored: 0, state: "accepted" },
    { due: 1, stored: 1, state: "accepted" },
    { due: 1, type: "ping", todo: null, stored: null, state: "accepted" },
    { due: 1, type: "ping", todo: null, stored: null, state: "pending" },
  ];
  const work: [Work, number[]][] = [
    ["publish", [1, 2, 3, 6]],
    ["project", [2, 3]],
    ["audit", [4, 5]],
  ];
  test.each(work)("for %s takes only what needs it", async (what, expected) => {
    const { DB } = newEnv();
    await given(DB, rows);
    expect(seqs(await claim(DB, what, { now: 9, lease: 99, limit: 9 }))).toEqual(expected);
  });

  test.each([
    ["publish", "event_due"],
    ["project", "event_due"],
    ["audit", "event_audit"],
  ] as const)("for %s is served by the index %s, and scans no table", async (what, index) => {
    const { DB } = newEnv();
    const plan = await DB.prepare(`EXPLAIN QUERY PLAN ${claimStatement(what)}`)
      .bind(1, 2, 3)
      .all<{ detail: string }>();
    const details = plan.results.map(({ detail }) => detail);
    expect(details.join("\n")).toMatch(new RegExp(`SEARCH event USING INDEX ${index}\\b`));
    expect(details.filter((one) => /SCAN event/.test(one))).toEqual([]);
  });
});

describe("settling", () => {
  test("records what became of rows that are still ours, and leaves the others alone", async () => {
    const env = newEnv();
    await given(env.DB, [{ due: 900 }, { due: 901 }, { due: null, state: "accepted" }]);
    const all = [1, 2, 3].map((seq) => settlement({ seq, lease: 900 }));
    expect(await settle(env.DB, all, { now: 7, unstoredDueAt: 8 })).toEqual([1]);
    expect(await log(env)).toMatchObject([
      { state: "accepted", due_at: null, finished_at: 7, accepted_at: 5 },
      { state: "pending", due_at: 901, finished_at: null },
      { state: "accepted", due_at: null, finished_at: 1 },
    ]);
  });

  test.each([
    ["an accepted row that KV lacks", null, 50],
    ["a row that KV lacks and that is due later", 80, 50],
    ["a row that KV lacks and that is due before", 20, 20],
  ])("%s stays due", async (_, due_at, expected) => {
    const env = newEnv();
    await given(env.DB, [{ due: 900, stored: 0 }]);
    await settle(env.DB, [settlement({ seq: 1, lease: 900, due_at })], {
      now: 7,
      unstoredDueAt: 50,
    });
    expect(await log(env)).toMatchObject([{ stored: 0, due_at: expected, finished_at: null }]);
  });

  test("nothing to settle is no statement", async () => {
    const broken = { prepare: () => expect.unreachable() } as unknown as D1Database;
    expect(await settle(broken, [], { now: 1, unstoredDueAt: 1 })).toEqual([]);
  });
});

describe("marking stored", () => {
  test("marks only rows that we hold, with no later change of the same todo than the one put", async () => {
    const env = newEnv();
    await given(env.DB, [
      { due: 900, stored: 0, todo: 1 },
      { due: 900, stored: 0, todo: 2 },
      { due: 900, stored: 0, todo: 2 },
      { due: 901, stored: 0, todo: 3 },
    ]);
    const put = [1, 2, 3, 4].map((seq) => ({ seq, lease: 900, put: seq }));
    expect((await markStored(env.DB, put, 500)).sort()).toEqual([1, 3]);
    expect((await log(env)).map(({ stored }) => stored)).toEqual([1, 0, 1, 0]);
    // Once the later word was put, the older row is held by it, too.
    expect(await markStored(env.DB, [{ seq: 2, lease: 900, put: 3 }], 500)).toEqual([2]);
  });

  test("another owner's todo of the same id is another todo", async () => {
    const env = newEnv();
    await given(env.DB, [
      { due: 900, stored: 0, todo: 1 },
      { due: 900, stored: 0, todo: 1 },
    ]);
    await env.DB.prepare("UPDATE event SET owner = 'you' WHERE seq = 2").run();
    expect(await markStored(env.DB, [{ seq: 1, lease: 900, put: 1 }], 500)).toEqual([1]);
    expect(await latestOf(env.DB, [{ owner: "me", todo_id: 1 }])).toMatchObject([{ seq: 1 }]);
  });
});
