/** Every setting of the Worker (docs/settings.md), parsed together: one that is wrong is loud everywhere. */
import { type Keys, keysOf } from "./keys.ts";
import {
  apiAddress,
  type BadValue,
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
  try {
    return secret(given);
  } catch (error) {
    throw new SettingError(`${name} ${(error as BadValue).message}`);
  }
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
  const { take, has, refuse } = reader;
  const needed = (name: SettingName, read: (given: unknown) => string) => {
    const how = `put it into .dev.vars, or run \`npx wrangler secret put ${name}\`.`;
    if (!has(name)) refuse(name, `${name} is not set: ${how}`);
    return take(name, read, "");
  };
  const mode = take("AUTH", word("jwt", "open"), "jwt");
  const openHosts = take("OPEN_HOSTS", hosts, []);
  return {
    auth: mode === "open" ? { mode, hosts: openHosts } : { mode, ...keysOf(reader) },
    portal: take("PORTAL", onOff, true),
    origins: take("CORS_ORIGINS", origins, []),
    convoy: {
      baseUrl: take("CONVOY_BASE_URL", apiAddress, DEFAULT_CONVOY_BASE_URL),
      apiKey: needed("CONVOY_API_KEY", key),
      projectId: needed("CONVOY_PROJECT_ID", text),
    },
    // Convoy lists an event within seconds; two minutes leave it time to finish.
    walkDelayMs: take("WALK_DELAY_S", whole(0, 86_400), 120) * 1_000,
    heldMs: take("HELD_DAYS", whole(1, 3_650), 30) * DAY_MS,
    // Longer than any stale read, and long enough to look an event up on Monday.
    retentionMs: take("RETENTION_DAYS", whole(1, 3_650), 7) * DAY_MS,
    // The free plan's 50 subrequests per invocation, less a few; 10,000 on the paid plan.
    subrequestBudget: take("SUBREQUEST_BUDGET", whole(20, 10_000), 45),
    // A request may make at most 32 invocations of Workers.
    hands: take("HANDS", whole(0, 32), 8),
    // One change becomes this many webhooks.
    endpointsMax: take("ENDPOINTS_MAX", whole(1, 10_000), 50),
    // While AUTH is "open" the receivers are on the developer's own machine.
    privateAddresses:
      take("PRIVATE_ADDRESSES", word("allow", "refuse"), mode === "open" ? "allow" : "refuse") ===
      "allow",
  };
}
