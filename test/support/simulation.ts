/** The Worker, its stores and a local Convoy in one process, on a clock that the test moves. */
import path from "node:path";
import { vi } from "vitest";
import { type Convoy, createConvoy, type Faults } from "../../local/convoy/index.ts";
import type { Bindings } from "../../src/config.ts";
import worker from "../../src/index.ts";
import { openD1 } from "./d1-sqlite.ts";
import { memoryKv } from "./memory-kv.ts";

const migrations = path.resolve(import.meta.dirname, "../../migrations");
const MINUTE_MS = 60_000;
/** A full hour, so that tests know which minute the cron sees. */
const BEGIN_MS = Date.UTC(2026, 10, 24, 12);

/** What the local Convoy accepted or delivered, as its inbox tells it. */
export type Seen = {
  idempotency_key: string;
  is_duplicate?: boolean;
  duplicate?: boolean;
  swallowed?: boolean;
  status?: string;
};

/** One call of an invocation to what is outside of it. */
export type Step = { store: "D1" | "KV" | "Convoy"; name: string };
/** Stands around every step of one invocation: may cut, fail, delay it. */
export type Around = <T>(step: Step, run: () => T | Promise<T>) => Promise<T>;

/** One invocation of the Worker, with its own view of the outside. */
export type Invocation = {
  fetch(method: string, url: string, body?: object): Promise<Response>;
  scheduled(): Promise<void>;
  /** What waitUntil was given and has not ended yet. */
  pending: Set<Promise<unknown>>;
};

/** A running simulation. Real timers come back with `close`. */
export type Simulation = {
  env: Bindings;
  convoy: Convoy;
  kv: KVNamespace;
  /** Begins an invocation whose steps go through `around`. */
  invocation(around?: Around): Invocation;
  /** Moves the clock in small steps until `work` is done, or `stop` says so. */
  finish<T>(work: Promise<T>, stop?: () => boolean): Promise<T | undefined>;
  /** Sends a request to the Worker; its waitUntil goes on while the clock moves. */
  call(method: string, url: string, body?: object): Promise<Response>;
  /** Moves the clock. */
  pass(ms: number): Promise<void>;
  /** Moves the clock until all of waitUntil is done. */
  drain(): Promise<void>;
  /** Moves the clock to the next full minute and runs the cron, to its end. */
  cron(): Promise<void>;
  setFaults(faults: Faults): Promise<void>;
  /** Paths of the calls to Convoy since the last look, with their method. */
  takeCalls(): string[];
  accepted(): Promise<Seen[]>;
  deliveries(): Promise<Seen[]>;
  /** Rows of a query on D1. */
  rows<T>(sql: string): T[];
  /** Runs SQL on D1. */
  exec(sql: string): void;
  close(): Promise<void>;
};

/** Starts one on the full hour of a virtual clock, with `settings` over the local defaults. */
export async function startSimulation(
  settings: Partial<Bindings> = {},
  kv: KVNamespace = memoryKv(),
): Promise<Simulation> {
  vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout"], now: BEGIN_MS });
  // The cron reports on the console, once a minute of a simulated hour.
  for (const level of ["log", "warn", "error"] as const) {
    vi.spyOn(console, level).mockImplementation(() => {});
  }
  const d1 = openD1({ migrations });
  const convoy = createConvoy();
  let calls: string[] = [];
  const ask = async (request: Request) => {
    calls.push(`${request.method} ${new URL(request.url).pathname.split("/local/")[1]}`);
    return convoy.fetch(request);
  };
  const env: Bindings = {
    DB: d1.db,
    KV: kv,
    AUTH: "open",
    CONVOY_BASE_URL: "http://convoy.test/api",
    CONVOY_API_KEY: "local",
    CONVOY_PROJECT_ID: "local",
    CONVOY: { fetch: ask as Fetcher["fetch"] },
    ...settings,
  };

  const invocation = (around?: Around): Invocation => {
    const pending = new Set<Promise<unknown>>();
    const ctx = {
      waitUntil(promise: Promise<unknown>) {
        pending.add(promise);
        const done = () => pending.delete(promise);
        promise.then(done, done);
      },
    } as unknown as ExecutionContext;
    const own = around ? { ...env, ...viewOf(env, d1, around) } : env;
    return {
      pending,
      fetch: async (method, url, body) => worker.fetch(requestOf(method, url, body), own, ctx),
      async scheduled() {
        const controller = { scheduledTime: Date.now(), cron: "* * * * *", noRetry() {} };
        await worker.scheduled(controller as ScheduledController, own);
      },
    };
  };

  const finish = async <T>(work: Promise<T>, stop = () => false): Promise<T | undefined> => {
    let done = false;
    const end = () => {
      done = true;
    };
    work.then(end, end);
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (done) return work;
      if (stop()) return undefined;
      await vi.advanceTimersByTimeAsync(100);
    }
  };
  const pass = async (ms: number) => {
    await vi.advanceTimersByTimeAsync(ms);
    await convoy.idle();
  };
  const inbox = async (what: string): Promise<Seen[]> => {
    const url = `http://convoy.test/inbox/${what}?limit=5000`;
    const response = await convoy.fetch(new Request(url));
    return ((await response.json()) as { data: Seen[] }).data;
  };
  const plain = invocation();
  return {
    env,
    convoy,
    kv,
    invocation,
    finish,
    pass,
    call: async (method, url, body) =>
      (await finish(plain.fetch(method, url, body))) ?? Response.error(),
    async drain() {
      while (plain.pending.size > 0) await finish(Promise.all(plain.pending));
      await convoy.idle();
    },
    async cron() {
      await pass(MINUTE_MS - (Date.now() % MINUTE_MS));
      await finish(plain.scheduled());
      await convoy.idle();
    },
    async setFaults(faults) {
      const url = "http://convoy.test/inbox/faults";
      const response = await convoy.fetch(requestOf("PUT", url, faults));
      if (!response.ok) throw new Error(await response.text());
    },
    takeCalls() {
      const taken = calls;
      calls = [];
      return taken;
    },
    accepted: () => inbox("events"),
    deliveries: () => inbox("deliveries"),
    rows: <T>(sql: string) => d1.sqlite.prepare(sql).all() as T[],
    exec: (sql) => d1.sqlite.exec(sql),
    async close() {
      await convoy.close();
      d1.close();
      vi.restoreAllMocks();
      vi.useRealTimers();
    },
  };
}

function requestOf(method: string, url: string, body?: object): Request {
  return new Request(new URL(url, "http://localhost"), {
    method,
    ...(body
      ? { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }
      : {}),
  });
}

/** The outside as one invocation sees it. */
function viewOf(env: Bindings, d1: ReturnType<typeof openD1>, around: Around) {
  const kv = new Proxy(env.KV, {
    get(target, name: keyof KVNamespace) {
      return (...args: unknown[]) =>
        around({ store: "KV", name }, () =>
          (target[name] as (...args: unknown[]) => Promise<unknown>)(...args),
        );
    },
  });
  const send = env.CONVOY!.fetch as unknown as (request: Request) => Promise<Response>;
  const convoy = (request: Request) => {
    const name = `${request.method} ${new URL(request.url).pathname.split("/local/")[1]}`;
    return around({ store: "Convoy", name }, () => send(request));
  };
  return {
    DB: d1.view((call, run) => around({ store: "D1", name: call.sql.join(";").trim() }, run)),
    KV: kv,
    CONVOY: { fetch: convoy as unknown as Fetcher["fetch"] },
  };
}
