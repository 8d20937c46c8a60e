/** Every setting of the Worker (docs/settings.md), parsed together: one that is wrong is loud everywhere. */
import { type Keys, keysOf } from "./keys.ts";
import {
  apiAddress,
  BadValue,
  hosts,
  key,
  onOff,
  origins,
  type Reader,
  type Refusal,
  readerOf,
  secret,
  text,
  whole,
  word,
} from "./setting-values.ts";

/** Names of all settings: vars, secrets, or environment variables of `npm run dev`. */
export const SETTING_NAMES = [
  "AUTH",
  "AUTH_SECRET",
  "AUTH_JWKS_URL",
  "AUTH_ISSUER",
  "AUTH_AUDIENCE",
  "PORTAL_SECRET",
  "PORTAL",
  "OPEN_HOSTS",
  "CONVOY_BASE_URL",
  "CONVOY_API_KEY",
  "CONVOY_PROJECT_ID",
  "CORS_ORIGINS",
  "WALK_DELAY_S",
  "HELD_DAYS",
  "RETENTION_DAYS",
  "SUBREQUEST_BUDGET",
  "HANDS",
  "ENDPOINTS_MAX",
  "PRIVATE_ADDRESSES",
] as const;

/** A setting's name. */
export type SettingName = (typeof SETTING_NAMES)[number];

/** Settings that are secrets: the only ones that `npm run deploy` takes from a secrets file. */
export const SECRET_NAMES = [
  "AUTH_SECRET",
  "PORTAL_SECRET",
  "CONVOY_API_KEY",
  "CONVOY_PROJECT_ID",
] as const satisfies SettingName[];

/** Settings of 0.1.0 that are constants now, or have another name: ignored, and named in the cron's line. */
const GONE_NAMES = [
  "AUDIT",
  "AUDIT_DELAY_S",
  "AUDIT_PATIENCE_S",
  "EVENT_MAX_TRIES",
  "EVENT_MAX_AGE_H",
] as const;

/** The settings that say which Convoy, and who we are there. */
export const CONVOY_SETTINGS = ["CONVOY_BASE_URL", "CONVOY_API_KEY", "CONVOY_PROJECT_ID"] as const;

/** Convoy Cloud's US address (its OpenAPI document, `servers`). */
const DEFAULT_CONVOY_BASE_URL = "https://us.getconvoy.cloud/api";
const DAY_MS = 86_400_000;

/** Settings as they are given. `[vars]` may hold other JSON than text, which is taken where it is plain. */
export type GivenSettings = { [name in SettingName]?: string | undefined };

/** The Worker's environment: storage, settings, and two optional bindings. */
export type Bindings = {
  KV: KVNamespace;
  DB: D1Database;
  /** Per-owner rate limit; absent means no limit. */
  RATE_LIMIT?: RateLimit;
  /** A way to Convoy other than the public internet (service or VPC binding); absent means fetch. */
  CONVOY?: Pick<Fetcher, "fetch">;
} & { [name in SettingName]?: string };

/** The settings, parsed. */
export type Settings = {
  /** "open": everyone on this machine and these hosts is one owner. "jwt": the keys check tokens. */
  auth: { mode: "open"; hosts: readonly string[] } | ({ mode: "jwt" } & Keys);
  /** Whether owners can get portal links, and the links that they have work. */
  portal: boolean;
  /** Origins that browsers may call from. */
  origins: readonly string[];
  convoy: { baseUrl: string; apiKey: string; projectId: string };
  /** How long after its post a delivery is looked for in Convoy's list. */
  walkDelayMs: number;
  /** How long a held delivery waits for its endpoint before it is dead. */
  heldMs: number;
  /** How long finished events stay in the log. */
  retentionMs: number;
  /** Subrequests of one run of the cron. */
  subrequestBudget: number;
  /** Further invocations that one run of the cron may use; 0: none. */
  hands: number;
  /** Endpoints of one owner. */
  endpointsMax: number;
  /** Whether endpoints may be at private and loopback addresses. */
  privateAddresses: boolean;
  /** Names of settings that are set but no longer exist. */
  ignored: readonly string[];
};

/** A setting is missing or wrong: answered with 503 and this message, which says what to set. */
export class SettingError extends Error {
  override readonly name = "SettingError";
}

type Name = SettingName | "KV" | "DB";
type Environment = Partial<Bindings> | GivenSettings;
type Parsed = { settings: Settings; refusals: Refusal<Name>[] };

