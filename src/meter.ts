/** Counts subrequests where they are made: around D1, KV and Convoy's fetch. Requests are not metered. */
import type { Budget } from "./run.ts";
import type { Bindings } from "./settings.ts";

/** Counts down from what an invocation may use. */
export type Meter = Budget & {
  /** Counts one subrequest. */
  spend: () => void;
  spent: () => number;
};

/** A meter of this many subrequests. */
export function meterOf(subrequests: number): Meter {
  let spent = 0;
  return {
    spend: () => void spent++,
    spent: () => spent,
    left: () => Math.max(0, subrequests - spent),
  };
}

/** The same bindings; each use of D1, KV and Convoy is one subrequest, whatever comes of it. */
export function metered(env: Bindings, { spend }: Pick<Meter, "spend">): Bindings {
  const send = (request: Request) => {
    spend();
    return env.CONVOY ? env.CONVOY.fetch(request) : fetch(request);
  };
  return {
    ...env,
    DB: meteredDatabase(env.DB, spend),
    KV: meteredStore(env.KV, spend),
    CONVOY: { fetch: send as Fetcher["fetch"] },
  };
}

type Methods = Record<string | symbol, (...given: unknown[]) => unknown>;

/** Every method of KV is one operation. */
function meteredStore(kv: KVNamespace, spend: () => void): KVNamespace {
  return new Proxy(kv, {
    get:
      (target, name) =>
      (...given: unknown[]) => {
        spend();
        return (target as unknown as Methods)[name]?.(...given);
      },
  });
}

/** D1 as src/storage.ts uses it. A batch takes D1's own statements: they are kept behind ours. */
function meteredDatabase(db: D1Database, spend: () => void): D1Database {
  const behind = new WeakMap<D1PreparedStatement, D1PreparedStatement>();
  const statement = (own: D1PreparedStatement): D1PreparedStatement => {
    const ours = new Proxy(own, {
      get:
        (target, name) =>
        (...given: unknown[]) => {
          if (name === "bind") return statement(target.bind(...given));
          spend();
          return (target as unknown as Methods)[name]?.(...given);
        },
    });
    behind.set(ours, own);
    return ours;
  };
  return {
    prepare: (sql: string) => statement(db.prepare(sql)),
    batch(statements: D1PreparedStatement[]) {
      spend();
      return db.batch(statements.map((one) => behind.get(one) ?? one));
    },
  } as D1Database;
}
