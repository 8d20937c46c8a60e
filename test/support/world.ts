/** The Worker's code, its stores, a Convoy and callers that note their answers: one process, virtual time. */
import { vi } from "vitest";
import type { Bindings } from "../../src/config.ts";
import type { EventRow } from "../../src/event/table.ts";
import {
  type Actor,
  type Around,
  createActor,
  createIsolate,
  openDatabase,
  type Step,
  type Stores,
} from "./actors.ts";
import type { ConvoyDouble } from "./convoy-double.ts";
import type { D1Double } from "./d1-sqlite.ts";
import { type KvBehaviour, type KvDouble, kvDouble, STALEST } from "./kv.ts";
import { type LocalConvoy, localConvoy } from "./local-convoy.ts";
import { goOnUntil, pass, resetClock, settle, startClock } from "./virtual-clock.ts";

const MINUTE_MS = 60_000;
/** Longer than a lease and than any stale read (src/config.ts). */
const CUT_OFF_MS = 95_000;
/** Longer than SCRUB_DELAY_MS in src/config.ts. */
const SCRUB_DUE_MS = 11 * MINUTE_MS;

/** A call and its answer; `status` is null if there was none. */
export type Call = {
  method: string;
  url: string;
  body: Record<string, unknown> | null;
  status: number | null;
  eventId: string | null;
  answer: Record<string, unknown> | null;
};

/** An event as committed, with its present state, or its state when purged. */
export type Committed = {
  seq: number;
  id: string;
  type: string;
  endpoint_id: string | null;
  todo_id: number | null;
  todo: string | null;
  state: string;
  stored: number | null;
  replays: number;
  due_at: number | null;
};

/** Defaults: `convoy` the local one, `kv` as stale and as slow as KV may be. `settings` override the Worker's. */
export type WorldOptions<C extends ConvoyDouble> = {
  worker?: Stores["worker"];
  settings?: Partial<Bindings>;
  convoy?: C;
  kv?: KvBehaviour;
};

/** The shared world. `calls` is what callers know; the rest is what is really there. */
export type World<C extends ConvoyDouble = LocalConvoy> = {
  /** What invocations of the Worker are given. */
  stores: Stores;
  d1: D1Double;
  kv: KvDouble;
  convoy: C;
  calls: Call[];
  /** How long a step of a healthy invocation takes, in ms, by store. */
  latencyMs: Partial<Record<Step["store"], number>>;
  /** Runs every step, after its latency. */
  healthy: Around;
  /** A new isolate of the Worker. */
  isolate: () => (around: Around) => Actor;
  /** Starts over: empty stores, no calls, the beginning of time. */
  reset: () => Promise<void>;
  /** Calls the Worker as `actor` and notes the answer once there is one. */
  call: (actor: Actor, method: string, url: string, body?: Record<string, unknown>) => Call;
  /** A healthy call, run to its end, waitUntil included. */
  ask: (method: string, url: string, body?: Record<string, unknown>) => Promise<Call>;
  /** Creates todos, a hundred at a time, each including its waitUntil. @returns the events' ids */
  createMany: (count: number, endpointId?: string) => Promise<string[]>;
  /** A healthy run of the cron at the next full minute. */
  cron: () => Promise<void>;
  /** Lets time pass: leases and caches run out, the cron runs until nothing waits. The scrub does not run. */
  rest: () => Promise<void>;
  /** Like `rest`, and then the scrub runs. */
  recover: () => Promise<void>;
  /** Every event ever committed, in order of seq. */
  history: () => Committed[];
  /** Rows of a D1 query; by default, the log. */
  rows: <T = EventRow>(sql?: string) => T[];
  /** How many events are in each state. */
  states: () => Record<string, number>;
  close: () => Promise<void>;
};

// The purge removes rows from the log; the promises made for them still hold.
const HISTORY = `
  CREATE TABLE history (seq INTEGER PRIMARY KEY, id, type, endpoint_id, todo_id, todo, state, stored, replays, due_at);
  CREATE TRIGGER remember AFTER INSERT ON event BEGIN INSERT INTO history
    VALUES (new.seq, new.id, new.type, new.endpoint_id, new.todo_id, new.todo, NULL, NULL, NULL, NULL); END;
  CREATE TRIGGER purged AFTER DELETE ON event BEGIN UPDATE history SET state = old.state, stored = old.stored,
    replays = old.replays, due_at = old.due_at WHERE seq = old.seq; END`;

const READ_HISTORY = `
  SELECT h.seq, h.id, h.type, h.endpoint_id, h.todo_id, h.todo, coalesce(e.state, h.state) AS state,
    coalesce(e.stored, h.stored) AS stored, coalesce(e.replays, h.replays) AS replays,
    coalesce(e.due_at, h.due_at) AS due_at
  FROM history AS h LEFT JOIN event AS e ON e.seq = h.seq ORDER BY h.seq`;

/** The Worker logs what goes wrong, which here is all the time. */
function beQuiet(): void {
  for (const method of ["log", "warn", "error"] as const) {
    vi.spyOn(console, method).mockImplementation(() => {});
  }
}

