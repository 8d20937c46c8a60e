/** Ends the process in order: on a signal, and when the parent is gone. */
import { PARENT_CHECK_MS, SHUTDOWN_MS } from "./numbers.ts";

const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Calls `close` once and exits with 0 when asked to stop: Ctrl-C is how one ends a dev server, not
 * an error. A close that hangs is cut off after SHUTDOWN_MS.
 * @param close releases everything; what it rejects with is printed
 * @returns call it after starting a library that listens to signals too: Miniflare would exit before
 *   the rest is closed
 */
export function endInOrder(close: () => Promise<void>): () => void {
  let ending = false;
  const end = () => {
    // Ctrl-C reaches us twice: from the terminal, and handed on by our parent.
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
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) end();
  }, PARENT_CHECK_MS).unref();
  return claimSignals;
}
