/** Every number of the dev command, with its unit and the reason for it. */

/** The Worker's port, as in the tutorial's curl commands. */
export const WORKER_PORT = 8080;
/** The port of the local Convoy and its inbox: next to the Worker's. */
export const CONVOY_PORT = 8081;
/** Loopback only: a development machine exposes nothing to its network. */
export const HOST = "127.0.0.1";
/** The resolution of cron on Cloudflare. */
export const CRON_INTERVAL_MS = 60_000;
/** The signals that ask a process to stop. */
export const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** How often we check whether npm is gone: if it gets a SIGKILL, we get no signal. */
export const PARENT_CHECK_MS = 500;
/** How long a clean shutdown may take before the process just exits. */
export const SHUTDOWN_MS = 5_000;
/** How long the server may take to end after a signal before it is killed; longer than SHUTDOWN_MS. */
export const GRACE_MS = 8_000;
