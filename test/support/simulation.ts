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

/** What the local Convoy accepted or delivered, as its inbox tells it. */
export type Seen = {
  idempotency_key: string;
  is_duplicate?: boolean;
  duplicate?: boolean;
  swallowed?: boolean;
};

/** A running simulation. Real timers come back with `close`. */
export type Simulation = {
  env: Bindings;
  convoy: Convoy;
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
  /** Rows of a query on the log. */
  rows<T>(sql: string): T[];
  close(): Promise<void>;
};

/** Starts one at a full minute of virtual time, with `settings` over the local defaults. */
export async function startSimulation(settings: Partial<Bindings> = {}): Promise<Simulation> {
  vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout"], now: 1_795_600_800_000 });
  // The cron reports on the console, once a minute of a simulated hour.
  vi.spyOn(console, "log").mockImplementation(() => {});
  vi.spyOn(console, "error").mockImplementation(() => {});
  const d1 = openD1({ migrations });
  const convoy = createConvoy();
  let calls: string[] = [];
  const env: Bindings = {
    DB: d1.db,
    KV: memoryKv(),
    AUTH: "open",
    CONVOY_BASE_URL: "http://convoy.test/api",
    CONVOY_API_KEY: "local",
    CONVOY_PROJECT_ID: "local",
    CONVOY: {
      fetch: (async (request: Request) => {
        calls.push(`${request.method} ${new URL(request.url).pathname.split("/local/")[1]}`);
        return convoy.fetch(request);
      }) as Fetcher["fetch"],
    },
    ...settings,
  };
  const pending = new Set<Promise<unknown>>();
  const ctx = {
    waitUntil(promise: Promise<unknown>) {
      pending.add(promise);
      void promise.finally(() => pending.delete(promise));
    },
    passThroughOnException() {},
    props: {},
  } as unknown as ExecutionContext;

  const pass = async (ms: number) => {
    await vi.advanceTimersByTimeAsync(ms);
    await convoy.idle();
  };
  /** Moves the clock in small steps until `work` is done. */
  const finish = async <T>(work: Promise<T>): Promise<T> => {
    let done = false;
    const end = () => {
      done = true;
    };
    work.then(end, end);
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (done) return work;
      await vi.advanceTimersByTimeAsync(100);
    }
  };
  const inbox = async (what: string): Promise<Seen[]> => {
    const url = `http://convoy.test/inbox/${what}?limit=5000`;
    const response = await convoy.fetch(new Request(url));
    return ((await response.json()) as { data: Seen[] }).data;
  };
  return {
    env,
    convoy,
    pass,
    call: (method, url, body) =>
      finish(
        Promise.resolve(
          worker.fetch(
            new Request(`http://api.test${url}`, {
              method,
              ...(body
                ? {
                    body: JSON.stringify(body),
                    headers: { "Content-Type": "application/json" },
                  }
                : {}),
            }),
            env,
            ctx,
          ),
        ),
      ),
    async drain() {
      while (pending.size > 0) await finish(Promise.all(pending));
      await convoy.idle();
    },
    async cron() {
      await pass(MINUTE_MS - (Date.now() % MINUTE_MS));
      const controller = { scheduledTime: Date.now(), cron: "* * * * *", noRetry() {} };
      await finish(Promise.resolve(worker.scheduled(controller as ScheduledController, env)));
      await convoy.idle();
    },
    async setFaults(faults) {
      const request = new Request("http://convoy.test/inbox/faults", {
        method: "PUT",
        body: JSON.stringify(faults),
        headers: { "Content-Type": "application/json" },
      });
      const response = await convoy.fetch(request);
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
    async close() {
      await convoy.close();
      d1.close();
      vi.restoreAllMocks();
      vi.useRealTimers();
    },
  };
}
