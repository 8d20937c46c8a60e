/** A world for the crash matrix: log, KV at its worst, local Convoy, callers who note what they were told. */
import { vi } from "vitest";
import { type ConvoyOptions, createConvoy } from "../../local/convoy/index.ts";
import type { Bindings } from "../../src/config.ts";
import { type Actor, type Around, createActor, openDatabase, type Stores } from "./actors.ts";
import type { D1Double } from "./d1-sqlite.ts";
import { type StalestKv, stalestKv } from "./stalest-kv.ts";
import { goOnUntil, pass, resetClock, settle, startClock } from "./virtual-clock.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Longer than a lease and than any stale read (src/config.ts). */
const CUT_OFF_MS = 95_000;

/** A call and what its caller was told: `status` null where there was no answer. */
export type Call = {
  method: string;
  url: string;
  body: Record<string, unknown> | null;
  status: number | null;
  eventId: string | null;
  answer: Record<string, unknown> | null;
};

/** An event as it was committed; kept when the log's row is purged. */
export type Committed = {
  seq: number;
  id: string;
  type: string;
  endpoint_id: string | null;
  todo_id: number | null;
  todo: string | null;
};

/** What the local Convoy accepted. `body` is the webhook's. */
export type Accepted = { key: string; duplicate: boolean; status: string; body: string };

/** The shared world. `calls` is what callers know; the rest is what is really there. */
export type World = {
  stores: Stores;
  d1: D1Double;
  kv: StalestKv;
  calls: Call[];
  /** Everything begins again: empty stores, no calls, the beginning of time. */
  reset: () => Promise<void>;
  /** Calls the Worker as `actor` and notes the answer once there is one. */
  call: (actor: Actor, method: string, url: string, body?: Record<string, unknown>) => Call;
  /** A healthy call, to its end, waitUntil included. */
  ask: (method: string, url: string, body?: Record<string, unknown>) => Promise<Call>;
  /** A healthy run of the cron at the next full minute. */
  cron: () => Promise<void>;
  /** Time passes: leases and caches run out, the cron runs until nothing waits, but not at the full hour. */
  rest: () => Promise<void>;
  /** As `rest`, and then the scrub and the reconcile have their turn. */
  recover: () => Promise<void>;
  /** What is still on its way: rows of the log, moves of endpoints. */
  waiting: () => number;
  history: () => Committed[];
  accepted: () => Promise<Accepted[]>;
  inbox: <T>(path: string, limit?: number) => Promise<T[]>;
  rows: <T>(sql: string) => T[];
  /** Resolves when Convoy has nothing on its way. */
  idle: () => Promise<void>;
  close: () => Promise<void>;
};

/** Runs every step as it comes. */
export const healthy: Around = (_step, run) => run();

/** The Worker says on the console what goes wrong: here that is all the time. */
function beQuiet(): void {
  for (const method of ["log", "warn", "error"] as const) {
    vi.spyOn(console, method).mockImplementation(() => {});
  }
}

/** Opens a world on virtual time; `settings` over the defaults, with a local Convoy of this version. */
export function openWorld(
  settings: Partial<Bindings> = {},
  convoyOptions: Pick<ConvoyOptions, "version"> = {},
): World {
  startClock();
  const d1 = openDatabase();
  // Purge takes rows out of the log; what was promised holds all the same.
  d1.sqlite.exec(`CREATE TABLE history AS SELECT seq, id, type, endpoint_id, todo_id, todo FROM event;
    CREATE TRIGGER remember AFTER INSERT ON event BEGIN INSERT INTO history
      VALUES (new.seq, new.id, new.type, new.endpoint_id, new.todo_id, new.todo); END`);
  const kv = stalestKv();
  const convoy = createConvoy(convoyOptions);
  const stores: Stores = { d1, kv: kv.kv, convoy, settings };
  const calls: Call[] = [];
  const rows = <T>(sql: string) => d1.sqlite.prepare(sql).all() as T[];
  const one = (sql: string) => Object.values(rows<Record<string, number | null>>(sql)[0]!)[0]!;
  const waiting = () =>
    one("SELECT count(*) FROM event WHERE due_at IS NOT NULL") +
    one("SELECT count(*) FROM endpoint WHERE due_at IS NOT NULL");

  const call: World["call"] = (actor, method, url, body) => {
    const noted: Call = {
      method,
      url,
      body: body ?? null,
      status: null,
      eventId: null,
      answer: null,
    };
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
  const nextMinute = (from: number) => Math.ceil((from + 1) / MINUTE_MS) * MINUTE_MS;
  /** At most so many runs: what waits then waits for ever. */
  const runUntilNothingWaits = async (most: number) => {
    for (let run = 0; run < most && waiting() > 0; run++) {
      const due = one("SELECT coalesce(min(due_at), 0) FROM event");
      const moving = waiting() > one("SELECT count(*) FROM event WHERE due_at IS NOT NULL");
      await cronAt(nextMinute(Math.max(Date.now(), moving ? 0 : due)));
    }
  };
  const rest = async () => {
    await settle();
    await pass(CUT_OFF_MS);
    await runUntilNothingWaits(40);
  };
  const inbox = async <T>(what: string, limit = 5_000) => {
    const response = await convoy.fetch(
      new Request(`http://convoy.test/inbox/${what}?limit=${limit}`),
    );
    return ((await response.json()) as { data: T[] }).data;
  };

  return {
    stores,
    d1,
    kv,
    calls,
    call,
    waiting,
    inbox,
    rows,
    idle: () => convoy.idle(),
    async reset() {
      await settle();
      beQuiet();
      d1.sqlite.exec(
        `DELETE FROM event; DELETE FROM endpoint; DELETE FROM history; DELETE FROM sqlite_sequence;
         DELETE FROM delivery_walk; DELETE FROM reposted;
         DELETE FROM cron_state; INSERT INTO cron_state (id) VALUES (1)`,
      );
      kv.clear();
      calls.length = 0;
      await convoy.fetch(new Request("http://convoy.test/inbox/reset", { method: "POST" }));
      resetClock();
    },
    async ask(method, url, body) {
      const actor = createActor(stores, healthy);
      const noted = call(actor, method, url, body);
      await goOnUntil(() => actor.idle());
      await convoy.idle();
      return noted;
    },
    cron: () => cronAt(nextMinute(Date.now())),
    rest,
    async recover() {
      await rest();
      const hour = Math.ceil((Date.now() + 1) / HOUR_MS) * HOUR_MS;
      await cronAt(hour);
      await cronAt(hour + 5 * MINUTE_MS);
      await runUntilNothingWaits(40);
    },
    history: () => rows<Committed>("SELECT * FROM history ORDER BY seq"),
    async accepted() {
      type Raw = {
        idempotency_key: string;
        is_duplicate: boolean;
        swallowed: boolean;
        status: string;
        body: string;
      };
      const all = await inbox<Raw>("events");
      // What it swallowed it only said that it accepted.
      return all
        .filter(({ swallowed }) => !swallowed)
        .map((e) => ({
          key: e.idempotency_key,
          duplicate: e.is_duplicate,
          status: e.status,
          body: e.body,
        }));
    },
    async close() {
      await convoy.close();
      d1.close();
      vi.restoreAllMocks();
      vi.useRealTimers();
    },
  };
}
