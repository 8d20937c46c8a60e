/**
 * The product, counting its work as D1 reports it, and with a clock that can be put forward, since a
 * change's life ends days later. It is not the Worker that is timed: counting takes time.
 */
import product from "../../src/index.ts";
import type { Bindings } from "../../src/settings.ts";

/** D1's work since the start: statements, and the rows read and written by their meta. */
export type Counts = { statements: number; rowsRead: number; rowsWritten: number };

const NONE: Counts = { statements: 0, rowsRead: 0, rowsWritten: 0 };
const counts = { ...NONE };
const realNow = Date.now;
let aheadMs = 0;
let database: D1Database | null = null;
Date.now = () => realNow() + aheadMs;
// The cron's reports would bury the figures; warnings and errors stay.
console.log = () => {};

export default {
  /** POST /bench?ahead=MS puts the clock forward and runs the cron; DELETE starts counting anew; GET only returns the counts. */
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    // One for all requests, like a binding: requests share a statement only through the same database.
    database ??= countedDatabase(env.DB);
    const counted = { ...env, DB: database };
    if (url.pathname !== "/bench") return product.fetch(request, counted, ctx);
    if (request.method === "DELETE") Object.assign(counts, NONE);
    if (request.method === "POST") {
      aheadMs += Number(url.searchParams.get("ahead"));
      const scheduledTime = Date.now();
      await product.scheduled({ scheduledTime, cron: "* * * * *", noRetry() {} }, counted, ctx);
    }
    return Response.json(counts);
  },
} satisfies ExportedHandler<Bindings>;

const originals = new WeakMap<D1PreparedStatement, D1PreparedStatement>();

function countedDatabase(db: D1Database): D1Database {
  const counted = {
    prepare: (sql: string) => countedStatement(db.prepare(sql)),
    async batch(statements: D1PreparedStatement[]) {
      const results = await db.batch(statements.map((one) => originals.get(one) ?? one));
      for (const result of results) note(result);
      return results;
    },
  };
  return counted as unknown as D1Database;
}

// first() returns no meta, so all() replaces it here.
function countedStatement(statement: D1PreparedStatement): D1PreparedStatement {
  const counted = {
    bind: (...values: unknown[]) => countedStatement(statement.bind(...values)),
    all: async () => note(await statement.all()),
    run: async () => note(await statement.run()),
    async first(column?: string) {
      const row = note(await statement.all<Record<string, unknown>>()).results[0] ?? null;
      return column === undefined || row === null ? row : row[column];
    },
  } as unknown as D1PreparedStatement;
  originals.set(counted, statement);
  return counted;
}

function note<T extends D1Result>(result: T): T {
  counts.statements++;
  counts.rowsRead += result.meta.rows_read;
  counts.rowsWritten += result.meta.rows_written;
  return result;
}
