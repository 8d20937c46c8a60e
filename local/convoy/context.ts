// What all parts of a local Convoy share: settings with their defaults, the database, the clock, the listeners.
import { monotonicFactory } from "ulid";
import { type Database, openDatabase } from "./database.ts";
import { createFaults, type FaultControl } from "./faults.ts";
import { sendHttp } from "./send.ts";
import { type TtlCache, ttlCache } from "./ttl-cache.ts";

/** The two behaviours: "26.6" is v26.6.6 to v26.7.2, "26.7" is v26.7.3, from which the recordings come. */
export const VERSIONS = ["26.6", "26.7"] as const;
export type ConvoyVersion = (typeof VERSIONS)[number];

/** Key and project id: nothing that could be mistaken for a real secret. */
export const LOCAL_CREDENTIAL = "local";
/** Time between two attempts of a delivery: Convoy's default strategy, linear. */
export const RETRY_INTERVAL_MS = 100_000;
/** Attempts before a delivery is given up: Convoy's default. */
const RETRY_LIMIT = 10;
/** How long the agent of 26.6 keeps using an endpoint it has read, whatever the API has changed since (seen). */
const ENDPOINT_CACHE_MS = 120_000;
/** The same for an endpoint's subscriptions (seen). */
const SUBSCRIPTION_CACHE_MS = 30_000;

type Options = {
  version: ConvoyVersion;
  /** Without a licence a subscription takes all types, and only API keys authenticate. */
  licensed: boolean;
  file: string;
  /** The project that the key belongs to. */
  projectId: string;
  retry: { intervalMs: number; limit: number };
  /** How a delivery is sent; by default plain HTTP with exactly Convoy's headers. */
  deliver: typeof fetch;
  /** The clock, in Unix milliseconds. */
  now: () => number;
  /** The Worker's address in `npm run dev`, for the curl commands that the inbox shows. */
  workerUrl: string;
};

const DEFAULTS: Options = {
  version: "26.7",
  licensed: false,
  file: ":memory:",
  projectId: LOCAL_CREDENTIAL,
  retry: { intervalMs: RETRY_INTERVAL_MS, limit: RETRY_LIMIT },
  deliver: sendHttp,
  now: () => Date.now(),
  workerUrl: "http://0.0.0.0:8080",
};

/** Settings of a local Convoy; the defaults suit tests. */
export type ConvoyOptions = Partial<Omit<Options, "retry">> & { retry?: Partial<Options["retry"]> };

/** A change to a delivery or to the inbox as a whole, as the page's stream carries it. */
export type InboxChange =
  | { kind: "delivery"; id: string }
  | { kind: "cleared" | "faults" | "endpoint" };

export type Context = {
  options: Options;
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
export function createContext(given: ConvoyOptions): Context {
  const options = { ...DEFAULTS, ...given, retry: { ...DEFAULTS.retry, ...given.retry } };
  const { version, file, now } = options;
  const cache = (ms: number) => ttlCache(version === "26.6" ? ms : 0, now);
  const listeners = new Set<(change: InboxChange) => void>();
  const ulid = monotonicFactory();
  const publish = (change: InboxChange) => {
    for (const listener of listeners) listener(change);
  };
  return {
    options,
    db: openDatabase(file),
    faults: createFaults(() => publish({ kind: "faults" })),
    agent: { endpoints: cache(ENDPOINT_CACHE_MS), subscriptions: cache(SUBSCRIPTION_CACHE_MS) },
    id: () => ulid(now()),
    timestamp: () => new Date(now()).toISOString(),
    listeners,
    publish,
  };
}
