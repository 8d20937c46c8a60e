/** The log's Worker, its stores, a Convoy and callers that note their answers: one process, virtual time. */
import { vi } from "vitest";
import type { Change, DeliveryRow, DeliveryStatus, EventRow } from "../../src/outbox/rows.ts";
import type { Bindings } from "../../src/settings.ts";
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
import { type ModelConvoy, modelConvoy } from "./model-convoy.ts";
import { LOG_NOUNS, type Noun } from "./noun.ts";
import { goOnUntil, pass, resetClock, settle, startClock } from "./virtual-clock.ts";

const MINUTE_MS = 60_000;
/** Longer than a lease (src/outbox/write.ts) and than any stale read. */
const CUT_OFF_MS = 95_000;
/** Longer than the scrub waits before it compares a change (src/outbox/tasks.ts). */
const SCRUB_DUE_MS = 11 * MINUTE_MS;

/** A call and its answer; `status` is null if there was none. Times in ms; `answeredAt` null: never. */
export type Call = {
  method: string;
  url: string;
  body: Record<string, unknown> | null;
  owner: string;
  status: number | null;
  eventId: string | null;
  answer: Record<string, unknown> | null;
  at: number;
  answeredAt: number | null;
};

/** An event as committed; `projected` as it is, or was when it was purged. `wanted`: endpoints that took its type then. */
export type Committed = {
  seq: number;
  id: string;
  owner: string;
  type: string;
  resource: string | null;
  resource_id: string | null;
  change: Change | null;
  data: string | null;
  projected: number | null;
  wanted: string[];
};

/** A delivery as it is, or was when it was purged. */
export type Delivered = DeliveryRow & { id: string };

/** Defaults: `worker` the log alone with its `nouns`, `convoy` the model, `kv` as stale and as slow as KV may be. */
export type WorldOptions<C extends ConvoyDouble> = {
  worker?: Stores["worker"];
  nouns?: Noun[];
  settings?: Partial<Bindings>;
  convoy?: C;
  kv?: KvBehaviour;
};

/** An endpoint's record. Without an owner it is `default`'s. */
export type EndpointGiven = {
  id: string;
  owner?: string;
  paused?: boolean;
  types?: string[];
  rate?: { requests: number; perS: number };
};

/** What `call` sends beside a method and a path. */
export type Sent = { body?: Record<string, unknown>; owner?: string };

/** The shared world. `calls` is what callers know; the rest is what is really there. */
export type World<C extends ConvoyDouble = ModelConvoy> = {
  /** What invocations of the Worker are given. */
  stores: Stores;
  nouns: Noun[];
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
  /** Records endpoints, as if they had been created. */
  endpoints: (...given: (string | EndpointGiven)[]) => void;
  /** Calls the Worker as `actor` and notes the answer once there is one. */
  call: (actor: Actor, method: string, url: string, sent?: Sent) => Call;
  /** A healthy call, run to its end, waitUntil included. */
  ask: (method: string, url: string, sent?: Sent) => Promise<Call>;
  /** Creates things, a hundred at a time, each including its waitUntil. @returns the events' ids */
  createMany: (count: number, owner?: string) => Promise<string[]>;
  /** A healthy run of the cron at the next full minute. */
  cron: () => Promise<void>;
  /** Runs it until `done`, at most `most` times. @returns how often it ran; infinite if it was never done */
  cronUntil: (done: () => boolean, most: number) => Promise<number>;
  /** Lets time pass: leases and caches run out, the cron runs until nothing waits. The scrub does not run. */
  rest: () => Promise<void>;
  /** Like `rest`, and then the scrub runs. */
  recover: () => Promise<void>;
  /** Every event ever committed, in order of seq. */
  history: () => Committed[];
  /** Every delivery ever made, in order. */
  deliveries: () => Delivered[];
  /** Rows of a D1 query; by default, the events. */
  rows: <T = EventRow>(sql?: string) => T[];
  /** How many deliveries have each status. */
  statuses: () => Partial<Record<DeliveryStatus, number>>;
  close: () => Promise<void>;
};

