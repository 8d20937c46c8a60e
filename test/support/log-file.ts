/** Reads the event log from SQLite's file while no Worker runs. */
import { readdirSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

/** The columns that the checks need. */
export type LogRow = {
  seq: number;
  id: string;
  change: string | null;
  resource_id: string | null;
  /** The todo's JSON after the change; null when it was deleted. */
  data: string | null;
};

/**
 * The whole log, oldest first; also ends every lease and wait in it.
 * @param state wrangler's state directory; no workerd may be running on it
 */
export function readLogAndLetTimePass(state: string): LogRow[] {
  const folder = path.join(state, "v3/d1/miniflare-D1DatabaseObject");
  const file = readdirSync(folder).find((name) => /^[0-9a-f]+\.sqlite$/.test(name));
  if (file === undefined) throw new Error(`No D1 database in ${folder}`);
  const db = new DatabaseSync(path.join(folder, file));
  try {
    db.exec(`UPDATE event SET due_at = 0 WHERE due_at IS NOT NULL;
      UPDATE delivery SET due_at = 0 WHERE status = 'pending'; UPDATE cron_state SET breaker_until = 0`);
    const sql = "SELECT seq, id, change, resource_id, data FROM event ORDER BY seq";
    return db.prepare(sql).all() as LogRow[];
  } finally {
    db.close();
  }
}

/** The todos that the log adds up to, by id. */
export function lastWords(log: LogRow[]): Map<number, unknown> {
  const todos = new Map<number, unknown>();
  for (const { change, resource_id, data } of log) {
    if (change === null) continue;
    if (data === null) todos.delete(Number(resource_id));
    else todos.set(Number(resource_id), JSON.parse(data));
  }
  return todos;
}
