// The D1 double against workerd's D1: both must answer the same calls alike.
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { getPlatformProxy } from "wrangler";
import { openD1 } from "../support/d1-sqlite.ts";

const root = path.resolve(import.meta.dirname, "../..");
const double = openD1({ migrations: path.join(root, "migrations") });
let real: D1Database;
let stop: () => Promise<void>;

const SCHEMA = [
  "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE, n INTEGER NOT NULL DEFAULT 0 CHECK (n < 9)) STRICT",
  "CREATE TABLE child (t INTEGER REFERENCES t (id))",
  "INSERT INTO t (v) VALUES ('a'), ('b'), ('c')",
];

beforeAll(async () => {
  const proxy = await getPlatformProxy<Env>({
    configPath: path.join(root, "wrangler.toml"),
    persist: false,
  });
  real = proxy.env.DB;
  stop = proxy.dispose;
  for (const db of [real, double.db]) {
    for (const sql of SCHEMA) await db.prepare(sql).run();
  }
});

afterAll(async () => {
  await stop?.();
  double.close();
});

const bytes = new Uint8Array([1, 2, 255]);
const CALLS: [string, (db: D1Database) => Promise<unknown>][] = [
  ["all returns objects", (db) => db.prepare("SELECT * FROM t").all()],
  ["of two columns with one name the last stays", (db) => db.prepare("SELECT 1 a, 2 a").all()],
  ["raw returns arrays", (db) => db.prepare("SELECT id, v, id FROM t").raw()],
  ["raw names columns", (db) => db.prepare("SELECT id, v FROM t").raw({ columnNames: true })],
  [
    "raw of nothing names columns",
    (db) => db.prepare("SELECT id FROM t WHERE 0").raw({ columnNames: true }),
  ],
  ["first returns a row", (db) => db.prepare("SELECT * FROM t").first()],
  ["first returns a column", (db) => db.prepare("SELECT * FROM t").first("v")],
  ["first of nothing is null", (db) => db.prepare("SELECT * FROM t WHERE 0").first("v")],
  ["first of NULL is null", (db) => db.prepare("SELECT NULL a").first("a")],
  ["first of no such column throws", (db) => db.prepare("SELECT 1 a").first("b")],
  [
    "a number is bound as a double",
    (db) => db.prepare("SELECT typeof(?) a, ? || '' b, json_array(?) c").bind(1, 1, 1).all(),
  ],
  ["booleans are numbers", (db) => db.prepare("SELECT ? a, ? b").bind(true, false).all()],
  [
    "NaN and Infinity are NULL",
    (db) => db.prepare("SELECT ? a, ? b").bind(Number.NaN, Number.POSITIVE_INFINITY).all(),
  ],
  [
    "blobs come back as arrays",
    (db) => db.prepare("SELECT ? a, typeof(?) b").bind(bytes, bytes.buffer).all(),
  ],
  [
    "an array of bytes is a blob",
    (db) => db.prepare("SELECT ? a, typeof(?1) b").bind([1, 2]).all(),
  ],
  ["a large integer loses precision", (db) => db.prepare("SELECT 9223372036854775807 a").all()],
  ["text keeps its NUL", (db) => db.prepare("SELECT ? a").bind("a\0b").all()],
  ["text keeps its emoji", (db) => db.prepare("SELECT ? a, length(?1) b").bind("a😀é").all()],
  ["undefined is refused", async (db) => db.prepare("SELECT ?").bind(undefined).all()],
  ["bigint is refused", async (db) => db.prepare("SELECT ?").bind(1n).all()],
  ["an object is refused", async (db) => db.prepare("SELECT ?").bind({ a: 1 }).all()],
  ["too few parameters are refused", (db) => db.prepare("SELECT ?, ?").bind(1).all()],
  ["too many parameters are refused", (db) => db.prepare("SELECT ?").bind(1, 2).all()],
  ["numbered parameters", (db) => db.prepare("SELECT ?2 a, ?1 b, ?2 c").bind(1, 2).all()],
  ["a gap in numbered parameters", (db) => db.prepare("SELECT ?3 a").bind(1, 2, 3).all()],
  [
    "named parameters by position",
    (db) => db.prepare("SELECT :x a, ? b, :y c, :x d").bind(1, 2, 3).all(),
  ],
  ["? before ?1", (db) => db.prepare("SELECT ? a, ?1 b, ? c").bind(1, 2).all()],
  [
    "a ? in a string or comment is not a parameter",
    (db) => db.prepare("SELECT '?''?' a, /* ? */ ? b -- ?\n").bind(1).all(),
  ],
  [
    "bind leaves the statement as it was",
    async (db) => {
      const statement = db.prepare("SELECT ? a");
      const [one, two] = [statement.bind(1), statement.bind(2)];
      return [await two.first("a"), await one.first("a"), await two.first("a")];
    },
  ],
  ["insert", (db) => db.prepare("INSERT INTO t (v) VALUES (?)").bind("d").run()],
  [
    "insert returning",
    (db) => db.prepare("INSERT INTO t (v) VALUES (?) RETURNING id, v").bind("e").run(),
  ],
  [
    "a double is stored as an integer",
    (db) =>
      db.prepare("INSERT INTO t (v, n) VALUES (?, ?) RETURNING typeof(n) a, n").bind("f", 3).all(),
  ],
  ["update of some", (db) => db.prepare("UPDATE t SET n = 1 WHERE id < 3").run()],
  ["update of none", (db) => db.prepare("UPDATE t SET n = 1 WHERE id = 99").run()],
  [
    "conflict, nothing done",
    (db) => db.prepare("INSERT INTO t (v) VALUES ('a') ON CONFLICT DO NOTHING RETURNING id").run(),
  ],
  [
    "upsert",
    (db) =>
      db
        .prepare("INSERT INTO t (v) VALUES ('a') ON CONFLICT (v) DO UPDATE SET n = 2 RETURNING n")
        .run(),
  ],
  ["delete returning", (db) => db.prepare("DELETE FROM t WHERE v = 'f' RETURNING v").first()],
  ["unique", (db) => db.prepare("INSERT INTO t (v) VALUES ('a')").run()],
  ["primary key", (db) => db.prepare("INSERT INTO t (id) VALUES (1)").run()],
  ["not null", (db) => db.prepare("INSERT INTO t (v, n) VALUES ('q', NULL)").run()],
  ["check", (db) => db.prepare("INSERT INTO t (v, n) VALUES ('q', 9)").run()],
  ["datatype", (db) => db.prepare("INSERT INTO t (v, n) VALUES ('q', 'x')").run()],
  ["foreign key", (db) => db.prepare("INSERT INTO child VALUES (99)").run()],
  ["no such table", (db) => db.prepare("SELECT * FROM nope").all()],
  ["syntax", (db) => db.prepare("SELEC 1").all()],
  ["empty", (db) => db.prepare(" ").all()],
  ["comment only", (db) => db.prepare("-- nothing").all()],
  ["begin", (db) => db.prepare("BEGIN").run()],
  ["a double-quoted string", (db) => db.prepare('SELECT "nope" a').all()],
  [
    "101 parameters",
    (db) =>
      db
        .prepare(`SELECT max(${Array(101).fill("?")})`)
        .bind(...Array(101).fill(1))
        .all(),
  ],
  [
    "101 rows of parameters",
    (db) =>
      db
        .prepare(`VALUES ${Array(101).fill("(?)")}`)
        .bind(...Array(101).fill(1))
        .raw(),
  ],
  [
    "100 rows of parameters",
    (db) =>
      db
        .prepare(`VALUES ${Array(100).fill("(?)")}`)
        .bind(...Array(100).fill(1))
        .raw(),
  ],
  ["a long LIKE", (db) => db.prepare("SELECT 'a' LIKE ?").bind("a".repeat(51)).all()],
  ["a long statement", (db) => db.prepare(`SELECT 1 --${"x".repeat(100_001)}`).all()],
  [
    "json_each of many",
    (db) =>
      db
        .prepare("SELECT count(*) a FROM json_each(?)")
        .bind(JSON.stringify(Array(500).fill(1)))
        .all(),
  ],
  [
    "two statements in one text",
    (db) =>
      db.prepare("INSERT INTO child VALUES (1); SELECT ? a, count(*) b FROM child").bind(7).all(),
  ],
  [
    "batch",
    (db) =>
      db.batch([
        db.prepare("INSERT INTO child VALUES (?)").bind(2),
        db.prepare("SELECT count(*) a FROM child"),
      ]),
  ],
  [
    "a batch that fails",
    (db) =>
      db.batch([
        db.prepare("INSERT INTO child VALUES (3)"),
        db.prepare("INSERT INTO t (v) VALUES ('a')"),
      ]),
  ],
  ["a batch that failed left nothing", (db) => db.prepare("SELECT * FROM child").raw()],
  ["an empty batch", (db) => db.batch([])],
  [
    "exec",
    (db) =>
      db
        .exec("INSERT INTO child VALUES (3);\nINSERT INTO child VALUES (2)")
        .then(({ count }) => count),
  ],
  ["exec that fails", (db) => db.exec("DELETE FROM child;\nSELEC 1")],
  ["exec that failed left everything", (db) => db.prepare("SELECT * FROM child").raw()],
  [
    "a session",
    async (db) => {
      const session = db.withSession();
      return [
        session.getBookmark(),
        await session.prepare("SELECT 1 a").first(),
        typeof session.getBookmark(),
      ];
    },
  ],
  [
    "a schema change",
    async (db) => {
      const before = await db.prepare("SELECT * FROM child").raw();
      await db.prepare("ALTER TABLE child ADD COLUMN x DEFAULT 5").run();
      return [before, await db.prepare("SELECT * FROM child").all()];
    },
  ],
  [
    "explain",
    (db) => db.prepare("EXPLAIN QUERY PLAN SELECT * FROM t WHERE v = ?").bind("a").first("detail"),
  ],
];