// The purge removes rows; the promises made for them still hold. Who wanted an event is known when it is written.
const HISTORY = `
  CREATE TABLE history (seq INTEGER PRIMARY KEY, id, owner, type, resource, resource_id, change, data, projected, wanted);
  CREATE TRIGGER remember AFTER INSERT ON event BEGIN INSERT INTO history
    SELECT new.seq, new.id, new.owner, new.type, new.resource, new.resource_id, new.change, new.data, NULL,
      (SELECT json_group_array(e.id) FROM outbox_endpoint AS e WHERE e.owner = new.owner
        AND (e.event_types IS NULL OR new.type IN (SELECT value FROM json_each(e.event_types)))); END;
  CREATE TRIGGER purged AFTER DELETE ON event BEGIN
    UPDATE history SET projected = old.projected WHERE seq = old.seq; END;
  CREATE TABLE delivered AS SELECT *, '' AS id FROM delivery WHERE 0;
  CREATE TRIGGER ended AFTER DELETE ON delivery BEGIN INSERT INTO delivered
    SELECT DELIVERY_COLUMNS, (SELECT id FROM history WHERE seq = old.event_seq); END`;

const READ_HISTORY = `
  SELECT h.seq, h.id, h.owner, h.type, h.resource, h.resource_id, h.change, h.data,
    iif(e.seq IS NULL, h.projected, e.projected) AS projected, h.wanted
  FROM history AS h LEFT JOIN event AS e ON e.seq = h.seq ORDER BY h.seq`;

const READ_DELIVERIES = `
  SELECT d.*, h.id FROM delivery AS d JOIN history AS h ON h.seq = d.event_seq
  UNION ALL SELECT * FROM delivered ORDER BY event_seq, endpoint_id`;

/** The Worker logs what goes wrong, which here is all the time. */
function beQuiet(): void {
  for (const method of ["log", "warn", "error"] as const) {
    vi.spyOn(console, method).mockImplementation(() => {});
  }
}

function openHistory({ sqlite }: D1Double): void {
  const columns = sqlite.prepare("SELECT name FROM pragma_table_info('delivery')").all();
  const old = columns.map(({ name }) => `old.${String(name)}`).join(", ");
  sqlite.exec(HISTORY.replace("DELIVERY_COLUMNS", old));
}

