/** Compares KV with the log: the scrub each change once, a rebuild all of them (docs/design.md, 5). */
import { v7 as uuidv7 } from "uuid";
import {
  type Bindings,
  deliverySettings,
  KV_BULK_KEYS,
  REBUILD_KEYS_MAX,
  REBUILD_LEAP,
  REBUILD_PAGES,
} from "../config.ts";
import { listAll, readLarge, readVersions, resourceKey, type Stored } from "../resource.ts";
import type { Budget } from "../run.ts";
import { all, BadCursor, batch, first, run } from "../storage.ts";
import { moveScrub } from "./cron-state.ts";
import { projectDue } from "./project.ts";
import type { EventRow, SqlBoolean } from "./table.ts";

/** The smallest event id for a time (ms): ids sort by time. */
export function idAt(ms: number): string {
  return uuidv7({ msecs: ms, seq: 0, random: new Uint8Array(16) });
}

// A page of the log in order of id, and which of its rows are their todo's last change and in KV
// according to the log. Served by the unique index on id, and event_todo for each row.
const PAGE = `
SELECT seq, id, owner, todo_id, type, stored IS 1 AND seq = (SELECT max(seq) FROM event AS later
  WHERE later.owner = e.owner AND later.todo_id = e.todo_id AND later.type NOT IN ('ping', 'failed')) AS latest
FROM event AS e WHERE id > ? AND id < ? ORDER BY id LIMIT ?`;

type PageRow = Pick<EventRow, "seq" | "id" | "owner" | "type"> & {
  todo_id: number;
  latest: SqlBoolean;
};

/** A todo on which log and KV differ: the seq in each, null if it has none. */
export type Difference = {
  owner: string;
  todo_id: number;
  log: number | null;
  kv: number | null;
};

/**
 * A page of the log compared with KV. `last`: the id of its last event, null for none; `more`:
 * there may be more.
 */
export type Compared = {
  checked: number;
  different: Difference[];
  last: string | null;
  more: boolean;
};

/**
 * Compares KV with the last changes among the KV_BULK_KEYS events after the id `after` and before `until`:
 * one statement, one bulk read. Changes that the log does not mark as stored are on their way.
 * @throws StorageError
 */
export async function compare(
  env: Pick<Bindings, "DB" | "KV">,
  { after, until }: { after: string; until: string },
): Promise<Compared> {
  const rows = await all<PageRow>(env.DB, PAGE, after, until, KV_BULK_KEYS);
  const latest = rows.filter((row) => row.latest === 1);
  const keys = latest.map((row) => resourceKey(row.owner, row.todo_id));
  const versions = keys.length > 0 ? await readVersions(env.KV, keys) : new Map();
  const different = latest.flatMap(({ owner, todo_id, seq, type }, i) => {
    const kv = versions.get(keys[i] ?? "") ?? null;
    return kv === (type === "deleted" ? null : seq) ? [] : [{ owner, todo_id, log: seq, kv }];
  });
  const more = rows.length === KV_BULK_KEYS;
  return { checked: latest.length, different, last: rows.at(-1)?.id ?? null, more };
}

/**
 * Continues after event `after` up to `until`, and has the cron correct what differs: a put that landed
 * after its lease ran out, from a worker that then died.
 * @returns how many differed
 * @throws StorageError
 */
export async function scrub(
  env: Pick<Bindings, "DB" | "KV">,
  { after, until }: { after: string; until: string },
  budget: Budget,
): Promise<number> {
  let wrong = 0;
  for (let from = after; budget.take(3); ) {
    const { different, last, more } = await compare(env, { after: from, until });
    if (last === null) break;
    wrong += different.length;
    await putAgain(env.DB, different);
    await moveScrub(env.DB, from, last);
    from = last;
    if (!more) break;
  }
  return wrong;
}

/** Marks these changes as not in KV after all: the cron projects them. @throws StorageError */
export async function putAgain(db: D1Database, different: Difference[]): Promise<void> {
  if (different.length === 0) return;
  const seqs = different.map(({ log }) => log);
  await run(
    db,
    `UPDATE event SET stored = 0, due_at = ?2, finished_at = NULL
     WHERE seq IN (SELECT value FROM json_each(?1)) AND stored = 1`,
    ...[JSON.stringify(seqs), Date.now()],
  );
}

/** Which page, and whether to only compare it. */
export type RebuildPage = { dryRun: boolean; cursor?: string | undefined };

/** What a page did. `next`: cursor of the next one, null after the last. */
export type RebuildReport = { checked: number; different: Difference[]; next: string | null };

/**
 * Puts the last change of each todo in the log into KV again if KV has a different one, as many as the
 * budget allows; the cron puts the rest. A todo that the log no longer has is only in KV, and stays.
 * @throws StorageError
 */
export async function rebuildFromLog(
  env: Bindings,
  { dryRun, cursor = "" }: RebuildPage,
  budget: Budget,
): Promise<RebuildReport> {
  const report: RebuildReport = { checked: 0, different: [], next: cursor };
  const until = idAt(Date.now());
  // Put what differs before looking for more.
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
 * Writes a change, with its event, for each todo whose version in KV the log does not know: it was lost
 * when the database was restored to an earlier time. The cron does what follows a commit.
 * @throws StorageError; `BadCursor`
 */
export async function rebuildFromKv(
  env: Bindings,
  { dryRun, cursor }: RebuildPage,
): Promise<RebuildReport> {
  // The log's highest number as of the first page: what is written here must not count.
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

/** The todos for which KV is ahead of the log's last change, or of all that the log ever had. */
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

// `created` if the log says that it was removed. Skips a todo that has changed in the meantime.
const ADOPT = `
INSERT INTO event (id, owner, todo_id, occurred_at, due_at, type, todo, stored)
SELECT value ->> 'event', value ->> 'owner', value ->> 'id', ?2, ?2,
  iif((SELECT type FROM event WHERE seq = value ->> 'log') = 'deleted', 'created', 'updated'),
  value ->> 'todo', 0
FROM json_each(?1) WHERE ${LATEST} IS value ->> 'log'`;

/** Makes KV's todos the log's last changes, due at once. */
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
 * If KV has numbers that the log has not assigned, the log continues far above them, since receivers
 * drop any sequence lower than what they have seen. SQLite's AUTOINCREMENT remembers the row.
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
