/** Actors: invocations of the Worker, each with wrappers of its own around KV, D1 and Convoy. */
import { AsyncLocalStorage } from "node:async_hooks";
import path from "node:path";
import type { Bindings } from "../../src/config.ts";
import worker from "../../src/index.ts";
import { type D1Around, type D1Double, openD1 } from "./d1-sqlite.ts";
import { operation } from "./virtual-clock.ts";

/** One operation outside the Worker, `index` counting from 0 in its actor. */
export type Step = { index: number; store: "KV" | "D1" | "Convoy"; what: string };

/** Stands around every step: runs it, or does not; answers, throws, or never settles. */
export type Around = <T>(step: Step, run: () => Promise<T>) => Promise<T>;

/** What all actors share. `worker`: the code, this project's unless given. */
export type Stores = {
  worker?: typeof worker;
  d1: D1Double;
  kv: KVNamespace;
  convoy: { fetch: (request: Request) => Promise<Response> };
  settings: Partial<Bindings>;
};

/** An invocation. `background`: what it gave to waitUntil. `idle`: nothing of it goes on. */
export type Actor = {
  steps: Step[];
  fetch: (method: string, url: string, body?: object) => Promise<Response>;
  scheduled: (at: number) => Promise<void>;
  idle: () => boolean;
};

/** An empty database with all tables. */
export function openDatabase(): D1Double {
  return openD1({ migrations: path.resolve(import.meta.dirname, "../../migrations") });
}

/** A new invocation in an isolate of its own, whose every step goes through `around`. */
export function createActor(stores: Stores, around: Around): Actor {
  return createIsolate(stores)(around);
}

type Take = <T>(store: Step["store"], what: string, run: () => T | Promise<T>) => Promise<T>;

// Which invocation goes on: an isolate's bindings are the same objects for all of them.
const invocation = new AsyncLocalStorage<Take>();

/** An isolate: its invocations share the Worker's module state and bindings, each has steps of its own. */
export function createIsolate(stores: Stores): (around: Around) => Actor {
  const take: Take = (store, what, run) => invocation.getStore()!(store, what, run);
  const env: Bindings = {
    KV: aroundKv(stores.kv, take),
    DB: stores.d1.view(((call, run) => take("D1", verbOf(call.sql[0] ?? ""), run)) as D1Around),
    CONVOY: { fetch: aroundConvoy(stores.convoy, take) },
    AUTH: "open",
    CONVOY_BASE_URL: "http://convoy.test/api",
    CONVOY_API_KEY: "local",
    CONVOY_PROJECT_ID: "local",
    ...stores.settings,
  };
  return (around) => actorIn(stores.worker ?? worker, env, around);
}

function actorIn(code: typeof worker, env: Bindings, around: Around): Actor {
  const steps: Step[] = [];
  let open = 0;
  const take: Take = (store, what, run) => {
    const step = { index: steps.length, store, what };
    steps.push(step);
    return around(step, () => operation(run));
  };
  const track = <T>(promise: Promise<T>): Promise<T> => {
    open++;
    const end = () => {
      open--;
    };
    promise.then(end, end);
    return promise;
  };
  const ctx = {
    waitUntil: (promise: Promise<unknown>) => void track(promise),
    passThroughOnException() {},
    props: {},
  } as unknown as ExecutionContext;
  return {
    steps,
    idle: () => open === 0,
    fetch(method, url, body) {
      const sent = body && {
        body: JSON.stringify(body),
        headers: { "Content-Type": "application/json" },
      };
      const request = new Request(`http://localhost${url}`, { method, ...sent });
      return track(invocation.run(take, async () => code.fetch(request, env, ctx)));
    },
    scheduled(at) {
      const controller = { scheduledTime: at, cron: "* * * * *", noRetry() {} };
      return track(
        invocation.run(take, () => code.scheduled(controller as ScheduledController, env)),
      );
    },
  };
}

/** A statement in a word or two, for the names of cases. */
function verbOf(sql: string): string {
  const verb = /\b(INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)/.exec(sql);
  return verb ? `${verb[1]} ${verb[2]}` : `SELECT ${/\bFROM\s+(\w+)/.exec(sql)?.[1] ?? ""}`;
}

function aroundKv(kv: KVNamespace, take: Take): KVNamespace {
  return new Proxy(kv, {
    get(target, name: "get") {
      const method = target[name] as (...args: unknown[]) => Promise<unknown>;
      return (...args: unknown[]) => take("KV", name, () => method(...args));
    },
  });
}

/** As fetch: who gives up gets an error at once, but what was sent may arrive all the same. */
function aroundConvoy(convoy: Stores["convoy"], take: Take) {
  return (async (request: Request) => {
    const { url, method, signal } = request;
    const body = method === "GET" ? null : await request.text();
    const headers = new Headers(request.headers);
    const what = `${method} ${new URL(url).pathname.replace(/^.*\/projects\/[^/]+/, "")}`;
    const sent = take("Convoy", what.replace(/[0-9A-Z]{26}/, ":id"), () =>
      convoy.fetch(new Request(url, { method, headers, ...(body === null ? {} : { body }) })),
    );
    const given = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
    });
    // Given up already: the other one's end is nobody's concern.
    sent.catch(() => {});
    return Promise.race([sent, given]);
  }) as unknown as Fetcher["fetch"];
}
