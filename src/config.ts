/** Every setting and every number of the Worker, with its unit and its reason. */

/** Names of all settings that are plain strings: vars, secrets, or environment variables of `npm run dev`. */
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

/** Settings that are secrets: all that `npm run deploy` takes from a file of secrets. */
export const SECRET_NAMES = [
  "AUTH_SECRET",
  "PORTAL_SECRET",
  "CONVOY_API_KEY",
  "CONVOY_PROJECT_ID",
] as const satisfies SettingName[];

/** The settings, each a string or absent. */
export type Settings = { [name in SettingName]?: string };

/** What the Worker is given: storage, settings, and two bindings that may be absent. */
export type Bindings = {
  KV: KVNamespace;
  DB: D1Database;
  /** Per-owner rate limit; absent means no limit. */
  RATE_LIMIT?: RateLimit;
  /** A way to Convoy that is not the public internet (service or VPC binding); absent means fetch. */
  CONVOY?: Pick<Fetcher, "fetch">;
} & Settings;

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
/** Puts of one todo in one request before it is left to the cron: others keep changing it. */
export const PROJECT_ROUNDS = 4;

/** Time of one run of the cron: the next one begins after 60 s. */
export const CRON_TIME_MS = 50_000;
/**
 * What each task of the cron is sure of, as a share of subrequests and of time, where it has something to
 * do; posting takes what the others do not need. Of the default 45: 6, 3, 7, 4, 4, 5, 2.
 */
export const CRON_SHARES = {
  post: 0,
  project: 0.15,
  scrub: 0.07,
  walk: 0.16,
  lookUp: 0.1,
  moves: 0.14,
  recover: 0.18,
  purge: 0.05,
} as const;

/** One attempt to hand an event to Convoy. */
export const POST_TIMEOUT_MS = 5_000;
/** Waits between the attempts in waitUntil: three of 5 s and these make 20 s of its 30 s. */
export const POST_RETRY_MS = [1_000, 4_000] as const;
/** How long the check after the put waits for Convoy's answer, to be one statement with it. */
export const CHECK_ALONE_MS = 1_000;
/** How long a result waits for others to be recorded with it; nobody waits for it but waitUntil. */
export const SETTLE_WAIT_MS = 25;
/** Results of one statement: some 60 KB of D1's 2 MB for a parameter. */
export const SETTLE_MAX = 200;
/** After so long without an answer of whoever took it along, a request records its result itself. */
export const SETTLE_PATIENCE_MS = 5_000;
/** One call about an endpoint: Convoy pings an https URL for up to 10 s on create. */
export const ENDPOINT_TIMEOUT_MS = 15_000;
/** Convoy's answer while a caller waits for something that is only extra (deliveries of an event). */
export const LOOKUP_TIMEOUT_MS = 5_000;
/** Requests to Convoy at the same time: a Worker may have six connections waiting for headers. */
export const POST_CONCURRENCY = 6;

/** Rows of one claim; what a run cannot try it hands back. */
export const CLAIM_MAX = 200;
/** The next rows are claimed while so many are still to be posted: claiming holds nobody up. */
export const CLAIM_AHEAD = 50;
/** Rows that are recorded at once while posting goes on. */
export const RECORD_BATCH = 100;
/** Failures in a row, of any endpoints, that end a run's posting; of different ones, two do. */
export const STREAK_MAX = 5;
/** Where nothing got through, a run tries again in the next one, which begins a minute later. */
export const GATEWAY_RETRY_MS = 50_000;
/** "Others get through": within this time. */
export const EVIDENCE_MS = 3_600_000;
/** When KV refused a todo, or others keep changing it, it is put again after this. */
export const UNSTORED_RETRY_MS = 50_000;
/** Puts that KV refuses, one after the other, before a run stops putting. */
export const PUT_FAILURES_MAX = 3;
/** Longest Retry-After that is honoured; a typo there must not stop delivery for days. */
export const RETRY_AFTER_MAX_MS = 3_600_000;
/** A Retry-After above this, in seconds (a year), is a UNIX time: Convoy v26.6.6 to v26.7.2 with Redis down (recorded). */
export const RETRY_AFTER_TIME_S = 31_536_000;
/** First wait after a failure; doubled each time. */
export const BACKOFF_MIN_MS = 60_000;
/** Longest wait between two tries of an event. */
export const BACKOFF_MAX_MS = 3_600_000;

