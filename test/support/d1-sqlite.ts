// A double of D1 over node:sqlite, for tests that run the Worker's code in Node: crash matrix, races,
// the example receiver. test/contract/d1-double.test.ts compares it with workerd's D1.
import fs from "node:fs";
import path from "node:path";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { errorMessage, parameterNames } from "./d1-sql.ts";

/** One call to D1, before it runs. A batch is one call, as it is one request. */
export type D1Call = { kind: "query" | "batch" | "exec"; sql: string[] };

/**
 * Wraps every call. `run` runs it synchronously and returns its answer, so a test can cut before it
 * (never settle) or after it (run, never settle), lose its answer (run, then throw
 * `new Error("Network connection lost.")`, which the caller sees as D1's own error), or wait for a
 * scheduler's turn on either side.
 */
export type D1Around = <T>(call: D1Call, run: () => T) => Promise<T>;

/** `path`: a file, `:memory:` by default. `migrations`: a folder whose *.sql run in name order. */
export type D1Options = { path?: string; migrations?: string; around?: D1Around };

/**
 * The double. `view`: the same database as one invocation of a Worker sees it, with its own `around`.
 * `sqlite`: the handle beneath, for a test's own queries.
 */
export type D1Double = {
  db: D1Database;
  view: (around: D1Around) => D1Database;
  sqlite: DatabaseSync;
  close: () => void;
};

/** The limits that workerd sets on its SQLite (src/workerd/util/sqlite.c++), as node:sqlite names them. */
const LIMITS = {
  length: 2_200_000,
  sqlLength: 100_000,
  column: 100,
  exprDepth: 100,
  compoundSelect: 500,
  vdbeOp: 25_000,
  functionArg: 32,
  attach: 0,
  likePatternLength: 50,
  variableNumber: 100,
  triggerDepth: 10,
};

const NO_TRANSACTION =
  "To execute a transaction, please use the state.storage.transaction() or state.storage.transactionSync() APIs instead of the SQL BEGIN TRANSACTION or SAVEPOINT statements.";

type Bound = { sql: string; params: unknown[] };
type Rows = { columns: string[]; rows: unknown[][]; meta: D1Meta & Record<string, unknown> };
type Prepared = { statement: StatementSync; names: (string | null)[]; columns: string[] };
type Statement = D1PreparedStatement & { bound: Bound };

/**
 * Opens a D1 double. Statements run one at a time, each in its own turn, a batch in one
 * transaction; parameters, results, `meta.changes`, `meta.last_row_id` and errors are D1's.
 * Unlike D1's, `meta.rows_read` counts rows returned, `meta.rows_written` is `changes`, durations are 0.
 */
export function openD1(options: D1Options = {}): D1Double {
  const sqlite = new DatabaseSync(options.path ?? ":memory:", {
    enableForeignKeyConstraints: true,
    enableDoubleQuotedStringLiterals: true,
    limits: LIMITS,
  } as object);
  // At worst a test kills the process, which SQLite survives without fsync.
  if (options.path) sqlite.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
  if (options.migrations) {
    for (const file of fs.readdirSync(options.migrations).sort()) {
      if (!file.endsWith(".sql")) continue;
      sqlite.exec(fs.readFileSync(path.join(options.migrations, file), "utf8"));
    }
  }
  const run = runner(sqlite);
  const view = (around: D1Around) => database(run, around);
  const db = view(options.around ?? (async (_call, go) => go()));
  return { db, view, sqlite, close: () => sqlite.close() };
}

