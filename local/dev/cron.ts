/** Cron for development: workerd never fires it by itself. */
import { CRON_INTERVAL_MS } from "./numbers.ts";

/**
 * Calls `fire` at each full minute, never twice at a time; errors are printed.
 * @returns a function that stops it
 */
export function startCron(fire: (at: Date) => Promise<unknown>): () => void {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const schedule = () => {
    if (stopped) return;
    const now = Date.now();
    const next = (Math.floor(now / CRON_INTERVAL_MS) + 1) * CRON_INTERVAL_MS;
    timer = setTimeout(() => {
      fire(new Date(next))
        .catch((error: unknown) => console.error("The scheduled run failed:", error))
        .finally(schedule);
    }, next - now);
  };
  schedule();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
