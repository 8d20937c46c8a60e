/** Waiting, giving up, budgets, and a line in the log. */

/** Resolves after `ms` milliseconds. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** What `promise` resolves to, or undefined if it takes longer than `ms` milliseconds. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  const { promise: over, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), ms);
  try {
    return await Promise.race([promise, over]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs `work` with a signal that aborts after `ms` milliseconds; the timer never outlives the work. */
export async function withTimeout<T>(ms: number, work: (signal: AbortSignal) => Promise<T>) {
  const controller = new AbortController();
  const timer = setTimeout(
    () => controller.abort(new DOMException(`no answer in ${ms} ms`, "TimeoutError")),
    ms,
  );
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
  }
}

/** What work may still use. Before it begins something it asks whether enough is left; the meter counts what it did. */
export type Budget = {
  /** What is left, in subrequests; 0 once time is over. */
  left: () => number;
};

/** A share of `whole` until `endsAt` (ms): all but `keep`, which is for others. */
export function shareOf(whole: Budget, keep: number, endsAt: number): Budget {
  return { left: () => (Date.now() < endsAt ? Math.max(0, whole.left() - keep) : 0) };
}

/** Logs what went wrong, and where: one line of JSON, without a stack. */
export function logError(where: Record<string, unknown>, error: unknown): void {
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  console.error(JSON.stringify({ level: "error", ...where, error: message }));
}
