/** Intercepts each of the Worker's operations on KV, D1 and Convoy. */
import type { Bindings } from "../../src/settings.ts";

/** One operation. `what`: KV's method, the SQL, or `METHOD /path` below Convoy's project. */
export type Operation = { on: "KV" | "D1" | "Convoy"; what: string };

/** Runs instead of the operation, which `run` performs. The Worker gets what the hook returns or throws. */
export type Hook = (operation: Operation, run: () => Promise<unknown>) => Promise<unknown>;

/** The same bindings with `hook` around every operation on KV, D1 and Convoy. */
export function around(env: Bindings, hook: Hook): Bindings {
  const send = (request: Request) => (env.CONVOY ? env.CONVOY.fetch(request) : fetch(request));
  return {
    ...env,
    KV: wrap(env.KV, (what, run) => hook({ on: "KV", what }, run)),
    DB: wrapDatabase(env.DB, (what, run) => hook({ on: "D1", what }, run)),
    CONVOY: {
      fetch: ((request: Request) =>
        hook({ on: "Convoy", what: callOf(request) }, () => send(request))) as Fetcher["fetch"],
    },
  };
}

/** The bindings, and the list of operations on them so far. */
export function recording(env: Bindings): { env: Bindings; operations: Operation[] } {
  const operations: Operation[] = [];
  const watched = around(env, (operation, run) => {
    operations.push(operation);
    return run();
  });
  return { env: watched, operations };
}

/** The bindings, with operations that match failing: before they are done, or after (`done`). */
export function failing(
  env: Bindings,
  matches: (operation: Operation) => boolean,
  options: { error?: Error; done?: boolean } = {},
): Bindings {
  const { error = new Error("Network connection lost."), done = false } = options;
  return around(env, async (operation, run) => {
    if (!matches(operation)) return run();
    if (done) await run();
    throw error;
  });
}

/** The bindings with a Convoy that gives this answer. */
export function withConvoy(
  env: Bindings,
  answer: (request: Request) => Response | Promise<Response>,
): Bindings {
  return { ...env, CONVOY: { fetch: (async (request: Request) => answer(request)) as never } };
}

/** A failure in Convoy's envelope. */
export function refusalOf(status: number, message: string, headers: Record<string, string> = {}) {
  return Response.json({ status: false, message }, { status, headers });
}

/** A success in Convoy's envelope. */
export function acceptance(data: unknown = null, status = 201) {
  return Response.json({ status: true, message: "Event queued successfully", data }, { status });
}

function callOf(request: Request): string {
  return `${request.method} ${new URL(request.url).pathname.replace(/^.*\/projects\/[^/]+/, "")}`;
}

type Around = (what: string, run: () => Promise<unknown>) => Promise<unknown>;

function wrap<T extends object>(target: T, hook: Around): T {
  return new Proxy(target, {
    get(_, name) {
      const member = Reflect.get(target, name) as unknown;
      if (typeof member !== "function") return member;
      return (...given: unknown[]) =>
        hook(String(name), () => member.apply(target, given) as Promise<unknown>);
    },
  });
}

const TARGET = Symbol("the statement behind the proxy");

function wrapDatabase(db: D1Database, hook: Around): D1Database {
  const statement = (sql: string, made: D1PreparedStatement): D1PreparedStatement =>
    new Proxy(made, {
      get(_, name) {
        if (name === TARGET) return made;
        const member = Reflect.get(made, name) as (...given: unknown[]) => unknown;
        if (name === "bind") {
          return (...given: unknown[]) =>
            statement(sql, member.apply(made, given) as D1PreparedStatement);
        }
        return (...given: unknown[]) =>
          hook(sql, () => member.apply(made, given) as Promise<unknown>);
      },
    });
  return new Proxy(db, {
    get(_, name) {
      if (name === "prepare") return (sql: string) => statement(sql, db.prepare(sql));
      if (name === "batch") {
        return (all: (D1PreparedStatement & { [TARGET]: D1PreparedStatement })[]) =>
          hook("batch", () => db.batch(all.map((one) => one[TARGET])));
      }
      const member = Reflect.get(db, name) as unknown;
      return typeof member === "function" ? member.bind(db) : member;
    },
  });
}
