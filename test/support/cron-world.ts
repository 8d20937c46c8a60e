/** The cron, minute by minute in virtual time, over a log as requests left it: no callers, no isolates, no Convoy's API. */
import path from "node:path";
import { vi } from "vitest";
import { type Report, runCron, type Task } from "../../src/outbox/cron.ts";
import type { GatewayDelivery, Listed, Post, Posted, Window } from "../../src/outbox/gateway.ts";
import { lendHand } from "../../src/outbox/hand.ts";
import type { Bindings } from "../../src/settings.ts";
import { type D1Double, openD1 } from "./d1-sqlite.ts";
import { FRESH, kvDouble } from "./kv.ts";
import { eventIdOf, type LeftDelivery, type LeftEndpoint } from "./log-rows.ts";
import { scriptedOutbox } from "./scripted-gateway.ts";
import { goOnUntil, pass, resetClock, startClock } from "./virtual-clock.ts";

const MINUTE_MS = 60_000;

/** How long each call takes, in ms. */
const LATENCY_MS = { gateway: 100, d1: 10 };

/** A post as the gateway saw it. */
export type SeenPost = Post & { at: number };

/** What a test may set. `tasks`: the cron's others. */
export type CronWorldOptions = {
  script: (post: Post) => Posted;
  settings?: Partial<Bindings>;
  tasks?: Task[];
};

/** The world. */
export type CronWorld = {
  d1: D1Double;
  posts: SeenPost[];
  reports: Report[];
  /** Most subrequests of one invocation. */
  most: () => number;
  endpoints: (left: LeftEndpoint[]) => void;
  /** Leaves events with one delivery each. @returns their ids */
  leave: (count: number, given: LeftDelivery) => string[];
  /** Runs the cron at the next full minute, and whatever it asked. */
  cron: () => Promise<void>;
  /** Runs the cron until `done`. @returns minutes; Infinity if it takes more than `most` */
  minutesUntil: (done: () => boolean, most: number) => Promise<number>;
  /** Whether all of these were accepted. */
  accepted: (ids: string[]) => boolean;
  rows: <T>(sql: string) => T[];
  close: () => void;
};

/** As the gateway lists a delivery that has arrived; its id is its place in the list. */
function arrived({ key, endpointId }: Post, place: number): GatewayDelivery {
  const state = { progress: "success" as const, attempts: 1, nextTryAt: null };
  const times = { createdAt: Date.now(), updatedAt: Date.now() };
  return { id: String(place), key, endpointId, ...state, ...times, endpointActive: true };
}

/** Opens a world at the beginning of virtual time. */
export function openCronWorld({ script, settings = {}, tasks = [] }: CronWorldOptions): CronWorld {
  startClock();
  resetClock();
  const reports: Report[] = [];
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "log").mockImplementation((line) => {
    reports.push((JSON.parse(line) as { cron: Report }).cron);
  });
  const d1 = openD1({ migrations: path.resolve(import.meta.dirname, "../../migrations") });
  const later = <T>(ms: number, value: T) =>
    new Promise<T>((resolve) => setTimeout(() => resolve(value), ms));
  const posts: SeenPost[] = [];
  const taken = new Set<string>();
  const made: GatewayDelivery[] = [];
  const take = (post: Post) => {
    posts.push({ ...post, at: Date.now() });
    const answer = script(post);
    if (answer.kind === "accepted") {
      taken.add(post.key.split(".")[0] ?? "");
      made.push(arrived(post, made.length));
    }
    return later(LATENCY_MS.gateway, answer);
  };
  /** All that it took has arrived. */
  const list = ({ fromMs, toMs, cursor, limit, endpointIds }: Window): Promise<Listed> => {
    const hits = made.filter(
      ({ createdAt, endpointId }, at) =>
        createdAt >= fromMs &&
        createdAt <= toMs &&
        at >= Number(cursor ?? 0) &&
        (endpointIds?.includes(endpointId) ?? true),
    );
    const next = hits[limit]?.id ?? null;
    return later(LATENCY_MS.gateway, { kind: "page", deliveries: hits.slice(0, limit), next });
  };
  const { outbox, bind } = scriptedOutbox(take, list);
  let most = 0;
  /** What one invocation is given; its subrequests are counted. */
  const invocation = (): Bindings => {
    let spent = 0;
    const spend = () => {
      most = Math.max(most, ++spent);
    };
    const db = d1.view(async (_, run) => {
      spend();
      await later(LATENCY_MS.d1, null);
      return run();
    });
    const bound = bind({ DB: db, KV: kvDouble({ ...FRESH }).kv } as Bindings);
    const { fetch } = bound.CONVOY as unknown as { fetch: (request: Request) => Promise<Response> };
    const counted = (request: Request) => {
      spend();
      return fetch(request);
    };
    const convoy = { CONVOY_API_KEY: "local", CONVOY_PROJECT_ID: "local", AUTH: "open" };
    return { ...bound, ...convoy, ...settings, CONVOY: { fetch: counted as never } };
  };
  const rows = <T>(sql: string) => d1.sqlite.prepare(sql).all() as T[];
  const insert = (table: string, row: object) => {
    const names = Object.keys(row);
    const sql = `INSERT INTO ${table} (${names}) VALUES (${names.map(() => "?")})`;
    d1.sqlite.prepare(sql).run(...(Object.values(row) as string[]));
  };
  let seq = 0;

  const cron = async () => {
    await pass(MINUTE_MS - (Date.now() % MINUTE_MS));
    let isOver = false;
    const ask = (task: Parameters<typeof lendHand>[2]) => lendHand(invocation(), outbox, task);
    const end = () => {
      isOver = true;
    };
    void runCron(invocation(), outbox, { tasks, ask }).then(end, end);
    await goOnUntil(() => isOver);
  };
  return {
    d1,
    posts,
    reports,
    most: () => most,
    rows,
    cron,
    endpoints(left) {
      for (const { id, owner, active = true, rate } of left) {
        const texts = { name: id, url: `https://${id}.example`, description: "" };
        const limit = { rate_requests: rate?.requests ?? null, rate_per_s: rate?.perS ?? null };
        const times = { http_timeout_s: 10, created_at: 1, updated_at: 1 };
        insert("endpoint", {
          ...{ id, owner, wanted: active ? "active" : "paused", ...texts, ...limit, ...times },
        });
      }
    },
    leave(count, { occurred_at = Date.now(), ...given }) {
      const ids: string[] = [];
      d1.sqlite.exec("BEGIN");
      for (let n = 0; n < count; n++) {
        const id = eventIdOf(++seq);
        ids.push(id);
        const { owner = "a", type = "ping" } = given;
        insert("event", { seq, id, owner, type, occurred_at });
        const status = { status: "pending", due_at: given.status === "held" ? null : Date.now() };
        const same = { event_seq: seq, endpoint_id: `${owner}1`, owner, type };
        insert("delivery", { ...same, ...status, ...given });
      }
      d1.sqlite.exec("COMMIT");
      return ids;
    },
    async minutesUntil(done, limit) {
      for (let minutes = 0; minutes <= limit; minutes++) {
        if (done()) return minutes;
        await cron();
      }
      return Number.POSITIVE_INFINITY;
    },
    accepted: (ids) => ids.every((id) => taken.has(id)),
    close() {
      d1.close();
      vi.clearAllTimers();
      vi.restoreAllMocks();
      vi.useRealTimers();
    },
  };
}