// The platform gives every request of an isolate the same environment.
const parsed = new WeakMap<Environment, Parsed>();

/**
 * The settings of this environment.
 * @param only a script's few: others may be missing or wrong
 * @throws SettingError that names everything that is missing or wrong, and what it takes
 */
export function settingsOf(env: Environment, only?: readonly SettingName[]): Settings {
  const { settings, refusals } = parsedOf(env);
  const counted = only ? refusals.filter(({ name }) => only.some((one) => one === name)) : refusals;
  if (counted.length === 0) return settings;
  throw new SettingError(counted.map(({ sentence }) => sentence).join(" "));
}

/** Origins that may read even the 503 about other settings that are wrong. */
export function originsOf(env: Environment): readonly string[] {
  return parsedOf(env).settings.origins;
}

/**
 * The secret's bytes.
 * @throws SettingError if it is too weak to sign tokens
 */
export function strong(name: string, given: string): Uint8Array {
  const refusals: Refusal<string>[] = [];
  const bytes = readerOf({ [name]: given || " " }, refusals).take(name, secret, undefined);
  if (bytes) return bytes;
  throw new SettingError(refusals[0]?.sentence);
}

function parsedOf(env: Environment): Parsed {
  const known = parsed.get(env);
  if (known) return known;
  const refusals: Refusal<Name>[] = [];
  const reader = readerOf<Name>(env, refusals);
  for (const [name, what] of [
    ["KV", "KV namespace"],
    ["DB", "D1 database"],
  ] as const) {
    if (!reader.has(name)) {
      reader.refuse(name, `The ${what} "${name}" is not bound: see wrangler.toml.`);
    }
  }
  const ignored = GONE_NAMES.filter(
    (name) => (env as { [name: string]: unknown })[name] !== undefined,
  );
  const made = { settings: { ...parse(reader), ignored }, refusals };
  parsed.set(env, made);
  return made;
}

function parse(reader: Reader<SettingName>): Omit<Settings, "ignored"> {
  const { take } = reader;
  const count = (name: SettingName, otherwise: number, min: number, max: number) =>
    take(name, (given) => whole(given, otherwise, min, max), otherwise);
  const mode = take("AUTH", (given) => word(given, ["jwt", "open"] as const), undefined) ?? "jwt";
  const openHosts = take("OPEN_HOSTS", hosts, []);
  const addresses = (given: unknown) => word(given, ["allow", "refuse"]);
  return {
    auth: mode === "open" ? { mode, hosts: openHosts } : { mode, ...keysOf(reader) },
    portal: take("PORTAL", (given) => onOff(given, true), true),
    origins: take("CORS_ORIGINS", origins, []),
    convoy: {
      baseUrl: take("CONVOY_BASE_URL", apiAddress, undefined) ?? DEFAULT_CONVOY_BASE_URL,
      apiKey: needed(reader, "CONVOY_API_KEY", key),
      projectId: needed(reader, "CONVOY_PROJECT_ID", text),
    },
    // Convoy lists an event within seconds; two minutes leave it time to finish.
    walkDelayMs: count("WALK_DELAY_S", 120, 0, 86_400) * 1_000,
    heldMs: count("HELD_DAYS", 30, 1, 3_650) * DAY_MS,
    // Longer than any stale read, and long enough to look an event up on Monday.
    retentionMs: count("RETENTION_DAYS", 7, 1, 3_650) * DAY_MS,
    // The free plan's 50 subrequests per invocation, less a few; 10,000 on the paid plan.
    subrequestBudget: count("SUBREQUEST_BUDGET", 45, 20, 10_000),
    // A request may make at most 32 invocations of Workers.
    hands: count("HANDS", 8, 0, 32),
    // One change becomes this many webhooks.
    endpointsMax: count("ENDPOINTS_MAX", 50, 1, 10_000),
    // While AUTH is "open" the receivers are on the developer's own machine.
    privateAddresses:
      (take("PRIVATE_ADDRESSES", addresses, undefined) ?? fallback(mode)) === "allow",
  };
}

function fallback(mode: "jwt" | "open") {
  return mode === "open" ? "allow" : "refuse";
}

/** Text that is required: what it reads, or words on how to set it. */
function needed({ take }: Reader<SettingName>, name: SettingName, read: typeof text): string {
  const readSet = (given: unknown) => {
    const value = read(given);
    if (value !== undefined) return value;
    throw new BadValue(
      `is not set: put it into .dev.vars, or run \`npx wrangler secret put ${name}\`.`,
    );
  };
  return take(name, readSet, "");
}
