// Every number and fixed text of the local Convoy, with its unit and the reason for it.

/** What every tag from v26.6.6 to v26.7.3 calls itself, so it does not show which of VERSIONS it is (seen). */
export const CONVOY_VERSION = "v26.6.6";
/** The two behaviours: "26.6" is v26.6.6 to v26.7.2, "26.7" is v26.7.3, from which the recordings come. */
export const VERSIONS = ["26.6", "26.7"] as const;
/** The version imitated by default: the newest. */
export const DEFAULT_VERSION: (typeof VERSIONS)[number] = "26.7";
/** How long the agent of 26.6 keeps using an endpoint it has read, whatever the API has changed since (seen). */
export const ENDPOINT_CACHE_MS = 120_000;
/** The same for an endpoint's subscriptions (seen). */
export const SUBSCRIPTION_CACHE_MS = 30_000;
/** The API version in the X-Convoy-Version header of its answers. */
export const API_VERSION = "2025-11-24";

/** Default key and project id: nothing that could be mistaken for a real secret. */
export const LOCAL_CREDENTIAL = "local";

/** Largest request body accepted by API and inbox: far above the Worker's own 16 KiB, far below memory. */
export const MAX_BODY_BYTES = 1024 * 1024;
/** How much of a receiver's answer is kept: Convoy's own max_response_size is 50 KB. */
export const MAX_RESPONSE_BYTES = 50 * 1024;

/** Time between two attempts of a delivery: Convoy's default strategy, linear. */
export const RETRY_INTERVAL_MS = 100_000;
/** Attempts before a delivery is given up: Convoy's default. */
export const RETRY_LIMIT = 10;
/** What deliveries report as max_retry_seconds once they have been tried (recorded). */
export const MAX_RETRY_SECONDS = 7200;
/** Most deliveries on their way at once: Convoy's consumer pool is 100; one laptop needs less. */
export const MAX_CONCURRENT_DELIVERIES = 32;
/** Events turned into deliveries at once, before requests get their turn again. */
export const EVENTS_A_TURN = 100;

/** An endpoint's http_timeout, whatever is requested: another one needs a licence (recorded: 1 comes back as 10). */
export const HTTP_TIMEOUT_S = 10;
/** Redirects that are followed before a delivery fails: the limit of Go's HTTP client. */
export const MAX_REDIRECTS = 10;
/** Length of a secret that Convoy generates (recorded). */
export const SECRET_CHARACTERS = 25;
/** Unit of `expiration` in expire_secret: how long the old secret still signs. */
export const SECRET_OVERLAP_UNIT_MS = 3_600_000;
/** The unit in which the same call *reports* expires_at: seconds, a quirk of the real one (recorded). */
export const SECRET_REPORTED_UNIT_MS = 1_000;

/** Rows on a page without perPage (recorded). */
export const DEFAULT_PER_PAGE = 20;
/** How far lists look back without startDate: Convoy's default. */
export const DEFAULT_WINDOW_DAYS = 7;

/** Rows of an inbox answer without `limit`, and the rows the page shows. */
export const INBOX_DEFAULT_LIMIT = 500;
/** Most rows of one inbox answer: bounds memory, and is enough for every test here. */
export const INBOX_MAX_LIMIT = 10_000;
/** Interval of comments on the event stream, so that a dead connection is noticed. */
export const STREAM_HEARTBEAT_MS = 15_000;
/** Longest delay that a fault may ask for: longer is what `hang` is for. */
export const MAX_FAULT_LATENCY_MS = 60_000;
/** Longest that a fault may let a delivery appear late: beyond what any clock or transaction does. */
export const MAX_FAULT_RACE_MS = 60_000;

/** How far a signature's timestamp may be off: the default of Convoy's libraries. */
export const SIGNATURE_TOLERANCE_S = 300;
