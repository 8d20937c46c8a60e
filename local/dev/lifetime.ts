/** Ends the process in order: on a signal, and when the one that started it is gone. */
import { SHUTDOWN_MS, STOP_SIGNALS } from "./numbers.ts";

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
  // The channel to local/dev.ts closes with that process, however it ends; it may be closed already.
  process.once("disconnect", end);
  if (process.connected === false) end();
  return claimSignals;
}
