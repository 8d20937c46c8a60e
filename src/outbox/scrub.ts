/** Compares KV with the log: the scrub each change once, a rebuild all of them (docs/design.md). */

import type { Budget } from "../run.ts";
import { all, batch, type Statement } from "../storage.ts";
import { lastChangeOf, type Stores } from "./projection.ts";
import type { EventRow, SqlBoolean } from "./rows.ts";
import { KV_BULK_KEYS, readVersions, valueKey } from "./store.ts";

// A page of the log in order of id, and which of its rows are their resource's last change and in KV according to the
// log. Served by the unique index on id, and event_resource for each row.
const PAGE = `
SELECT seq, id, owner, resource, resource_id, change, projected IS 1 AND seq = ${lastChangeOf("e")} AS latest
FROM event AS e WHERE id > ? AND id < ? ORDER BY id LIMIT ?`;

type PageRow = Pick<EventRow, "seq" | "id" | "owner" | "change"> & {
  resource: string;
  resource_id: string;
  latest: SqlBoolean;
};

/** A resource on which log and KV differ: the seq in each, null if it has none. */
export type Difference = {
  owner: string;
  resource: string;
  resource_id: string;
  log: number | null;
  kv: number | null;
};

/** A page of the log compared with KV. `last`: the id of its last event, null for none; `more`: there may be more. */
export type Compared = {
  checked: number;
  different: Difference[];
  last: string | null;
  more: boolean;
};

/**
 * Compares KV with the last changes among the KV_BULK_KEYS events after the id `after` and before `until`: one
 * statement, one bulk read. Changes that the log does not mark as projected are on their way.
 */
export async function compare(
  { env, outbox }: Stores,
  { after, until }: { after: string; until: string },
): Promise<Compared> {
  const rows = await all<PageRow>(env.DB, PAGE, after, until, KV_BULK_KEYS);
  const latest = rows.flatMap((row) => {
    const resource = row.latest === 1 ? outbox.resources.get(row.resource) : undefined;
    return resource ? [{ ...row, key: valueKey(resource, row.owner, row.resource_id) }] : [];
  });
  const keys = latest.map(({ key }) => key);
  const versions = keys.length > 0 ? await readVersions(env.KV, keys) : new Map<string, number>();
  const different = latest.flatMap(({ owner, resource, resource_id, seq, change, key }) => {
    const kv = versions.get(key) ?? null;
    return kv === (change === "delete" ? null : seq)
      ? []
      : [{ owner, resource, resource_id, log: seq, kv }];
  });
  const more = rows.length === KV_BULK_KEYS;
  return { checked: latest.length, different, last: rows.at(-1)?.id ?? null, more };
}

/**
 * Compares the changes in a range of event ids with KV, each once; what differs is put again by the cron's projection.
 * The place is saved only after the repair.
 */
export async function scrub(
  stores: Stores,
  { after, until }: { after: string; until: string },
  budget: Budget,
): Promise<{ checked: number; repaired: number }> {
  const report = { checked: 0, repaired: 0 };
  const { DB } = stores.env;
  // The page, KV, the repair with the place.
  for (let place = after; budget.left() >= 3; ) {
    const { checked, different, last, more } = await compare(stores, { after: place, until });
    report.checked += checked;
    report.repaired += different.length;
    if (last === null) break;
    // The place moves if no other run is ahead.
    const move = "UPDATE cron_state SET scrub_after = ?2 WHERE scrub_after = ?1";
    await batch(DB, [...putAgain(different, Date.now()), [move, place, last]]);
    place = last;
    if (!more) break;
  }
  return report;
}

/** Marks changes as not projected, due at once: the cron projects them. */
export function putAgain(different: Difference[], now: number): Statement[] {
  if (different.length === 0) return [];
  const seqs = JSON.stringify(different.map(({ log }) => log));
  const sql = `UPDATE event SET projected = 0, due_at = ?2
    WHERE seq IN (SELECT value FROM json_each(?1)) AND projected = 1`;
  return [[sql, seqs, now]];
}
