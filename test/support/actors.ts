/** Actors: invocations of the Worker, each with its own wrappers around KV, D1 and Convoy. */
import { AsyncLocalStorage } from "node:async_hooks";
import path from "node:path";
import type { Bindings } from "../../src/settings.ts";
import { type D1Around, type D1Double, openD1 } from "./d1-sqlite.ts";
import { logWorker, type WorkerCode } from "./log-worker.ts";
import { operation } from "./virtual-clock.ts";

/** One operation on a store or on Convoy; `index` counts from 0 within its actor. */
export type Step = { index: number; store: "KV" | "D1" | "Convoy"; what: string };

/** Wraps every step: runs it or not; answers, throws, or never settles. */
export type Around = <T>(step: Step, run: () => Promise<T>) => Promise<T>;

/** What all actors share. `worker` defaults to the log alone. */
export type Stores = {
  worker?: WorkerCode;
  d1: D1Double;
  kv: KVNamespace;
  convoy: { fetch: (request: Request) => Promise<Response> };
  settings: Partial<Bindings>;
};

/** An invocation. `idle`: whether all of its work, waitUntil included, has ended. */
export type Actor = {
  steps: Step[];
  fetch: (method: string, url: string, body?: object, owner?: string) => Promise<Response>;
  scheduled: (at: number) => Promise<void>;
  idle: () => boolean;
};

/** An empty database with all tables. */
export function openDatabase(): D1Double {
  return openD1({ migrations: path.resolve(import.meta.dirname, "../../migrations") });
}

/** A new invocation in its own isolate; every step goes through `around`. */
export function createActor(stores: Stores, around: Around): Actor {
  return createIsolate(stores)(around);
}

type Take = <T>(store: Step["store"], what: string, run: () => T | Promise<T>) => Promise<T>;

// The current invocation: all invocations of an isolate share the same binding objects.
const invocation = new AsyncLocalStorage<Take>();

/** An isolate: its invocations share the Worker's module state and bindings, but not their steps. */
export function createIsolate(stores: Stores): (around: Around) => Actor {
  const take: Take = (store, what, run) => invocation.getStore()!(store, what, run);
  const env: Bindings = {
    KV: aroundKv(stores.kv, take),
    DB: stores.d1.view(((call, run) => take("D1", verbsOf(call.sql), run)) as D1Around),
    CONVOY: { fetch: aroundConvoy(stores.convoy, take) },
    AUTH: "open",
    // A test that is about further invocations says so.
    HANDS: "0",
    CONVOY_BASE_URL: "http://convoy.test/api",
    CONVOY_API_KEY: "local",
    CONVOY_PROJECT_ID: "local",
    ...stores.settings,
  };
  return (around) => actorIn(stores.worker ?? logWorker, env, around);
}

function actorIn(code: WorkerCode, env: Bindings, around: Around): Actor {
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
    fetch(method, url, body, owner = "default") {
      const sent = body && { body: JSON.stringify(body) };
      const headers = { "Content-Type": "application/json", "X-Owner": owner };
      const request = new Request(`http://localhost${url}`, { method, headers, ...sent });
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

/** Statements in a word or two each, for case names. */
function verbsOf(sql: string[]): string {
  return [...new Set(sql.map(verbOf))].join(" + ");
}

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

/** Like fetch: an abort rejects at once, but the request may still arrive. */
function aroundConvoy(convoy: Stores["convoy"], take: Take) {
  return (async (request: Request) => {
    const { url, method, signal } = request;
    const body = method === "GET" ? null : await request.text();
    const headers = new Headers(request.headers);
    const what = `${method} ${new URL(url).pathname.replace(/^.*\/projects\/[^/]+/, "")}`;
    const sent = take("Convoy", what.replace(/[0-9A-Z]{26}|(?<=endpoints\/)\w+/, ":id"), () =>
      convoy.fetch(new Request(url, { method, headers, ...(body === null ? {} : { body }) })),
    );
    const given = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
    });
    // After an abort nobody handles the request's own failure.
    sent.catch(() => {});
    return Promise.race([sent, given]);
  }) as unknown as Fetcher["fetch"];
}
