/** Ends the process cleanly: on a signal, and when the process that started it is gone. */

/** The signals that ask a process to stop. */
export const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** How long a clean shutdown may take before the process just exits. */
const SHUTDOWN_MS = 5_000;

/**
 * Calls `close` once and exits with 0 when asked to stop: Ctrl-C is the normal way to end a dev server,
 * not an error. A close that hangs is cut off after SHUTDOWN_MS.
 * @param close releases everything; a rejection is printed
 * @returns call it after starting a library that also handles signals: Miniflare would exit before the
 *   rest is closed
 */
export function endInOrder(close: () => Promise<void>): () => void {
  let ending = false;
  const end = () => {
    if (ending) return;
    ending = true;
    setTimeout(() => process.exit(1), SHUTDOWN_MS);
    close().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error("Ending failed:", error);
        process.exit(1);
      },
    );
  };
  const claimSignals = () => {
    for (const signal of STOP_SIGNALS) process.removeAllListeners(signal).on(signal, end);
  };
  claimSignals();
  // The channel to local/dev.ts closes when that process ends in any way; it may be closed already.
  process.once("disconnect", end);
  if (process.connected === false) end();
  return claimSignals;
}
