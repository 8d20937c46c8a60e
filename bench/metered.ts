/** Collects what D1 reports about each statement. */

/** The database, adding the meta of each statement it runs to `meter`. */
export function metered(db: D1Database, meter: D1Meta[]): D1Database {
  const note = <T extends { meta: D1Meta }>(result: T): T => {
    meter.push(result.meta);
    return result;
  };
  const statement = (inner: D1PreparedStatement): D1PreparedStatement =>
    ({
      inner,
      bind: (...values: unknown[]) => statement(inner.bind(...values)),
      all: async () => note(await inner.all()),
      run: async () => note(await inner.run()),
      first: async () => note(await inner.all()).results[0] ?? null,
    }) as unknown as D1PreparedStatement;
  return {
    prepare: (sql: string) => statement(db.prepare(sql)),
    batch: async (all: { inner: D1PreparedStatement }[]) =>
      (await db.batch(all.map(({ inner }) => inner))).map(note),
  } as unknown as D1Database;
}
