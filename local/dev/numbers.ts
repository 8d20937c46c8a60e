/** Every number of the dev command, with its unit and its reason. */

/** Where the Worker listens: the tutorial's curl commands name this port. */
export const WORKER_PORT = 8080;
/** Where the local Convoy and its inbox listen: next to the Worker. */
export const CONVOY_PORT = 8081;
/** Loopback only: nothing of a development machine is offered to its network. */
export const HOST = "127.0.0.1";
/** Cron's resolution on Cloudflare. */
export const CRON_INTERVAL_MS = 60_000;
/** The signals that ask to stop. */
export const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** How often we look whether npm is gone: a SIGKILL of it sends us no signal. */
export const PARENT_CHECK_MS = 500;
/** How long an orderly end may take before the process just ends. */
export const SHUTDOWN_MS = 5_000;
/** How long the server may take to end after a signal before it is killed: longer than SHUTDOWN_MS. */
export const GRACE_MS = 8_000;
