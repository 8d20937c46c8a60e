/** Makes all resources the same in KV and in the log, after either was restored (docs/operate.md). */
import { v7 as uuidv7 } from "uuid";
import type { Budget } from "../run.ts";
import { all, BadCursor, batch, first, type Statement } from "../storage.ts";
import { projectDue } from "./project.ts";
import type { Stores } from "./projection.ts";
import type { AnyResource, Registry } from "./resource.ts";
import { compare, type Difference, putAgain } from "./scrub.ts";
import { KV_BULK_KEYS, listAll, readLarge, type Stored } from "./store.ts";
import { idAt } from "./time-range.ts";
import { deliverAll } from "./write.ts";

/** Which page, and whether to only compare it. */
export type RebuildPage = { dryRun: boolean; cursor?: string | undefined };

/** What a page did. `next`: cursor of the next one, null after the last. */
export type RebuildReport = { checked: number; different: Difference[]; next: string | null };

// Pages of KV_BULK_KEYS events that one call compares.
const PAGES = 10;
// Most values in KV that one call compares: one KV list.
const KEYS_MAX = 1_000;
// After a restore the log's numbers continue this far above KV's: more than can have been lost.
const LEAP = 1_000_000_000;

/**
 * Puts the last change of each resource in the log into KV again if KV has a different one, as many as the budget
 * allows; the cron puts the rest. What the log no longer has is only in KV, and stays.
 */
export async function rebuildFromLog(
  stores: Stores,
  { dryRun, cursor = "" }: RebuildPage,
  budget: Budget,
): Promise<RebuildReport> {
  const report: RebuildReport = { checked: 0, different: [], next: cursor };
  const until = idAt(Date.now());
  // Put what differs before looking for more.
  for (let page = 0; page < PAGES && report.different.length === 0; page++) {
    if (budget.left() < 3) break;
    const found = await compare(stores, { after: report.next ?? "", until });
    report.checked += found.checked;
    report.different.push(...found.different);
    report.next = found.more ? found.last : null;
    if (report.next === null) break;
  }
  if (dryRun || report.different.length === 0) return report;
  await leapAbove(stores.env.DB, report.different);
  await batch(stores.env.DB, putAgain(report.different, Date.now()));
  await projectDue(stores, budget);
  return report;
}

/**
 * Writes a change, with its event and deliveries, for each value whose version in KV the log does not know: it was lost
 * when the database was restored to an earlier time. The cron does what follows a commit.
 * @throws BadCursor
 */
export async function rebuildFromKv(
  { env, outbox: { resources } }: Stores,
  { dryRun, cursor }: RebuildPage,
): Promise<RebuildReport> {
  const place = await placeOf(env.DB, resources, cursor);
  const { resource, highest, at } = place;
  const listed = await listAll(env.KV, resource, { limit: KEYS_MAX, cursor: at });
  const ahead = await aheadOf(env.DB, resource, listed.values, highest);
  const different = ahead.map(({ owner, id, seq, log }) => {
    return { owner, resource: resource.name, resource_id: id, log, kv: seq };
  });
  if (!dryRun && ahead.length > 0) {
    await leapAbove(env.DB, different);
    for (let start = 0; start < ahead.length; start += KV_BULK_KEYS) {
      await adopt(env, resource, ahead.slice(start, start + KV_BULK_KEYS));
    }
  }
  return {
    checked: listed.values.length,
    different,
    next: nextOf(place, resources, listed.cursor),
  };
}

/** The resource that a page is about, the log's highest number as of the first page, and KV's cursor. */
type Place = { resource: AnyResource; highest: number; at?: string | undefined };

// What is written by earlier pages must not count as known: hence the number in the cursor.
async function placeOf(
  db: D1Database,
  resources: Registry,
  cursor: string | undefined,
): Promise<Place> {
  if (cursor === undefined) {
    const [resource] = resources.values();
    if (!resource) throw new BadCursor();
    return { resource, highest: await highestOf(db) };
  }
  const [, highest, name = "", at] = /^(\d{1,15}):([a-z0-9_]+):(.*)$/s.exec(cursor) ?? [];
  const resource = resources.get(name);
  if (!resource) throw new BadCursor();
  return { resource, highest: Number(highest), at: at || undefined };
}

