// Every number and fixed text of the local Convoy, with its unit and its reason.

/** What every tag from v26.6.6 to v26.7.3 calls itself, so that it does not tell which of VERSIONS it is (seen). */
export const CONVOY_VERSION = "v26.6.6";
/** The two behaviours: "26.6" is v26.6.6 to v26.7.2, "26.7" is v26.7.3, which the recordings were made on. */
export const VERSIONS = ["26.6", "26.7"] as const;
/** The version that is played where none is named: the newest. */
export const DEFAULT_VERSION: (typeof VERSIONS)[number] = "26.7";
/** How long the agent of 26.6 goes on with an endpoint that it has read, whatever the API changed since (seen). */
export const ENDPOINT_CACHE_MS = 120_000;
/** The same for an endpoint's subscriptions (seen). */
export const SUBSCRIPTION_CACHE_MS = 30_000;
/** The API version that its answers carry in X-Convoy-Version. */
export const API_VERSION = "2025-11-24";

/** Key and project id where none are given: nothing that could be taken for a real secret. */
export const LOCAL_CREDENTIAL = "local";

/** Largest request body taken, API and inbox: far above the Worker's own 16 KiB, far below memory. */
export const MAX_BODY_BYTES = 1024 * 1024;
/** How much of a receiver's answer is kept: Convoy's own max_response_size is 50 KB. */
export const MAX_RESPONSE_BYTES = 50 * 1024;

/** Time between two tries of a delivery: Convoy's default strategy, linear. */
export const RETRY_INTERVAL_MS = 100_000;
/** Tries before a delivery is given up: Convoy's default. */
export const RETRY_LIMIT = 10;
/** What deliveries report once they were tried (recorded). */
export const MAX_RETRY_SECONDS = 7200;
/** Deliveries on their way at once: the size of Convoy's consumer pool is 100; one laptop needs less. */
export const MAX_CONCURRENT_DELIVERIES = 32;
/** Events turned into deliveries in one go before requests get their turn again. */
export const EVENTS_A_TURN = 100;

/** An endpoint's http_timeout, whatever is asked: another one needs a licence (recorded: 1 comes back as 10). */
export const HTTP_TIMEOUT_S = 10;
/** Redirects that are followed before a delivery fails: the limit of Go's HTTP client. */
export const MAX_REDIRECTS = 10;
/** Length of a secret that Convoy makes up (recorded). */
export const SECRET_CHARACTERS = 25;
/** Unit of `expiration` in expire_secret: the old secret signs for so long. */
export const SECRET_OVERLAP_UNIT_MS = 3_600_000;
/** The unit in which the same call *reports* expires_at: seconds, an oddity of the real one (recorded). */
export const SECRET_REPORTED_UNIT_MS = 1_000;

/** Rows on a page where perPage is not given (recorded). */
export const DEFAULT_PER_PAGE = 20;
/** Lists and batch retries look back this far where startDate is not given: Convoy's default. */
export const DEFAULT_WINDOW_DAYS = 7;

/** Rows of an inbox answer where `limit` is not given, and what the page shows. */
export const INBOX_DEFAULT_LIMIT = 500;
/** Most rows of one inbox answer: bounds memory, and is enough for every test here. */
export const INBOX_MAX_LIMIT = 10_000;
/** A comment on the event stream every so often, so that a dead connection is noticed. */
export const STREAM_HEARTBEAT_MS = 15_000;
/** Longest delay that a fault may ask for: longer is what `hang` is for. */
export const MAX_FAULT_LATENCY_MS = 60_000;
/** Longest that a fault may keep a batch retry running: an hour is beyond any test. */
export const MAX_FAULT_BATCH_MS = 3_600_000;

/** How far a signature's timestamp may be off: what Convoy's libraries allow by default. */
export const SIGNATURE_TOLERANCE_S = 300;
