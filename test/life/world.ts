/** The Worker, its stores and a model of Convoy on virtual time, for the whole life of events. */
import { vi } from "vitest";
import type { Bindings } from "../../src/config.ts";
import {
  type Actor,
  type Around,
  createIsolate,
  openDatabase,
  type Step,
} from "../support/actors.ts";
import type { D1Double } from "../support/d1-sqlite.ts";
import { memoryKv } from "../support/memory-kv.ts";
import { type ModelConvoy, modelConvoy, type Trouble } from "../support/model-convoy.ts";
import { randomOf } from "../support/random.ts";
import { goOnUntil, resetClock, settle, startClock } from "../support/virtual-clock.ts";

const MINUTE_MS = 60_000;

/** A row, as far as the tests look at it. */
export type Row = {
  id: string;
  endpoint_id: string | null;
  state: string;
  stored: number | null;
  replays: number;
  attempts: number;
  stranded: number;
  due_at: number | null;
};

/** One world. */
export type Life = {
  d1: D1Double;
  kv: KVNamespace;
  convoy: ModelConvoy;
  random: () => number;
  /** How long a step takes, in ms, by its store. */
  latencyMs: Partial<Record<Step["store"], number>>;
  /** Runs every step as it comes, after its latency. */
  healthy: Around;
  /** A new isolate of the Worker. */
  isolate: () => (around: Around) => Actor;
  /** Records endpoints of the owner, as if they had been made. */
  endpoints: (ids: string[]) => void;
  /** Begins a change with its waitUntil; its answer once there is one. */
  create: (actor: Actor, endpointId?: string) => Promise<Response>;
  /** A healthy run of the cron at the next full minute, to its end. @returns how long it took, in ms */
  cron: () => Promise<number>;
  rows: <T = Row>(sql?: string) => T[];
  states: () => Record<string, number>;
  close: () => void;
};

/** Opens one; virtual time begins anew. */
export function openLife(
  settings: Partial<Bindings> = {},
  {
    seed = 1,
    trouble = {},
    kv = memoryKv(),
  }: { seed?: number; trouble?: Partial<Trouble>; kv?: KVNamespace } = {},
): Life {
  startClock();
  resetClock();
  for (const level of ["log", "warn", "error"] as const) {
    vi.spyOn(console, level).mockImplementation(() => {});
  }
  const random = randomOf(seed);
  const d1 = openDatabase();
  const convoy = modelConvoy(random, trouble);
  const isolate = () => createIsolate({ d1, kv, convoy, settings });
  const rows = <T = Row>(sql = "SELECT * FROM event ORDER BY seq") =>
    d1.sqlite.prepare(sql).all() as T[];
  const latencyMs: Life["latencyMs"] = {};
  const healthy: Around = async (step, run) => {
    const ms = latencyMs[step.store] ?? 0;
    if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
    return run();
  };
  return {
    d1,
    kv,
    convoy,
    random,
    latencyMs,
    healthy,
    isolate,
    rows,
    endpoints(ids) {
      const insert = d1.sqlite.prepare(
        `INSERT INTO endpoint (id, owner, name, url, description, http_timeout_s, status, subscription_id,
           created_at, updated_at) VALUES (?, 'default', 'e', 'https://e.test/', '', 10, 'active', 's', 0, 0)`,
      );
      for (const id of ids) insert.run(id);
    },
    create: (actor, endpointId) =>
      actor.fetch("POST", `/todo${endpointId ? `?endpoint=${endpointId}` : ""}`, { item: "milk" }),
    async cron() {
      const at = Math.ceil((Date.now() + 1) / MINUTE_MS) * MINUTE_MS;
      await new Promise<void>((resolve, reject) => {
        setTimeout(resolve, at - Date.now());
        void goOnUntil(() => Date.now() >= at).catch(reject);
      });
      const actor = isolate()(healthy);
      void actor.scheduled(at);
      await goOnUntil(actor.idle);
      return Date.now() - at;
    },
    states() {
      const counted = rows<{ state: string; n: number }>(
        "SELECT state, count(*) AS n FROM event GROUP BY state",
      );
      return Object.fromEntries(counted.map(({ state, n }) => [state, n]));
    },
    close() {
      d1.close();
      vi.clearAllTimers();
      vi.restoreAllMocks();
      vi.useRealTimers();
    },
  };
}

/** Creates `count` todos, `atOnce` of them at the same time, with all of their waitUntil. @returns the events' ids */
export async function createMany(
  life: Life,
  count: number,
  { atOnce = 100, endpointOf = () => undefined as string | undefined } = {},
): Promise<string[]> {
  const begin = life.isolate();
  const ids: string[] = [];
  for (let made = 0; made < count; made += atOnce) {
    const actors: Actor[] = [];
    for (let i = made; i < Math.min(made + atOnce, count); i++) {
      const actor = begin(life.healthy);
      actors.push(actor);
      void life.create(actor, endpointOf()).then((response) => {
        const id = response.headers.get("X-Event-Id");
        if (response.status === 201 && id) ids.push(id);
      });
    }
    await goOnUntil(() => actors.every((actor) => actor.idle()));
    await settle();
  }
  return ids;
}
