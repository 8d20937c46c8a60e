/** Numbers of the Worker that more than one file uses, with their units and reasons. */
import { type Bindings, settingsOf } from "./settings.ts";

export { ENDPOINT_TIMEOUT_MS, LOOKUP_TIMEOUT_MS } from "./convoy/client.ts";
export { PAGE_DEFAULT } from "./schema.ts";
export {
  type Bindings,
  SECRET_NAMES,
  SETTING_NAMES,
  SettingError,
  type SettingName,
} from "./settings.ts";

/** Keys per bulk read (KV's limit). */
export const KV_BULK_KEYS = 100;
/** Characters (code points) of a todo's text. */
export const ITEM_MAX_CHARS = 2_000;
/** Most todos on one page: one KV list returns at most 1,000 keys. */
export const TODO_PAGE_MAX = 1_000;

/** KV takes one write per second per key; a little more, so that the next one is taken. */
export const KV_WRITE_INTERVAL_MS = 1_100;
/** A KV read may be this stale, for missing keys too. */
export const KV_STALE_MS = 60_000;

/** How long a worker owns a row it works on: three times waitUntil's 30 s after a response. */
export const LEASE_MS = 90_000;
/** How often a commit is tried if the todo changes between the statement and its explanation. */
export const COMMIT_ROUNDS = 3;
/** Puts of a todo that others keep changing, in one request, before it is left to the cron. */
export const PROJECT_ROUNDS = 4;

/** Time for one run of the cron: the next one begins after 60 s. */
export const CRON_TIME_MS = 50_000;
/**
 * The share of subrequests and of time that is reserved for each cron task with work to do; posting gets
 * what the others do not need. Of the default 45: 6, 3, 7, 4, 6, 8, 2.
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

/** Waits between the attempts in waitUntil: with three attempts of 5 s, 20 s of its 30 s. */
export const POST_RETRY_MS = [1_000, 4_000] as const;
/** How long the check after the put waits for Convoy's response, to record both in one statement. */
export const CHECK_ALONE_MS = 1_000;
/** How long a result waits for others to be recorded with it; only waitUntil waits for it. */
export const SETTLE_WAIT_MS = 25;
/** Results per statement: some 60 KB of D1's 2 MB per parameter. */
export const SETTLE_MAX = 200;
/** How long a request waits for another one to record its result before it does so itself. */
export const SETTLE_PATIENCE_MS = 5_000;
/** Concurrent requests to Convoy: a Worker may have six connections waiting for headers. */
export const POST_CONCURRENCY = 6;

/** Rows per claim; a run hands back those that it cannot try. */
export const CLAIM_MAX = 200;
/** The next rows are claimed while this many are still to be posted, so that claiming delays nothing. */
export const CLAIM_AHEAD = 50;
/** Rows recorded at once while posting continues. */
export const RECORD_BATCH = 100;
/** Failures in a row that end a run's posting; of different endpoints, two are enough. */
export const STREAK_MAX = 5;
/** If nothing got through, events are retried in the next run, which begins a minute later. */
export const GATEWAY_RETRY_MS = 50_000;
/** "Others got through": since an event last failed; before its first failure, within this time. */
export const EVIDENCE_MS = GATEWAY_RETRY_MS;
/** Wait before a todo that KV refused, or that others keep changing, is put again. */
export const UNSTORED_RETRY_MS = 50_000;
/** Puts refused by KV in a row before a run stops putting. */
export const PUT_FAILURES_MAX = 3;
/** First wait after a failure; doubled each time. */
export const BACKOFF_MIN_MS = 60_000;
/** Longest wait between two tries of an event. */
export const BACKOFF_MAX_MS = 3_600_000;

/** Events on one page of Convoy's list: one statement confirms them, some 250 KB of JSON. */
export const WALK_PAGE = 250;
/** With nothing to find, the walk moves on without reading once its place is this old. */
export const WALK_IDLE_MS = 600_000;
/** Convoy's clock and ours may differ by this much. */
export const CLOCK_SKEW_MS = 60_000;
/** Rows per claim of the look-up, one call each. */
export const LOOKUP_CLAIM_MAX = 50;
/** Look-ups of one key, half an hour in all, before an event that Convoy lists as unfinished gets a new key. */
export const LOOKUPS_MAX = 4;
/** New keys, because Convoy never finished the old ones, before the event is dead. */
export const STRANDED_MAX = 3;
/** An event overdue by this many times the patience is looked up even if the walk has not reached it. */
export const WALK_LAG_MAX = 6;
/** Wait before a look-up that failed, or was not made, is tried again. */
export const LOOKUP_RETRY_MS = 60_000;
/** Rows that one purge statement looks at; few, since D1 has one writer. */
export const PURGE_WINDOW = 500;
/** The scrub compares a change with KV after this: longer than any late put or stale read. */
export const SCRUB_DELAY_MS = 10 * 60_000;
/** Pages of KV_BULK_KEYS events that one rebuild call compares. */
export const REBUILD_PAGES = 10;
/** Most todos in KV that one rebuild call compares: one KV list. */
export const REBUILD_KEYS_MAX = 1_000;
/** After a restore the log's numbers continue this far above KV's: more than can have been lost. */
export const REBUILD_LEAP = 1_000_000_000;
/** Events reopened by one bulk replay. */
export const REPLAY_MAX = 1_000;
/** Rows of the log that one page looks at if no index serves its filter. */
export const EVENT_WINDOW_ROWS = 1_000;
/** An event's newest keys, whose deliveries are shown. */
export const SHOWN_KEYS_MAX = 10;
/** A backlog is counted up to this. */
export const BACKLOG_COUNT_MAX = 10_000;
/** Index entries among which all owners' dead events are counted; a long outage leaves more pending. */
export const OPEN_COUNT_MAX = 100_000;

