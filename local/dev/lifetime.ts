/** Ends the process in order: on a signal, and when whoever started it is gone. */
import { readFileSync } from "node:fs";
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
    // A signal may come twice: from the terminal, and handed on by npm.
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
  const starters = ancestors();
  setInterval(() => {
    if (ancestors() !== starters) end();
  }, PARENT_CHECK_MS).unref();
  return claimSignals;
}

/**
 * The parent's id, and under npm also npm's: not every sh makes way for the command that it runs, and
 * one that waits for us outlives an npm that was killed. Where there is no /proc, only the parent's.
 */
function ancestors(): string {
  const parent = process.ppid;
  if (process.env.npm_lifecycle_event === undefined) return `${parent}`;
  try {
    const status = readFileSync(`/proc/${parent}/status`, "utf8");
    return `${parent} ${/^PPid:\s*(\d+)$/m.exec(status)?.[1]}`;
  } catch {
    return `${parent}`;
  }
}
