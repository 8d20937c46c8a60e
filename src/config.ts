/** Every setting and every number of the Worker, with its unit and its reason. */

/** Names of all settings that are plain strings: vars, secrets, or environment variables of `npm run dev`. */
export const SETTING_NAMES = [
  "AUTH",
  "AUTH_SECRET",
  "AUTH_JWKS_URL",
  "AUTH_ISSUER",
  "AUTH_AUDIENCE",
  "CONVOY_BASE_URL",
  "CONVOY_API_KEY",
  "CONVOY_PROJECT_ID",
  "CORS_ORIGINS",
  "AUDIT",
  "AUDIT_DELAY_S",
  "AUDIT_PATIENCE_S",
  "EVENT_MAX_TRIES",
  "EVENT_MAX_AGE_H",
  "RETENTION_DAYS",
  "SUBREQUEST_BUDGET",
  "ENDPOINTS_MAX",
  "PRIVATE_ADDRESSES",
] as const;

/** A setting's name. */
export type SettingName = (typeof SETTING_NAMES)[number];

/** What the Worker is given: storage, settings, and two bindings that may be absent. */
export type Bindings = {
  KV: KVNamespace;
  DB: D1Database;
  /** Per-owner rate limit; absent means no limit. */
  RATE_LIMIT?: RateLimit;
  /** A way to Convoy that is not the public internet (service or VPC binding); absent means fetch. */
  CONVOY?: Pick<Fetcher, "fetch">;
} & { [name in SettingName]?: string };

/** A setting is missing or wrong: answered with 503 and this message, which says what to set. */
export class SettingError extends Error {
  override readonly name = "SettingError";
}

/** Convoy Cloud's US address (its OpenAPI document, `servers`). */
export const DEFAULT_CONVOY_BASE_URL = "https://us.getconvoy.cloud/api";
/** Pinned, so that Convoy's request and answer formats stay those that were recorded. */
export const CONVOY_VERSION = "2025-11-24";

/** Largest request body, in bytes: a todo of 2,000 characters escaped as \uXXXX is 12 KB. */
export const BODY_MAX_BYTES = 16 * 1024;
/** Characters (code points) of a todo's text. */
export const ITEM_MAX_CHARS = 2_000;
/** Most todos of one page: one KV list gives at most 1,000 keys. */
export const TODO_PAGE_MAX = 1_000;
/** Rows of one page of endpoints or events, unless asked for fewer or more. */
export const PAGE_DEFAULT = 100;
/** Most rows of one page of endpoints or events. */
export const PAGE_MAX = 1_000;

/** KV's limit on metadata, in bytes of its JSON. */
export const KV_METADATA_MAX_BYTES = 1_024;
/** Keys of one bulk read (KV's limit). */
export const KV_BULK_KEYS = 100;
/** KV takes one write a second to a key; a little more, so that the next one is taken. */
export const KV_WRITE_INTERVAL_MS = 1_100;
/** A KV read may be this old, missing keys too. */
export const KV_STALE_MS = 60_000;

/** How long a worker owns a row it works on: waitUntil's 30 s after an answer, three times over. */
export const LEASE_MS = 90_000;
/** How often a commit is tried when the todo changed between statement and explanation. */
export const COMMIT_ROUNDS = 3;
/** How often a statement is sent when the connection to D1 is lost. */
export const D1_TRIES = 3;
/** Wait before a statement is sent again; doubled each time. */
export const D1_RETRY_MS = 50;
/** Puts of one todo in one projection before it is left to the sweeper: others keep changing it. */
export const PROJECT_ROUNDS = 4;

/** One attempt to hand an event to Convoy. */
export const POST_TIMEOUT_MS = 5_000;
/** Waits between the attempts in waitUntil: three of 5 s and these make 20 s of its 30 s. */
export const POST_RETRY_MS = [1_000, 4_000] as const;
/** One call about an endpoint: Convoy pings an https URL for up to 10 s on create. */
export const ENDPOINT_TIMEOUT_MS = 15_000;
/** Convoy's answer while a caller waits for something that is only extra (deliveries of an event). */
export const LOOKUP_TIMEOUT_MS = 5_000;
/** Posts at the same time: a Worker may have six connections waiting for headers. */
export const POST_CONCURRENCY = 5;

