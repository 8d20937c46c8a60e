/**
 * D1 and KV: running statements, and their errors, sorted by what helps. Whatever reads or writes either may throw a
 * StorageError: docstrings name only what else is thrown.
 */
import { sleep } from "./run.ts";

/** How often a statement is tried if the connection to D1 is lost. */
const D1_TRIES = 3;
/** Wait before a statement is retried; doubled each time. */
const D1_RETRY_MS = 50;

/**
 * KV or D1 failed. `schema`: a table is missing. `refused`: certainly not done (a constraint, a quota).
 * `lost`: unknown whether it was done.
 */
export class StorageError extends Error {
  override readonly name = "StorageError";
  readonly store: "KV" | "D1";
  readonly reason: "schema" | "refused" | "lost";
  constructor(store: "KV" | "D1", reason: StorageError["reason"], cause: unknown) {
    super(`${store}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.store = store;
    this.reason = reason;
  }
}

/** A statement and its values. */
export type Statement = [sql: string, ...values: unknown[]];

/** All rows of a statement. */
export async function all<T>(db: D1Database, ...[sql, ...values]: Statement): Promise<T[]> {
  const { results } = await onD1(() => prepare(db, sql, values).all<T>());
  return results;
}

/** The first row of a statement, or null. */
export function first<T>(db: D1Database, ...[sql, ...values]: Statement): Promise<T | null> {
  return onD1(() => prepare(db, sql, values).first<T>());
}

/** Runs a statement. @returns how many rows it changed */
export async function run(db: D1Database, ...[sql, ...values]: Statement): Promise<number> {
  const { meta } = await onD1(() => prepare(db, sql, values).run());
  return meta.changes;
}

/** Runs statements as one transaction. @returns the rows of each */
export async function batch<T = unknown>(db: D1Database, statements: Statement[]): Promise<T[][]> {
  const done = await onD1(() =>
    db.batch<T>(statements.map(([sql, ...values]) => prepare(db, sql, values))),
  );
  return done.map(({ results }) => results);
}

/** Does work that is safe to repeat, and retries it if the connection to D1 is lost. */
export async function whileLost<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const lost = error instanceof StorageError && error.reason === "lost";
      if (!lost || attempt === D1_TRIES) throw error;
      await sleep(D1_RETRY_MS * 2 ** (attempt - 1));
    }
  }
}

function prepare(db: D1Database, sql: string, values: unknown[]): D1PreparedStatement {
  return db.prepare(sql).bind(...values);
}

// SQLite's constraints and errors, and D1's limits (developers.cloudflare.com/d1/observability/debug-d1):
// nothing was written. A reset or a time-out proves nothing, nor does an error that we do not know.
const REFUSED =
  /constraint|SQLITE_(ERROR|FULL|MISMATCH|TOOBIG)|syntax error|datatype mismatch|quota|daily .*limit|overloaded|too many requests|maximum DB size/i;
const LOST = /reset|connection lost|time-?out|timed out|internal error/i;

async function onD1<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    throw new StorageError("D1", reasonOf(String(cause)), cause);
  }
}

function reasonOf(message: string): StorageError["reason"] {
  if (/no such (table|column)/i.test(message)) return "schema";
  return !LOST.test(message) && REFUSED.test(message) ? "refused" : "lost";
}

/** Runs a KV call. @throws StorageError instead of KV's own error */
export async function onKv<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    throw new StorageError("KV", "lost", cause);
  }
}

/** The cursor is unknown: the caller's mistake, not an outage. */
export class BadCursor extends Error {
  override readonly name = "BadCursor";
}
