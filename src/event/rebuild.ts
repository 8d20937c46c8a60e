/** KV from the log, and the log from KV: what an operator does after a loss of either (docs/operate.md). */
import { v7 as uuidv7 } from "uuid";
import type { Budget } from "../budget.ts";
import {
  type Bindings,
  deliverySettings,
  KV_BULK_KEYS,
  REBUILD_KEYS_MAX,
  REBUILD_LEAP,
  REBUILD_PAGES,
} from "../config.ts";
import { all, BadCursor, batch, first, run } from "../storage.ts";
import { listAll, readLarge, type Stored } from "../todo/kv.ts";
import { projectDue } from "./project.ts";
import { compare, type Difference, idAt, putAgain } from "./scrub.ts";

/** Which page, and whether it is only to be compared. */
export type RebuildPage = { dryRun: boolean; cursor?: string | undefined };

/** What a page did. `next`: cursor of the next one, null after the last. */
export type RebuildReport = { checked: number; different: Difference[]; next: string | null };

/**
 * Puts the last change of each todo of the log into KV again where KV holds another one, as many as the
 * budget allows; the cron puts the rest. A todo that the log has forgotten is KV's alone, and stays.
 * @throws StorageError
 */
export async function rebuildFromLog(
  env: Bindings,
  { dryRun, cursor = "" }: RebuildPage,
  budget: Budget,
): Promise<RebuildReport> {
  const report: RebuildReport = { checked: 0, different: [], next: cursor };
  const until = idAt(Date.now());
  // What differs is put before more is looked for.
  for (let page = 0; page < REBUILD_PAGES && report.different.length === 0; page++) {
    if (!budget.take(3)) break;
    const found = await compare(env, { after: report.next ?? "", until });
    report.checked += found.checked;
    report.different.push(...found.different);
    report.next = found.more ? found.last : null;
    if (report.next === null) break;
  }
  if (dryRun || report.different.length === 0) return report;
  await leapAbove(env.DB, report.different);
  await putAgain(env.DB, report.different);
  await projectDue({ env, settings: deliverySettings(env) }, budget);
  return report;
}

/**
 * Writes a change, with its event, for each todo of which KV holds a version that the log does not know:
 * what was lost when the database was put back in time. The cron does what follows a commit.
 * @throws StorageError; `BadCursor`
 */
export async function rebuildFromKv(
  env: Bindings,
  { dryRun, cursor }: RebuildPage,
): Promise<RebuildReport> {
  // The log's highest number as the first page finds it: what is written here must not count.
  const [, known, at] = /^(\d+):(.*)$/s.exec(cursor ?? "") ?? [];
  if (cursor !== undefined && known === undefined) throw new BadCursor();
  const highest = known === undefined ? await highestOf(env.DB) : Number(known);
  const listed = await listAll(env.KV, { limit: REBUILD_KEYS_MAX, cursor: at || undefined });
  const ahead = await aheadOf(env.DB, listed.todos, highest);
  const different = ahead.map(({ owner, id, seq, log }) => ({ owner, todo_id: id, log, kv: seq }));
  const next = listed.cursor === null ? null : `${highest}:${listed.cursor}`;
  if (!dryRun && ahead.length > 0) {
    await leapAbove(env.DB, different);
    for (let start = 0; start < ahead.length; start += KV_BULK_KEYS) {
      await adopt(env, ahead.slice(start, start + KV_BULK_KEYS));
    }
  }
  return { checked: listed.todos.length, different, next };
}

type Ahead = Stored & { log: number | null };

const LATEST = `(SELECT max(seq) FROM event WHERE owner = value ->> 'owner'
  AND todo_id = value ->> 'id' AND type NOT IN ('ping', 'failed'))`;

/** The todos of which KV is ahead: of the log's last change, or of all the log ever knew. */
async function aheadOf(db: D1Database, todos: Stored[], highest: number): Promise<Ahead[]> {
  if (todos.length === 0) return [];
  // Served by event_todo, once for each.
  const rows = await all<{ at: number; log: number | null }>(
    db,
    `SELECT key AS at, ${LATEST} AS log FROM json_each(?1)`,
    JSON.stringify(todos.map(({ owner, id }) => ({ owner, id }))),
  );
  const logs = new Map(rows.map(({ at, log }) => [at, log]));
  return todos.flatMap((todo, at) => {
    const log = logs.get(at) ?? null;
    return todo.seq > (log ?? highest) ? [{ ...todo, log }] : [];
  });
}

// Created where the log says that it was removed. Not where somebody has changed it meanwhile.
const ADOPT = `
INSERT INTO event (id, owner, todo_id, occurred_at, due_at, type, todo, stored)
SELECT value ->> 'event', value ->> 'owner', value ->> 'id', ?2, ?2,
  iif((SELECT type FROM event WHERE seq = value ->> 'log') = 'deleted', 'created', 'updated'),
  value ->> 'todo', 0
FROM json_each(?1) WHERE ${LATEST} IS value ->> 'log'`;

/** KV's todos become the log's last changes, due at once. */
async function adopt(env: Bindings, ahead: Ahead[]): Promise<void> {
  const large = ahead.flatMap(({ key, todo }) => (todo ? [] : [key]));
  const read = await readLarge(env.KV, large);
  const now = Date.now();
  const changes = ahead.flatMap(({ key, owner, id, log, todo }) => {
    const text = todo ?? read.get(key);
    return text ? [{ event: uuidv7({ msecs: now }), owner, id, log, todo: text }] : [];
  });
  await run(env.DB, ADOPT, JSON.stringify(changes), now);
}

async function highestOf(db: D1Database): Promise<number> {
  const row = await first<{ seq: number }>(
    db,
    "SELECT seq FROM sqlite_sequence WHERE name = 'event'",
  );
  return row?.seq ?? 0;
}

/**
 * Where KV has numbers that the log has not given out: the log goes on far above them, since receivers
 * drop what has a lower sequence than they have seen. SQLite's AUTOINCREMENT remembers the row.
 */
async function leapAbove(db: D1Database, different: Difference[]): Promise<void> {
  const highest = Math.max(...different.map(({ kv }) => kv ?? 0));
  if (highest <= (await highestOf(db))) return;
  const seq = highest + REBUILD_LEAP;
  await batch(db, [
    [
      `INSERT INTO event (seq, id, owner, type, occurred_at, state, finished_at)
       VALUES (?1, ?2, '', 'ping', 0, 'confirmed', 0)`,
      ...[seq, uuidv7()],
    ],
    ["DELETE FROM event WHERE seq = ?", seq],
  ]);
}