/** Opens a world at the beginning of virtual time. */
export function openWorld<C extends ConvoyDouble = ModelConvoy>(
  options: WorldOptions<C> = {},
): World<C> {
  startClock();
  resetClock();
  beQuiet();
  const d1 = openDatabase();
  openHistory(d1);
  const kv = kvDouble({ ...(options.kv ?? STALEST) });
  const convoy = options.convoy ?? (modelConvoy() as ConvoyDouble as C);
  const { worker, nouns = LOG_NOUNS } = options;
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

  const call: World["call"] = (actor, method, url, { body, owner = "default" } = {}) => {
    const unknown = { status: null, eventId: null, answer: null, answeredAt: null };
    const noted: Call = { method, url, body: body ?? null, owner, at: Date.now(), ...unknown };
    calls.push(noted);
    void actor.fetch(method, url, body, owner).then(async (response) => {
      noted.answer = (await response.json()) as Call["answer"];
      noted.eventId = response.headers.get("X-Event-Id");
      noted.answeredAt = Date.now();
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
  const cron = () => cronAt(nextMinute(Date.now()));
  const waiting = d1.sqlite.prepare(
    `SELECT min(due_at) AS due_at FROM (SELECT due_at FROM event WHERE due_at IS NOT NULL
     UNION ALL SELECT due_at FROM delivery WHERE due_at IS NOT NULL
     UNION ALL SELECT 0 FROM delivery JOIN outbox_endpoint AS e ON e.id = endpoint_id WHERE status = 'held' AND e.active
     UNION ALL SELECT due_at FROM endpoint WHERE due_at IS NOT NULL AND there <> 'missing')`,
  );
  /** Limited, as something may wait forever. What is looked for meanwhile is due every few minutes. */
  const runUntilNothingWaits = async (most: number) => {
    for (let run = 0; run < most; run++) {
      const { due_at } = waiting.get() as { due_at: number | null };
      if (due_at === null) return;
      // The walk finds what is sending long before it is looked up.
      const soon = Date.now() + 2 * MINUTE_MS;
      await cronAt(nextMinute(Math.max(Date.now(), Math.min(due_at, soon))));
    }
  };
  /** Sets the event after which the scrub looks: `~` is after all of them. */
  const scrubAfter = (id: "" | "~") =>
    d1.sqlite.exec(`UPDATE cron_state SET scrub_after = '${id}'`);
  const rest = async () => {
    scrubAfter("~");
    await settle();
    await pass(CUT_OFF_MS);
    await runUntilNothingWaits(60);
  };

  return {
    stores,
    nouns,
    d1,
    kv,
    convoy,
    calls,
    latencyMs,
    healthy,
    isolate: () => createIsolate(stores),
    call,
    rows,
    cron,
    rest,
    async reset() {
      await settle();
      beQuiet();
      for (const table of ["event", "delivery", "endpoint", "history", "delivered"]) {
        d1.sqlite.exec(`DELETE FROM ${table}`);
      }
      d1.sqlite.exec(`DELETE FROM history; DELETE FROM delivered; DELETE FROM sqlite_sequence;
        DELETE FROM cron_state; INSERT INTO cron_state (id) VALUES (1)`);
      kv.clear();
      calls.length = 0;
      await convoy.reset();
      resetClock();
    },
    endpoints(...given) {
      const insert = d1.sqlite.prepare(
        `INSERT INTO endpoint (id, owner, wanted, name, url, description, http_timeout_s, event_types, rate_requests,
           rate_per_s, created_at, updated_at) VALUES (?, ?, ?, ?, 'https://e.test/', '', 10, ?, ?, ?, 0, 0)`,
      );
      for (const one of given.map((each) => (typeof each === "string" ? { id: each } : each))) {
        const { id, owner = "default", paused, types, rate } = one as EndpointGiven;
        const limit = [rate?.requests ?? null, rate?.perS ?? null];
        const taken = types ? JSON.stringify(types) : null;
        insert.run(id, owner, paused ? "paused" : "active", id, taken, ...limit);
      }
    },
    async ask(method, url, sent) {
      const actor = createActor(stores, healthy);
      const noted = call(actor, method, url, sent);
      await goOnUntil(actor.idle);
      await convoy.idle();
      return noted;
    },
    async createMany(count, owner = "default") {
      const begin = createIsolate(stores);
      const made: Call[] = [];
      while (made.length < count) {
        const actors = Array.from({ length: Math.min(100, count - made.length) }, () => {
          const actor = begin(healthy);
          made.push(call(actor, "POST", "/thing", { body: { name: "bolt" }, owner }));
          return actor;
        });
        await goOnUntil(() => actors.every((actor) => actor.idle()));
        await settle();
      }
      await convoy.idle();
      return made.flatMap(({ status, eventId }) => (status === 201 && eventId ? [eventId] : []));
    },
    async cronUntil(done, most) {
      for (let runs = 0; runs < most; runs++) {
        if (done()) return runs;
        await cron();
      }
      return done() ? most : Number.POSITIVE_INFINITY;
    },
    async recover() {
      await rest();
      scrubAfter("");
      await pass(SCRUB_DUE_MS);
      await cron();
      await cronAt(nextMinute(Date.now() + 4 * MINUTE_MS));
      await runUntilNothingWaits(60);
    },
    history: () =>
      rows<Committed & { wanted: string }>(READ_HISTORY).map((row) => ({
        ...row,
        wanted: JSON.parse(row.wanted) as string[],
      })),
    deliveries: () => rows<Delivered>(READ_DELIVERIES),
    statuses() {
      const counted = rows<{ status: string; n: number }>(
        "SELECT status, count(*) AS n FROM delivery GROUP BY status",
      );
      return Object.fromEntries(counted.map(({ status, n }) => [status, n]));
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
