/** What a change costs one D1 database: the Worker's own statements in workerd's SQLite, as D1 reports them. */

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { v7 as uuidv7 } from "uuid";
import { PURGE_WINDOW, WALK_PAGE } from "../../src/config.ts";
import { commit } from "../../src/event/commit.ts";
import { record } from "../../src/event/lease.ts";
import { purge } from "../../src/event/purge.ts";
import { CONFIRM, FAILURES } from "../../src/event/walk.ts";
import { metered } from "../metered.ts";

const MIGRATIONS = path.resolve(import.meta.dirname, "../../migrations");
const DAY_MS = 86_400_000;

/** The average cost of one kind of statement. */
export type Cost = { ms: number; rowsRead: number; rowsWritten: number };

/** The costs of a change's statements, and the size of a log row with its indexes. */
export type Costs = {
  commit: Cost;
  /** `settle`: a row alone; `settleMore`: each further row of a shared statement. */
  settle: Cost;
  settleMore: Cost;
  /** Per row of a full page (`confirm`) or window (`purge`). */
  confirm: Cost;
  purge: Cost;
  rowBytes: number;
};

/** Measures with `rows` other changes in the log, averaging over `count` statements of each kind. */
export async function measure(rows: number, count: number): Promise<Costs> {
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: "export default { fetch() { return new Response('') } }",
      compatibilityDate: "2026-10-01",
      d1Databases: ["DB"],
    }),
  );
  try {
    const raw = (await miniflare.getD1Database("DB")) as unknown as D1Database;
    for (const file of readdirSync(MIGRATIONS).sort()) {
      const sql = readFileSync(path.join(MIGRATIONS, file), "utf8").replaceAll(/--.*$/gm, "");
      for (const one of sql.split(";")) if (one.trim()) await raw.prepare(one).run();
    }
    await fill(raw, rows);
    const meter: D1Meta[] = [];
    return await measureOn(metered(raw, meter), raw, meter, count);
  } finally {
    await miniflare.dispose();
  }
}

/** Fills the log with finished changes of 1,000 owners from the last week. */
async function fill(db: D1Database, rows: number): Promise<void> {
  const sql = `WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)
    INSERT INTO event (id, owner, type, occurred_at, todo_id, todo, stored, state, accepted_at, finished_at)
    SELECT printf('01a1%04x-0000-7000-8000-%012x', i % 65536, i), 'owner-' || (i % 1000), 'updated', ?3, i % 5000,
      json_object('id', i % 5000, 'item', 'Buy milk, and bread for ' || i, 'completed', json('false')),
      1, 'confirmed', ?3, ?3 FROM n`;
  for (let from = 0; from < rows; from += 50_000) {
    await db
      .prepare(sql)
      .bind(from, Math.min(from + 50_000, rows), Date.now() - DAY_MS)
      .run();
  }
}

async function measureOn(db: D1Database, raw: D1Database, meter: D1Meta[], count: number) {
  const before = await sizeOf(raw);
  const committed: { seq: number; id: string; lease: number }[] = [];
  const change = async (n: number) => {
    const now = Date.now();
    const id = uuidv7({ msecs: now });
    const todo = { id: 1_000_000 + n, item: `Buy milk, and bread for ${n}`, completed: false };
    const done = await commit(db, {
      ...{ id, owner: `owner-${n % 1_000}`, type: "created", todoId: todo.id, patch: todo },
      ...{ endpointId: null, known: null, now },
    });
    if (done.kind !== "committed") throw new Error(done.kind);
    committed.push({ seq: done.row.seq, id, lease: done.row.due_at ?? 0 });
  };
  const settleNext = (at: number, group: number) => {
    const now = Date.now();
    const outcome = {
      ...{ state: "accepted" as const, attempts: 0, missing: 0 as const, replays: 0, lookups: 0 },
      ...{
        stranded: 0,
        own_failures: 0,
        failed_at: null,
        error: null,
        accepted_at: now,
        due_at: now + 600_000,
      },
    };
    const results = committed.slice(at, at + group).map(({ seq, lease }) => ({
      ...{ seq, lease, outcome, put: seq, unstoredDueAt: lease, pendingDueAt: lease },
    }));
    return record(db, results, { now, patienceMs: 600_000 });
  };
  const taken = async (work: () => Promise<unknown>) => {
    meter.length = 0;
    await work();
    const sum = (of: (meta: D1Meta) => number) => meter.reduce((n, meta) => n + of(meta), 0);
    return {
      ms: sum(({ duration }) => duration),
      rowsRead: sum(({ rows_read }) => rows_read),
      rowsWritten: sum(({ rows_written }) => rows_written),
    };
  };

  for (let n = 0; n < 200; n++) await change(n);
  await settleNext(0, 200);
  committed.length = 0;
  const commits = await taken(async () => {
    for (let n = 0; n < 2 * count; n++) await change(10_000 + n);
  });
  const group = 20;
  const alone = await taken(async () => {
    for (let n = 0; n < count; n++) await settleNext(n, 1);
  });
  const shared = await taken(async () => {
    for (let n = count; n < 2 * count; n += group) await settleNext(n, group);
  });
  const rowBytes = ((await sizeOf(raw)) - before) / (2 * count + 200);
  const settle = each(alone, count);
  const row = each(shared, count);
  // group * row = settle + (group - 1) * more
  const more = (key: keyof Cost) => Math.max(0, (group * row[key] - settle[key]) / (group - 1));
  const settleMore = {
    ms: more("ms"),
    rowsRead: more("rowsRead"),
    rowsWritten: more("rowsWritten"),
  };
  const pages = Math.floor((2 * count) / WALK_PAGE);
  const confirmed = await taken(async () => {
    for (let page = 0; page < pages; page++) {
      const seen = committed.slice(page * WALK_PAGE, (page + 1) * WALK_PAGE);
      const json = JSON.stringify(seen.map(({ id }) => ({ id, replays: 0, verdict: "done" })));
      await db.prepare(CONFIRM).bind(json, Date.now(), FAILURES.nobody, FAILURES.failed).all();
    }
  });
  const gone = { rows: 0 };
  const purged = await taken(async () => {
    let left = 4;
    const budget = { left: () => left, take: () => left-- > 0 };
    gone.rows = await purge(db, Date.now() - DAY_MS / 2, 0, budget);
  });
  return {
    commit: each(commits, 2 * count),
    settle,
    settleMore,
    confirm: each(confirmed, pages * WALK_PAGE),
    purge: each(purged, Math.max(1, gone.rows || PURGE_WINDOW)),
    rowBytes,
  };
}

function each(cost: Cost, n: number): Cost {
  return { ms: cost.ms / n, rowsRead: cost.rowsRead / n, rowsWritten: cost.rowsWritten / n };
}

async function sizeOf(db: D1Database): Promise<number> {
  const { meta } = await db.prepare("SELECT 1").all();
  return meta.size_after;
}