/** Lease of a change of an endpoint: three calls of 15 s, and D1. Then the cron finishes it. */
export const CHANGE_LEASE_MS = 60_000;
/** Lease of a creation, after which the cron takes it to be interrupted. */
export const CREATION_LEASE_MS = 5 * 60_000;
/** Waits of a change for the one before it, which takes two calls to Convoy: 6 s in all, then 409. */
export const CHANGE_WAITS_MS = [100, 200, 400, 800, 1_500, 3_000] as const;
/** An endpoint at Convoy younger than this may be a creation in progress: sync does not adopt it. */
export const ADOPT_AGE_MS = 5 * 60_000;
/** Endpoints on one page of Convoy's list. */
export const ENDPOINT_PAGE = 100;
/** Subrequests that one sync may use: the free plan's 50, less a few. */
export const SYNC_BUDGET = 40;

/** Deliveries on one page that the cron looks at. */
export const RECOVERY_PAGE = 100;
/** Endpoints per look or batch retry: their ids make a URL of 2 KB. */
export const RECOVERY_GROUP = 50;
/** How often the deliveries of a status are searched. */
export const RECOVERY_EVERY_MS = 5 * 60_000;
/** A delivery is stuck if nothing has happened to it for this long: Convoy's own retries are 100 s apart. */
export const STUCK_AFTER_MS = 30 * 60_000;
/**
 * How far back deliveries are searched: Convoy's own default. Also before a pause, for what was
 * being retried then.
 */
export const RECOVERY_WINDOW_MS = 7 * 86_400_000;
/**
 * Overlap of one search for discarded deliveries with the last: longer than Convoy's retries (17
 * min) and cache.
 */
export const DISCARD_OVERLAP_MS = 2 * 3_600_000;
/** Longer than Convoy before v26.7.3 keeps discarding after an activation: its cache is 2 min (facts). */
export const CONVOY_CACHE_MS = 3 * 60_000;
/** Wait before an endpoint that was not active is checked again for discarded deliveries. */
export const INACTIVE_LOOK_MS = 15 * 60_000;
/** Wait after a batch retry that was refused because another one is running: until the next run. */
export const BATCH_BUSY_MS = 50_000;

/** How long a rotated secret keeps signing by default, in hours. */
export const ROTATION_OVERLAP_H = 24;
/** Longest overlap of a rotated secret, in hours: a week. */
export const ROTATION_OVERLAP_MAX_H = 168;
/** Random bytes of a secret that we generate. */
export const SECRET_BYTES = 24;
/** Deliveries on one page, by default. */
export const DELIVERY_PAGE_DEFAULT = 20;
/** Most deliveries on one page. */
export const DELIVERY_PAGE_MAX = 100;
/**
 * Longest http_timeout of an endpoint, in seconds: a silent receiver ties up one of Convoy's
 * workers that long.
 */
export const TIMEOUT_MAX_S = 60;
/** The http_timeout Convoy uses when none is given, in seconds (recorded). */
export const HTTP_TIMEOUT_DEFAULT_S = 10;

/** The settings for delivery. */
export type DeliverySettings = {
  audit: { delayMs: number; patienceMs: number };
  maxTries: number;
  maxAgeMs: number;
  retentionMs: number;
  subrequestBudget: number;
};

/** When an event is given up; tests set it. */
export const GIVE_UP = { maxTries: 10, maxAgeMs: 72 * 3_600_000 };
/** Convoy's own queue retries for minutes. */
export const PATIENCE_MS = 600_000;

/** The delivery settings. @throws SettingError naming those that are wrong */
export function deliverySettings(env: Bindings): DeliverySettings {
  const { walkDelayMs: delayMs, retentionMs, subrequestBudget } = settingsOf(env);
  const audit = { delayMs, patienceMs: PATIENCE_MS };
  return { audit, ...GIVE_UP, retentionMs, subrequestBudget };
}
