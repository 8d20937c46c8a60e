// The local Convoy's state: one SQLite database, in a file for `npm run dev`, in memory for tests.
import { mkdirSync } from "node:fs";
import path from "node:path";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS endpoint (
  uid TEXT PRIMARY KEY, owner_id TEXT NOT NULL, name TEXT NOT NULL, url TEXT NOT NULL, description TEXT NOT NULL,
  http_timeout_s INTEGER NOT NULL, status TEXT NOT NULL CHECK (status IN ('active', 'paused', 'inactive')),
  advanced_signatures INTEGER NOT NULL, rate_limit INTEGER NOT NULL, rate_limit_duration_s INTEGER NOT NULL,
  secrets TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT,
  authentication TEXT NOT NULL DEFAULT '{}', mtls_client_cert TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS endpoint_owner ON endpoint (owner_id, uid);
CREATE TABLE IF NOT EXISTS subscription (
  uid TEXT PRIMARY KEY, name TEXT NOT NULL, endpoint_id TEXT NOT NULL, event_types TEXT NOT NULL,
  created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS subscription_endpoint ON subscription (endpoint_id);
-- swallowed: answered 201, then forgotten (a fault).
CREATE TABLE IF NOT EXISTS event (
  uid TEXT PRIMARY KEY, endpoint_id TEXT NOT NULL,
  event_type TEXT NOT NULL, idempotency_key TEXT NOT NULL, is_duplicate INTEGER NOT NULL DEFAULT 0,
  data TEXT NOT NULL, custom_headers TEXT NOT NULL,
  status TEXT NOT NULL, failure_reason TEXT, acknowledged_at TEXT NOT NULL, created_at TEXT NOT NULL,
  processed INTEGER NOT NULL DEFAULT 0, swallowed INTEGER NOT NULL DEFAULT 0, hidden INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS event_waiting ON event (uid) WHERE processed = 0 AND swallowed = 0;
CREATE INDEX IF NOT EXISTS event_key ON event (idempotency_key);
-- message: what makes it one message to its receiver (event_id of the body, else the key). hidden: cleared from the inbox.
-- strand: how it was stranded, so that nothing sends it again by itself (a fault).
CREATE TABLE IF NOT EXISTS delivery (
  uid TEXT PRIMARY KEY, event_id TEXT NOT NULL, endpoint_id TEXT NOT NULL, subscription_id TEXT NOT NULL,
  event_type TEXT NOT NULL, idempotency_key TEXT NOT NULL, data TEXT NOT NULL, headers TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('Scheduled', 'Processing', 'Discarded', 'Failure', 'Success', 'Retry')),
  attempts INTEGER NOT NULL DEFAULT 0, successes INTEGER NOT NULL DEFAULT 0, next_send_at INTEGER NOT NULL,
  latency_s REAL NOT NULL DEFAULT 0, message TEXT NOT NULL, repeats INTEGER NOT NULL DEFAULT 0,
  url TEXT NOT NULL, sent TEXT, received_at TEXT, last_error TEXT,
  acknowledged_at TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, hidden INTEGER NOT NULL DEFAULT 0,
  strand TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS delivery_open ON delivery (uid) WHERE status IN ('Scheduled', 'Processing', 'Retry');
CREATE INDEX IF NOT EXISTS delivery_created ON delivery (created_at, uid);
CREATE INDEX IF NOT EXISTS delivery_endpoint ON delivery (endpoint_id, uid);
CREATE INDEX IF NOT EXISTS delivery_status ON delivery (status, uid);
CREATE INDEX IF NOT EXISTS delivery_key ON delivery (idempotency_key);
CREATE INDEX IF NOT EXISTS delivery_event ON delivery (event_id);
CREATE INDEX IF NOT EXISTS delivery_message ON delivery (message, endpoint_id);
CREATE TABLE IF NOT EXISTS attempt (
  uid TEXT PRIMARY KEY, delivery_id TEXT NOT NULL, view TEXT NOT NULL, sent TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS attempt_delivery ON attempt (delivery_id);
CREATE TABLE IF NOT EXISTS event_type (
  uid TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, category TEXT NOT NULL, description TEXT NOT NULL,
  json_schema TEXT NOT NULL, deprecated_at TEXT
) STRICT;
`;

/** All tables; a reset empties them. */
const TABLES = ["endpoint", "subscription", "event", "delivery", "attempt", "event_type"] as const;
/** Counts the changes of SCHEMA: a file of another version is emptied. */
const SCHEMA_VERSION = 2;

type Table = (typeof TABLES)[number];
type Columns = Record<string, SQLInputValue>;

/** SQL in, rows out; each statement is prepared once. */
export type Database = ReturnType<typeof openDatabase>;

/** Opens the database in `file`, creating it if needed (":memory:": in memory). Throws what SQLite and mkdir throw. */
export function openDatabase(file: string) {
  if (file !== ":memory:") mkdirSync(path.dirname(file), { recursive: true });
  const db = new DatabaseSync(file);
  // WAL with synchronous NORMAL: a killed process loses nothing, and a commit does not wait for the disk.
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 2000;");
  const version = db.prepare("PRAGMA user_version").get()?.user_version;
  if (version !== SCHEMA_VERSION)
    db.exec(TABLES.map((table) => `DROP TABLE IF EXISTS ${table};`).join(""));
  db.exec(`${SCHEMA} PRAGMA user_version = ${SCHEMA_VERSION};`);
  const prepared = new Map<string, StatementSync>();
  const statement = (sql: string): StatementSync => {
    const made = prepared.get(sql) ?? db.prepare(sql);
    prepared.set(sql, made);
    return made;
  };
  /** Runs a writing statement; returns the number of rows changed. */
  const run = (sql: string, ...values: SQLInputValue[]) =>
    Number(statement(sql).run(...values).changes);
  return {
    get: <Row>(sql: string, ...values: SQLInputValue[]) =>
      statement(sql).get(...values) as Row | undefined,
    all: <Row>(sql: string, ...values: SQLInputValue[]) => statement(sql).all(...values) as Row[],
    run,
    find: <Row>(table: Table, uid: string) =>
      statement(`SELECT * FROM ${table} WHERE uid = ?`).get(uid) as Row | undefined,
    insert(table: Table, row: Columns) {
      const names = Object.keys(row);
      const marks = names.map(() => "?").join(", ");
      run(`INSERT INTO ${table} (${names.join(", ")}) VALUES (${marks})`, ...Object.values(row));
    },
    /** Changes the given columns of the row with that uid. */
    update(table: Table, uid: string, columns: Columns) {
      const set = Object.keys(columns).map((name) => `${name} = ?`);
      run(`UPDATE ${table} SET ${set.join(", ")} WHERE uid = ?`, ...Object.values(columns), uid);
    },
    /** Does all of `work` or nothing. `work` is synchronous; do not nest. */
    transaction<T>(work: () => T): T {
      db.exec("BEGIN IMMEDIATE");
      try {
        const result = work();
        db.exec("COMMIT");
        return result;
      } catch (error) {
        db.exec("ROLLBACK");
        throw error;
      }
    },
    empty: () => db.exec(TABLES.map((table) => `DELETE FROM ${table};`).join("")),
    close() {
      prepared.clear();
      if (db.isOpen) db.close();
    },
  };
}