function nextOf(
  { resource, highest }: Place,
  resources: Registry,
  cursor: string | null,
): string | null {
  if (cursor !== null) return `${highest}:${resource.name}:${cursor}`;
  const names = [...resources.keys()];
  const following = names[names.indexOf(resource.name) + 1];
  return following === undefined ? null : `${highest}:${following}:`;
}

type Ahead = Stored & { log: number | null };

// ?1 the values, ?2 the resource's name. Served by event_resource, once for each.
const LATEST = `(SELECT max(seq) FROM event WHERE owner = value ->> 'owner' AND resource = ?2
  AND resource_id = value ->> 'id' AND change IS NOT NULL)`;

/** The values for which KV is ahead of the log's last change, or of all that the log ever had. */
async function aheadOf(
  db: D1Database,
  { name }: AnyResource,
  values: Stored[],
  highest: number,
): Promise<Ahead[]> {
  if (values.length === 0) return [];
  const keys = JSON.stringify(values.map(({ owner, id }) => ({ owner, id })));
  const sql = `SELECT key AS at, ${LATEST} AS log FROM json_each(?1)`;
  const rows = await all<{ at: number; log: number | null }>(db, sql, keys, name);
  const logs = new Map(rows.map(({ at, log }) => [at, log]));
  return values.flatMap((value, at) => {
    const log = logs.get(at) ?? null;
    return value.seq > (log ?? highest) ? [{ ...value, log }] : [];
  });
}

// A creation if the log says that it was removed. Skips what has changed in the meantime.
const ADOPT = `
INSERT INTO event (id, owner, resource, resource_id, occurred_at, due_at, change, type, data, projected)
SELECT value ->> 'event', value ->> 'owner', ?2, value ->> 'id', ?3, ?3,
  iif(was_there, 'update', 'create'), iif(was_there, ?5, ?4), value ->> 'data', 0
FROM (SELECT value, coalesce((SELECT change FROM event WHERE seq = value ->> 'log') <> 'delete', 1) AS was_there
  FROM json_each(?1)) WHERE ${LATEST} IS value ->> 'log'`;

/** Makes KV's values the log's last changes, due at once. */
async function adopt(env: Stores["env"], resource: AnyResource, ahead: Ahead[]): Promise<void> {
  const large = await readLarge(
    env.KV,
    ahead.flatMap(({ key, data }) => (data ? [] : [key])),
  );
  const now = Date.now();
  const changes = ahead.flatMap(({ key, owner, id, log, data }) => {
    const value = data ?? large.get(key);
    const event = uuidv7({ msecs: now });
    return value ? [{ event, owner, id, log, data: JSON.stringify(value) }] : [];
  });
  const { created, updated } = resource.verbs;
  const insert: Statement = [
    ADOPT,
    ...[JSON.stringify(changes), resource.name, now, created.type, updated.type],
  ];
  await batch(env.DB, [
    insert,
    deliverAll(
      changes.map(({ event }) => event),
      now,
    ),
  ]);
}

async function highestOf(db: D1Database): Promise<number> {
  const sql = "SELECT seq FROM sqlite_sequence WHERE name = 'event'";
  return (await first<{ seq: number }>(db, sql))?.seq ?? 0;
}

/**
 * If KV has numbers that the log has not assigned, the log continues far above them, since receivers drop any sequence
 * lower than what they have seen. SQLite's AUTOINCREMENT remembers the row.
 */
async function leapAbove(db: D1Database, different: Difference[]): Promise<void> {
  const highest = Math.max(...different.map(({ kv }) => kv ?? 0));
  if (highest <= (await highestOf(db))) return;
  const seq = highest + LEAP;
  const sql =
    "INSERT INTO event (seq, id, owner, type, occurred_at) VALUES (?1, ?2, '', 'ping', 0)";
  await batch(db, [
    [sql, seq, uuidv7()],
    ["DELETE FROM event WHERE seq = ?", seq],
  ]);
}