/** Rows of one claim; with their posts they fit the free plan's 50 subrequests. */
export const CLAIM_MAX = 45;
/** Time for one sweep: the next one starts after 60 s. */
export const SWEEP_TIME_MS = 45_000;
/** Subrequests kept back from posting, for settling, audit and purge. */
export const SWEEP_RESERVE = 6;
/** When the gateway is down: one probe round a minute, as often as the cron. */
export const GATEWAY_RETRY_MS = 60_000;
/** Rows that were only handed back go before the probes that failed, so that other events probe next. */
export const UNTRIED_RETRY_MS = 50_000;
/** Longest Retry-After that is honoured; a typo there must not stop delivery for days. */
export const RETRY_AFTER_MAX_MS = 3_600_000;
/** First wait after a failure that counts against the event; doubled each time. */
export const BACKOFF_MIN_MS = 60_000;
/** Longest wait between two tries of an event. */
export const BACKOFF_MAX_MS = 3_600_000;
/** Rows whose acceptance is audited at once: one settle statement, and a page holds 100. */
export const AUDIT_CLAIM_MAX = 200;
/** Events of one page of Convoy's list. */
export const AUDIT_PAGE = 100;
/** Convoy's clock and ours may differ by this much. */
export const CLOCK_SKEW_MS = 60_000;
/** Rows of one purge statement; small, since D1 has one writer. */
export const PURGE_BATCH = 500;
/** The scrub looks at todos changed within this time. */
export const SCRUB_WINDOW_MS = 2 * 3_600_000;
/** Todos of one scrub, so that it stays within its share of the budget. */
export const SCRUB_MAX = 1_000;
/** Events brought back by one bulk replay. */
export const REPLAY_MAX = 1_000;

/** How long a change of an endpoint is its maker's alone: three calls of 15 s, and D1. Then the cron ends it. */
export const CHANGE_LEASE_MS = 60_000;
/** How long a creation is left alone before the cron takes it for cut off. */
export const CREATION_LEASE_MS = 5 * 60_000;
/** Waits of a change for the one before it, which takes two calls of Convoy: 6 s in all, then 409. */
export const CHANGE_WAITS_MS = [100, 200, 400, 800, 1_500, 3_000] as const;
/** Endpoints that one run of the cron claims to end their changes. */
export const MOVES_MAX = 5;
/** What Convoy made within this time may be a creation that is still under way: sync does not take it over. */
export const ADOPT_AGE_MS = 5 * 60_000;
/** Endpoints of one page of Convoy's list. */
export const ENDPOINT_PAGE = 100;
/** Subrequests that one sync may use: the free plan's 50, less a few. */
export const SYNC_BUDGET = 40;

/** Deliveries of one page that the cron looks at. */
export const RECOVERY_PAGE = 100;
/** Endpoints of one look or batch retry: their ids make a URL of 2 KB. */
export const RECOVERY_GROUP = 50;
/** How often the deliveries of a status are looked through. */
export const RECOVERY_EVERY_MS = 5 * 60_000;
/** A delivery is stuck when nothing has happened to it for so long: Convoy's own retries are 100 s apart. */
export const STUCK_AFTER_MS = 30 * 60_000;
/** How far back deliveries are looked for: Convoy's own default. Also before a pause, for what was being retried then. */
export const RECOVERY_WINDOW_MS = 7 * 86_400_000;
/** How far one look at discarded deliveries reaches into the one before: longer than Convoy's retries (17 min) and its cache. */
export const DISCARD_OVERLAP_MS = 2 * 3_600_000;
/** Longer than Convoy before v26.7.3 goes on discarding after an activation: its cache is 2 min (facts). */
export const CONVOY_CACHE_MS = 3 * 60_000;
/** When an endpoint that was not active is looked at again, for what was discarded. */
export const INACTIVE_LOOK_MS = 15 * 60_000;
/** When a batch retry that was refused, since another one runs, is asked for again: the next run. */
export const BATCH_BUSY_MS = 50_000;

/** How long a rotated secret goes on signing, in hours, unless the caller says otherwise. */
export const ROTATION_OVERLAP_H = 24;
/** Longest overlap of a rotated secret, in hours: a week. */
export const ROTATION_OVERLAP_MAX_H = 168;
/** Random bytes of a secret that we make. */
export const SECRET_BYTES = 24;
/** Deliveries of one page, unless asked for fewer or more. */
export const DELIVERY_PAGE_DEFAULT = 20;
/** Most deliveries of one page. */
export const DELIVERY_PAGE_MAX = 100;
/** Longest http_timeout of an endpoint, in seconds: a silent receiver holds one of Convoy's workers for so long. */
export const TIMEOUT_MAX_S = 60;
/** The http_timeout Convoy uses when none is given, in seconds (recorded). */
export const HTTP_TIMEOUT_DEFAULT_S = 10;

