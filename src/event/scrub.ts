/** KV stays true: every change is compared with KV once, a while after it (docs/design.md, section 5). */
import { v7 as uuidv7 } from "uuid";
import type { Budget } from "../budget.ts";
import { type Bindings, KV_BULK_KEYS } from "../config.ts";
import { all, run } from "../storage.ts";
import { readVersions, todoKey } from "../todo/kv.ts";
import { moveScrub } from "./cron-state.ts";
import type { EventRow } from "./table.ts";

/** The smallest event id of a time (ms): ids sort by time. */
export function idAt(ms: number): string {
  return uuidv7({ msecs: ms, seq: 0, random: new Uint8Array(16) });
}

// A page of the log in the order of id, and which of its rows are their todo's last change, in KV as
// far as the log says. Served by the unique index of id, and event_todo for each row.
const PAGE = `
SELECT seq, id, owner, todo_id, type, stored = 1 AND seq = (SELECT max(seq) FROM event AS later
  WHERE later.owner = e.owner AND later.todo_id = e.todo_id AND later.type NOT IN ('ping', 'failed')) AS latest
FROM event AS e WHERE id > ? AND id < ? ORDER BY id LIMIT ?`;

type PageRow = Pick<EventRow, "seq" | "id" | "owner" | "type"> & {
  todo_id: number;
  latest: 0 | 1 | null;
};

/** A todo of which log and KV say different things: the seq of each, null where it has nothing. */
export type Difference = {
  owner: string;
  todo_id: number;
  log: number | null;
  kv: number | null;
};

/** A page of the log beside KV. `last`: the id of its last event, null for none; `more`: there may be more. */
export type Compared = {
  checked: number;
  different: Difference[];
  last: string | null;
  more: boolean;
};

/**
 * Compares KV with the last changes among the KV_BULK_KEYS events after the id `after` and before `until`:
 * one statement, one bulk read. Changes that the log does not take for stored are on their way.
 * @throws StorageError
 */
export async function compare(
  env: Pick<Bindings, "DB" | "KV">,
  { after, until }: { after: string; until: string },
): Promise<Compared> {
  const rows = await all<PageRow>(env.DB, PAGE, after, until, KV_BULK_KEYS);
  const latest = rows.filter((row) => row.latest === 1);
  const keys = latest.map((row) => todoKey(row.owner, row.todo_id));
  const versions = keys.length > 0 ? await readVersions(env.KV, keys) : new Map();
  const different = latest.flatMap(({ owner, todo_id, seq, type }, i) => {
    const kv = versions.get(keys[i] ?? "") ?? null;
    return kv === (type === "deleted" ? null : seq) ? [] : [{ owner, todo_id, log: seq, kv }];
  });
  const more = rows.length === KV_BULK_KEYS;
  return { checked: latest.length, different, last: rows.at(-1)?.id ?? null, more };
}

/**
 * Goes on after event `after` and up to `until`, and has the cron put right what differs: a put that
 * landed after its lease ran out, of a worker that died then.
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

/** Says that KV does not hold these changes after all: the cron projects them. @throws StorageError */
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
