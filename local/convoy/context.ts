// What all parts of a local Convoy share: settings with their defaults, the database, the clock, the listeners.
import { monotonicFactory } from "ulid";
import {
  DEFAULT_VERSION,
  ENDPOINT_CACHE_MS,
  LOCAL_CREDENTIAL,
  RETRY_INTERVAL_MS,
  RETRY_LIMIT,
  SUBSCRIPTION_CACHE_MS,
  type VERSIONS,
} from "../config.ts";
import { type Database, openDatabase } from "./database.ts";
import { createFaults, type FaultControl } from "./faults.ts";
import { sendHttp } from "./send.ts";
import { type TtlCache, ttlCache } from "./ttl-cache.ts";

/** Which Convoy is imitated: "26.6" is v26.6.6 to v26.7.2, "26.7" is v26.7.3. */
export type ConvoyVersion = (typeof VERSIONS)[number];

/** Settings of a local Convoy; the defaults suit tests. */
export type ConvoyOptions = {
  /** Which Convoy is imitated; "26.7" by default. */
  version?: ConvoyVersion;
  /** Whether it has a licence; without one, by default, a subscription takes all types, and only API keys authenticate. */
  licensed?: boolean;
  /** The SQLite file that holds its state; ":memory:" by default. */
  file?: string;
  /** The key it accepts in `Authorization: Bearer`; "local" by default. */
  apiKey?: string;
  /** The project that key belongs to; "local" by default. */
  projectId?: string;
  /** How deliveries are retried; by default as Convoy does: every 100 s, ten times. */
  retry?: { intervalMs?: number; limit?: number };
  /** How a delivery is sent; by default plain HTTP with exactly Convoy's headers. */
  deliver?: typeof fetch;
  /** Whether deliveries may leave this machine; by default they are kept in the inbox and count as answered 200. */
  publicHosts?: boolean;
  /** Whether accepted events are processed automatically; if false, only by `process()`. */
  autoDeliver?: boolean;
  /** The clock, in Unix milliseconds; Date.now by default. */
  now?: () => number;
  /** The Worker's address in `npm run dev`, for the curl commands that the inbox shows. */
  workerUrl?: string;
};

/** A change to a delivery or to the inbox as a whole, as the page's stream carries it. */
export type InboxChange =
  | { kind: "delivery"; id: string }
  | { kind: "cleared" | "faults" | "endpoint" };

/** The state that routes, store and engine share. */
export type Context = {
  options: Required<Omit<ConvoyOptions, "retry" | "deliver">> & {
    retry: { intervalMs: number; limit: number };
    deliver: typeof fetch;
  };
  db: Database;
  faults: FaultControl;
  /** What the agent has cached; on 26.7 it always reads afresh. */
  agent: { endpoints: TtlCache; subscriptions: TtlCache };
  /** A new ULID, always greater than the last. */
  id(): string;
  /** The current time as Convoy writes it: RFC 3339 in UTC. */
  timestamp(): string;
  listeners: Set<(change: InboxChange) => void>;
  publish(change: InboxChange): void;
};

/** Fills in defaults and opens the database. */
export function createContext(options: ConvoyOptions): Context {
  const now = options.now ?? Date.now;
  const version = options.version ?? DEFAULT_VERSION;
  const cache = (ms: number) => ttlCache(version === "26.6" ? ms : 0, now);
  const listeners = new Set<(change: InboxChange) => void>();
  const ulid = monotonicFactory();
  const publish = (change: InboxChange) => {
    for (const listener of listeners) listener(change);
  };
  return {
    options: {
      version,
      licensed: options.licensed ?? false,
      file: options.file ?? ":memory:",
      apiKey: options.apiKey ?? LOCAL_CREDENTIAL,
      projectId: options.projectId ?? LOCAL_CREDENTIAL,
      retry: {
        intervalMs: options.retry?.intervalMs ?? RETRY_INTERVAL_MS,
        limit: options.retry?.limit ?? RETRY_LIMIT,
      },
      deliver: options.deliver ?? sendHttp,
      publicHosts: options.publicHosts ?? false,
      autoDeliver: options.autoDeliver ?? true,
      now,
      workerUrl: options.workerUrl ?? "http://0.0.0.0:8080",
    },
    db: openDatabase(options.file ?? ":memory:"),
    faults: createFaults(() => publish({ kind: "faults" })),
    agent: {
      endpoints: cache(ENDPOINT_CACHE_MS),
      subscriptions: cache(SUBSCRIPTION_CACHE_MS),
    },
    id: () => ulid(now()),
    timestamp: () => new Date(now()).toISOString(),
    listeners,
    publish,
  };
}