/** The numbers of delivery that are settings. */
export type DeliverySettings = {
  audit: boolean;
  auditDelayMs: number;
  auditPatienceMs: number;
  maxTries: number;
  maxAgeMs: number;
  retentionMs: number;
  subrequestBudget: number;
};

/**
 * The delivery settings, or their defaults.
 * @throws SettingError naming the setting that is no number in its range
 */
export function deliverySettings(env: Bindings): DeliverySettings {
  if (env.AUDIT !== undefined && env.AUDIT !== "on" && env.AUDIT !== "off") {
    throw new SettingError('AUDIT must be "on" or "off".');
  }
  return {
    audit: env.AUDIT !== "off",
    // Convoy lists an event within seconds; two minutes leave it time to finish.
    auditDelayMs: number(env, "AUDIT_DELAY_S", 120, 0, 86_400, 1_000),
    // Convoy's own queue retries for minutes.
    auditPatienceMs: number(env, "AUDIT_PATIENCE_S", 600, 0, 86_400, 1_000),
    maxTries: number(env, "EVENT_MAX_TRIES", 10, 1, 1_000),
    maxAgeMs: number(env, "EVENT_MAX_AGE_H", 72, 0, 8_760, 3_600_000),
    // Longer than any stale read, and long enough to look an event up on Monday.
    retentionMs: number(env, "RETENTION_DAYS", 7, 1, 3_650, 86_400_000),
    // The free plan's 50 subrequests an invocation, less a few; 10,000 on the paid plan.
    subrequestBudget: number(env, "SUBREQUEST_BUDGET", 45, 20, 10_000),
  };
}

/** What endpoints are allowed: how many an owner may have, and whether they may be at private addresses. */
export type EndpointSettings = { max: number; privateAddresses: boolean };

/**
 * The endpoint settings, or their defaults.
 * @throws SettingError naming the setting that is wrong
 */
export function endpointSettings(env: Bindings): EndpointSettings {
  const { PRIVATE_ADDRESSES: given = "" } = env;
  if (!["", "allow", "refuse"].includes(given)) {
    throw new SettingError('PRIVATE_ADDRESSES must be "allow" or "refuse".');
  }
  return {
    // One POST /todo becomes so many webhooks.
    max: number(env, "ENDPOINTS_MAX", 50, 1, 10_000),
    // While AUTH is "open" the receivers are on the developer's own machine.
    privateAddresses: given ? given === "allow" : env.AUTH === "open",
  };
}

/** The setting times `unit`, whole: the log's columns and SQL's LIMIT take no fraction. */
function number(
  env: Bindings,
  name: SettingName,
  otherwise: number,
  min: number,
  max: number,
  unit = 1,
): number {
  const text = env[name];
  const value = text === undefined || text === "" ? otherwise : Number(text);
  if (Number.isFinite(value) && value >= min && value <= max) return Math.round(value * unit);
  throw new SettingError(`${name} must be a number from ${min} to ${max}.`);
}

/**
 * Both stores are bound.
 * @throws SettingError naming the binding that is missing
 */
export function checkBindings(env: Bindings): void {
  if (!env.KV) throw new SettingError('The KV namespace "KV" is not bound: see wrangler.toml.');
  if (!env.DB) throw new SettingError('The D1 database "DB" is not bound: see wrangler.toml.');
}

/** Bytes of an owner: its base64 and a todo's id must fit KV's key of 512 bytes. */
export const OWNER_MAX_BYTES = 255;
/** Characters of a token; RS256 tokens with many claims stay far below. */
export const TOKEN_MAX_CHARS = 8_192;
/** How far the issuer's clock and ours may differ. */
export const CLOCK_LEEWAY_S = 60;
/** How long fetched keys are used while they know the token's kid. */
export const JWKS_KEEP_MS = 600_000;
/** Keys are fetched anew for an unknown kid at most this often. */
export const JWKS_UNKNOWN_KID_MS = 30_000;
/** After a fetch of keys that failed, the next one is at least this much later. */
export const JWKS_RETRY_MS = 5_000;
/** One fetch of keys. */
export const JWKS_TIMEOUT_MS = 5_000;
/** Period of the rate limit in wrangler.toml, in seconds: 10 or 60 are what the platform takes. */
export const RATE_LIMIT_PERIOD_S = 10;
/** How long /openapi.json may be kept: it changes only with a deployment. */
export const DOCUMENT_MAX_AGE_S = 300;
