/** Counts the rows that statements read, as D1 bills them. */

/** The database, and how many rows have been read through it. */
export function countRows(db: D1Database): { db: D1Database; rowsRead: () => number } {
  let rows = 0;
  const counted = new Proxy(db, {
    get(target, name) {
      if (name === "batch") {
        return async (statements: D1PreparedStatement[]) => {
          const results = await target.batch(statements);
          rows += results.reduce((sum, { meta }) => sum + meta.rows_read, 0);
          return results;
        };
      }
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { db: counted, rowsRead: () => rows };
}