/** Events of one page of Convoy's list: one statement confirms them, some 250 KB of JSON. */
export const WALK_PAGE = 250;
/** With nothing to find, the walk moves on without reading, once its place is so old. */
export const WALK_IDLE_MS = 600_000;
/** Convoy's clock and ours may differ by this much. */
export const CLOCK_SKEW_MS = 60_000;
/** Rows of one claim of the look-up, each a call. */
export const LOOKUP_CLAIM_MAX = 50;
/** Look-ups of one key, half an hour in all, before an event that Convoy lists as unfinished takes a new key. */
export const LOOKUPS_MAX = 4;
/** New keys because Convoy never finished the old ones, before the event is dead. */
export const STRANDED_MAX = 3;
/** So many patiences late, an event is looked up although the walk has not come to it. */
export const WALK_LAG_MAX = 6;
/** An answer of Convoy that did not come, or was not asked for, is asked for again after this. */
export const LOOKUP_RETRY_MS = 60_000;
/** Seqs that one purge statement looks at; small, since D1 has one writer. */
export const PURGE_WINDOW = 500;
/** The scrub compares a change with KV after this: later than any put that was on its way, or stale read. */
export const SCRUB_DELAY_MS = 10 * 60_000;
/** Pages of KV_BULK_KEYS events that one call of a rebuild compares. */
export const REBUILD_PAGES = 10;
/** Todos of KV that one call of a rebuild compares at most: one KV list. */
export const REBUILD_KEYS_MAX = 1_000;
/** After a restore the log's numbers go on so far above what KV has: more than were lost, whatever was. */
export const REBUILD_LEAP = 1_000_000_000;
/** Events brought back by one bulk replay. */
export const REPLAY_MAX = 1_000;
/** Rows of the log that one page looks at where no index serves its filter. */
export const EVENT_WINDOW_ROWS = 1_000;
/** Keys of one event whose deliveries are shown, the newest. */
export const SHOWN_KEYS_MAX = 10;
/** A backlog is counted up to this. */
export const BACKLOG_COUNT_MAX = 10_000;
/** Entries of an index among which dead events of all owners are counted; more are pending in a long outage. */
export const OPEN_COUNT_MAX = 100_000;

/** How long a change of an endpoint is its maker's alone: three calls of 15 s, and D1. Then the cron ends it. */
export const CHANGE_LEASE_MS = 60_000;
/** How long a creation is left alone before the cron takes it for cut off. */
export const CREATION_LEASE_MS = 5 * 60_000;
/** Waits of a change for the one before it, which takes two calls of Convoy: 6 s in all, then 409. */
export const CHANGE_WAITS_MS = [100, 200, 400, 800, 1_500, 3_000] as const;
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

/** How long a portal link is good unless the caller says otherwise, in minutes: a visit. */
export const PORTAL_LINK_DEFAULT_MIN = 60;
/** Longest life of a portal link, in minutes: a day, since it cannot be taken back. */
export const PORTAL_LINK_MAX_MIN = 1_440;

/**
 * Whether owners may be given links into the portal, and those that they have are good.
 * @throws SettingError where PORTAL is neither "on" nor "off"
 */
export function isPortalOn({ PORTAL }: Settings): boolean {
  if (PORTAL && PORTAL !== "on" && PORTAL !== "off") {
    throw new SettingError('PORTAL must be "on" or "off".');
  }
  return PORTAL !== "off";
}

/** The numbers of delivery that are settings. `audit`: null where what Convoy accepts is taken for done. */
export type DeliverySettings = {
  audit: { delayMs: number; patienceMs: number } | null;
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
  const audit = {
    // Convoy lists an event within seconds; two minutes leave it time to finish.
    delayMs: number(env, "AUDIT_DELAY_S", 120, 0, 86_400, 1_000),
    // Convoy's own queue retries for minutes.
    patienceMs: number(env, "AUDIT_PATIENCE_S", 600, 0, 86_400, 1_000),
  };
  return {
    audit: env.AUDIT === "off" ? null : audit,
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
/** Bytes of a secret that signs tokens: HS256 wants a key as long as its hash (RFC 7518, 3.2). */
export const AUTH_SECRET_MIN_BYTES = 32;
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