/** A call's outcome, without what the double does not count (rows_read, durations, sizes). */
async function outcome(call: () => Promise<unknown>): Promise<unknown> {
  try {
    return JSON.parse(JSON.stringify(await call()), (key, value) => {
      if (key !== "meta") return value;
      return {
        changes: value.changes,
        last_row_id: value.last_row_id,
        served: value.served_by_primary,
      };
    });
  } catch (error) {
    const { message, cause } = error as Error;
    const plain = (text: string) =>
      text.replace(/ at offset \d+/, "").replace(/(statements\.) The JavaScript API.*/, "$1");
    return { error: plain(message), cause: plain((cause as Error).message) };
  }
}

test.each(CALLS)("the double answers as D1 does: %s", async (_name, call) => {
  const expected = await outcome(() => call(real));
  expect(await outcome(() => call(double.db))).toEqual(expected);
});

test("a call that is cut off after it ran has changed the database and never answers", async () => {
  const cut = double.view((_call, run) => {
    run();
    return new Promise(() => {});
  });
  let settled = false;
  const done = () => {
    settled = true;
  };
  cut.prepare("INSERT INTO t (v) VALUES ('cut')").run().then(done, done);
  const seen = await double.db.prepare("SELECT count(*) a FROM t WHERE v = 'cut'").first("a");
  expect([seen, settled]).toEqual([1, false]);
});

test("a connection lost after a change is D1's own error, and the change is kept", async () => {
  const lost = double.view(async (_call, run) => {
    run();
    throw new Error("Network connection lost.");
  });
  await expect(lost.prepare("INSERT INTO t (v) VALUES ('lost')").run()).rejects.toThrow(
    "D1_ERROR: Network connection lost.",
  );
  const seen = await double.db.prepare("SELECT count(*) a FROM t WHERE v = 'lost'").first("a");
  expect(seen).toBe(1);
});