/** D1's client, the binding that a Worker holds, over whatever runs the statements. */
function database(run: (statements: Bound[]) => Rows[], around: D1Around): D1Database {
  /** One call: yields first, since D1 is remote, and wraps errors as D1 does. */
  const send = async <T>(call: D1Call, go: () => T): Promise<T> => {
    await null;
    try {
      return await around(call, go);
    } catch (error) {
      const message = errorMessage(error);
      throw new Error(`D1_ERROR: ${message}`, { cause: new Error(message) });
    }
  };

  const query = async (bound: Bound): Promise<Rows> => {
    const [result] = await send({ kind: "query", sql: [bound.sql] }, () => run([bound]));
    return result!;
  };

  const statement = (bound: Bound): Statement => {
    const all = async () => objects(await query(bound));
    return {
      bound,
      bind: (...values: unknown[]) => statement({ sql: bound.sql, params: values.map(bindable) }),
      all,
      run: all,
      first: async (column?: string) => {
        const [row] = (await all()).results as Record<string, unknown>[];
        if (!row) return null;
        if (column === undefined) return row;
        if (row[column] === undefined) throw notFound(column);
        return row[column];
      },
      raw: async (how?: { columnNames?: boolean }) => {
        const { columns, rows } = await query(bound);
        return how?.columnNames ? [columns, ...rows] : rows;
      },
    } as unknown as Statement;
  };

  const prepare = (sql: string) => statement({ sql: String(sql), params: [] });
  const batch = async (statements: D1PreparedStatement[]) => {
    const bound = statements.map((each) => (each as Statement).bound);
    const call: D1Call = { kind: "batch", sql: bound.map(({ sql }) => sql) };
    return (await send(call, () => run(bound))).map(objects);
  };
  const exec = async (sql: string) => {
    const lines = sql.trim().split("\n");
    try {
      const call: D1Call = { kind: "exec", sql: lines };
      await send(call, () => run(lines.map((line) => ({ sql: line, params: [] }))));
    } catch (error) {
      const message = `Error in line 1: ${lines[0]}: ${((error as Error).cause as Error).message}`;
      throw new Error(`D1_EXEC_ERROR: ${message}`, { cause: new Error(message) });
    }
    return { count: lines.length, duration: 0 };
  };
  const withSession = () => {
    let calls = 0;
    const counted = <T>(value: T): T => {
      calls++;
      return value;
    };
    return {
      prepare: (sql: string) => counted(prepare(sql)),
      batch: (statements: D1PreparedStatement[]) => counted(batch(statements)),
      getBookmark: () => (calls === 0 ? null : `bookmark-${calls}`),
    };
  };

  return { prepare, batch, exec, withSession } as unknown as D1Database;
}