/** Opens a world at the beginning of virtual time. */
export function openWorld<C extends ConvoyDouble = LocalConvoy>(
  options: WorldOptions<C> = {},
): World<C> {
  startClock();
  resetClock();
  beQuiet();
  const d1 = openDatabase();
  d1.sqlite.exec(HISTORY);
  const kv = kvDouble({ ...(options.kv ?? STALEST) });
  const convoy = options.convoy ?? (localConvoy() as ConvoyDouble as C);
  const { worker } = options;
  const settings = { ...options.settings };
  const stores: Stores = { d1, kv: kv.kv, convoy, settings, ...(worker ? { worker } : {}) };
  const calls: Call[] = [];
  const latencyMs: World["latencyMs"] = {};
  const healthy: Around = async (step, run) => {
    const ms = latencyMs[step.store];
    if (ms) await new Promise((resolve) => setTimeout(resolve, ms));
    return run();
  };
  const rows = <T = EventRow>(sql = "SELECT * FROM event ORDER BY seq") =>
    d1.sqlite.prepare(sql).all() as T[];

  const call: World["call"] = (actor, method, url, body = undefined) => {
    const unknown = { status: null, eventId: null, answer: null };
    const noted: Call = { method, url, body: body ?? null, ...unknown };
    calls.push(noted);
    void actor.fetch(method, url, body).then(async (response) => {
      noted.answer = (await response.json()) as Call["answer"];
      noted.eventId = response.headers.get("X-Event-Id");
      noted.status = response.status;
    });
    return noted;
  };
  const cronAt = async (at: number) => {
    await pass(at - Date.now());
    const actor = createActor(stores, healthy);
    void actor.scheduled(at);
    await goOnUntil(actor.idle);
    await convoy.idle();
  };
  /** Limited, as something may wait forever. */
  const runUntilNothingWaits = async (most: number) => {
    const waiting = d1.sqlite.prepare(
      `SELECT (SELECT min(due_at) FROM event) AS event, (SELECT min(due_at) FROM endpoint) AS move`,
    );
    for (let run = 0; run < most; run++) {
      const { event, move } = waiting.get() as { event: number | null; move: number | null };
      if (event === null && move === null) return;
      await cronAt(nextMinute(Math.max(Date.now(), move === null ? (event ?? 0) : 0)));
    }
  };
  /** Sets the event after which the scrub looks: `~` is after all of them. */
  const scrubAfter = (id: "" | "~") =>
    d1.sqlite.exec(`UPDATE cron_state SET scrub_after = '${id}'`);
  const rest = async () => {
    scrubAfter("~");
    await settle();
    await pass(CUT_OFF_MS);
    await runUntilNothingWaits(40);
  };

  return {
    stores,
    d1,
    kv,
    convoy,
    calls,
    latencyMs,
    healthy,
    isolate: () => createIsolate(stores),
    call,
    rows,
    async reset() {
      await settle();
      beQuiet();
      d1.sqlite.exec(
        `DELETE FROM history; DELETE FROM event; DELETE FROM endpoint; DELETE FROM sqlite_sequence;
         DELETE FROM delivery_walk; DELETE FROM reposted;
         DELETE FROM cron_state; INSERT INTO cron_state (id) VALUES (1)`,
      );
      kv.clear();
      calls.length = 0;
      await convoy.reset();
      resetClock();
    },
    async ask(method, url, body) {
      const actor = createActor(stores, healthy);
      const noted = call(actor, method, url, body);
      await goOnUntil(actor.idle);
      await convoy.idle();
      return noted;
    },
    async createMany(count, endpointId) {
      const begin = createIsolate(stores);
      const url = `/todo${endpointId ? `?endpoint=${endpointId}` : ""}`;
      const made: Call[] = [];
      while (made.length < count) {
        const actors = Array.from({ length: Math.min(100, count - made.length) }, () => {
          const actor = begin(healthy);
          made.push(call(actor, "POST", url, { item: "milk" }));
          return actor;
        });
        await goOnUntil(() => actors.every((actor) => actor.idle()));
        await settle();
      }
      await convoy.idle();
      return made.flatMap(({ status, eventId }) => (status === 201 && eventId ? [eventId] : []));
    },
    cron: () => cronAt(nextMinute(Date.now())),
    rest,
    async recover() {
      await rest();
      scrubAfter("");
      await pass(SCRUB_DUE_MS);
      await cronAt(nextMinute(Date.now()));
      await cronAt(nextMinute(Date.now() + 4 * MINUTE_MS));
      await runUntilNothingWaits(40);
    },
    history: () => rows<Committed>(READ_HISTORY),
    states() {
      const counted = rows<{ state: string; n: number }>(
        "SELECT state, count(*) AS n FROM event GROUP BY state",
      );
      return Object.fromEntries(counted.map(({ state, n }) => [state, n]));
    },
    async close() {
      await convoy.close();
      d1.close();
      vi.clearAllTimers();
      vi.restoreAllMocks();
      vi.useRealTimers();
    },
  };
}

function nextMinute(from: number): number {
  return Math.ceil((from + 1) / MINUTE_MS) * MINUTE_MS;
}
