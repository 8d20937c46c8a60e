/** Reads the event log from SQLite's file while no Worker runs. */
import { readdirSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

/** The columns that the checks need. */
export type LogRow = {
  seq: number;
  id: string;
  type: string;
  todo_id: number | null;
  /** The todo's JSON after the change; null when it was deleted. */
  todo: string | null;
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
    db.exec("UPDATE event SET due_at = 0 WHERE due_at IS NOT NULL");
    const rows = db.prepare("SELECT seq, id, type, todo_id, todo FROM event ORDER BY seq").all();
    return rows as LogRow[];
  } finally {
    db.close();
  }
}

/** The todos that the log adds up to, by id. */
export function lastWords(log: LogRow[]): Map<number, unknown> {
  const todos = new Map<number, unknown>();
  for (const { type, todo_id, todo } of log) {
    if (todo_id === null || type === "failed") continue;
    if (todo === null) todos.delete(todo_id);
    else todos.set(todo_id, JSON.parse(todo));
  }
  return todos;
}