/** Runs statements in one transaction (a single one without) and returns what each returned. */
function runner(sqlite: DatabaseSync): (statements: Bound[]) => Rows[] {
  const cache = new Map<string, Prepared>();
  const state = sqlite.prepare("SELECT total_changes() AS changes, last_insert_rowid() AS id");

  const prepare = (sql: string): Prepared => {
    if (/^\s*(BEGIN|SAVEPOINT)\b/i.test(sql)) throw new Error(NO_TRANSACTION);
    if (sql.replace(/--[^\n]*/g, "").trim() === "") {
      throw new Error("SQL code did not contain a statement.");
    }
    const statement = sqlite.prepare(sql);
    statement.setReturnArrays(true);
    statement.setReadBigInts(true);
    const columns = statement.columns().map(({ name }) => name);
    return { statement, names: parameterNames(statement.sourceSQL), columns };
  };

  /** Compiles the last statement of a text, having run those before it, which take no parameters. */
  const compile = (sql: string): Prepared => {
    const cached = cache.get(sql);
    if (cached) return cached;
    if (Buffer.byteLength(sql) > LIMITS.sqlLength)
      throw new Error("statement too long: SQLITE_TOOBIG");
    // SQLite recompiles a statement whenever a bare LIMIT parameter is bound: 80 µs, when running it takes 3.
    const text = sql.replace(/\bLIMIT (\?\d*)/g, "LIMIT (0 + $1)");
    let last = prepare(text);
    let rest = text.slice(last.statement.sourceSQL.length); // SQLite compiles one, and says where it ended
    if (rest.trim() === "") {
      // A schema change changes what `SELECT *` returns.
      if (/^\s*(CREATE|ALTER|DROP)\b/i.test(sql)) cache.clear();
      else cache.set(sql, last);
    }
    while (rest.trim() !== "") {
      execute(last, []);
      last = prepare(rest);
      rest = rest.slice(last.statement.sourceSQL.length);
    }
    return last;
  };

  const execute = ({ statement, names }: Prepared, params: unknown[]): unknown[][] => {
    if (params.length !== names.length) {
      throw new Error("Wrong number of parameter bindings for SQL query.");
    }
    const rows = statement.all(...inputs(names, params)) as unknown as unknown[][];
    for (const row of rows) for (let i = 0; i < row.length; i++) row[i] = output(row[i]);
    return rows;
  };

  const runOne = ({ sql, params }: Bound): Rows => {
    const before = state.get() as { changes: number };
    const last = compile(sql);
    const rows = execute(last, params);
    const after = state.get() as { changes: number; id: number };
    const changes = after.changes - before.changes;
    const counts = { changes, rows_read: rows.length, rows_written: changes };
    const fixed = { duration: 0, size_after: 0, served_by: "node:sqlite", served_by_primary: true };
    const meta = { ...fixed, ...counts, last_row_id: after.id, changed_db: changes > 0 };
    return { columns: last.columns, rows, meta };
  };

  return (statements) => {
    const given = statements.filter(({ sql }) => sql.replace(/^\s+--.*/gm, "").trim() !== "");
    if (given.length === 0) throw new Error("No SQL statements detected.");
    if (given.length === 1 && !given[0]!.sql.includes(";")) return [runOne(given[0]!)];
    sqlite.exec("BEGIN IMMEDIATE");
    try {
      const results = given.map(runOne);
      sqlite.exec("COMMIT");
      return results;
    } catch (error) {
      sqlite.exec("ROLLBACK");
      throw error;
    }
  };
}

/** Parameters as node:sqlite takes them: an object for the named ones, then the others in order. */
function inputs(names: (string | null)[], params: unknown[]): SQLInputValue[] {
  const named: Record<string, SQLInputValue> = {};
  const plain: SQLInputValue[] = [];
  for (const [i, name] of names.entries()) {
    const value = Array.isArray(params[i]) ? new Uint8Array(params[i]) : (params[i] as string);
    if (name === null) plain.push(value);
    else named[name] = value;
  }
  return Object.keys(named).length === 0 ? plain : [named as never, ...plain];
}

/** A returned value: every number is a double, a blob is an array of bytes. */
function output(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  return value instanceof Uint8Array ? Array.from(value) : value;
}

/** A bound value as D1 sends it, or D1's D1_TYPE_ERROR. A number is always bound as a double. */
function bindable(value: unknown): unknown {
  if (typeof value === "string" || value === null) return value;
  // It is sent as JSON, so NaN and Infinity arrive as NULL.
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "boolean") return value ? 1 : 0;
  if (value instanceof ArrayBuffer) return Array.from(new Uint8Array(value));
  if (ArrayBuffer.isView(value)) {
    return Array.from(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  }
  const isByte = (byte: unknown) => typeof byte === "number" && byte >= 0 && byte < 256;
  if (Array.isArray(value) && value.every(isByte)) return value;
  const message = `Type '${typeof value}' not supported for value '${value}'`;
  throw new Error(`D1_TYPE_ERROR: ${message}`, { cause: new Error(message) });
}

/** Rows as D1's `all` returns them: objects (of two columns with the same name, the last wins). */
function objects({ columns, rows, meta }: Rows) {
  const results = rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]])));
  return { success: true as const, meta, results };
}

function notFound(column: string): Error {
  return new Error(`D1_COLUMN_NOTFOUND: Column not found (${column})`, {
    cause: new Error("Column not found"),
  });
}
