/** Cron for development: workerd never fires it by itself. */
import { setTimeout as sleep } from "node:timers/promises";

/** The resolution of cron on Cloudflare. */
const MINUTE_MS = 60_000;

/** Calls `fire` at each full minute, never twice at a time; errors are printed. Ends with the signal. */
export async function runCron(
  fire: (at: Date) => Promise<unknown>,
  { signal }: { signal: AbortSignal },
) {
  while (!signal.aborted) {
    const next = (Math.floor(Date.now() / MINUTE_MS) + 1) * MINUTE_MS;
    await sleep(next - Date.now(), undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    await fire(new Date(next)).catch((error: unknown) =>
      console.error("The scheduled run failed:", error),
    );
  }
}
