/** Waits for a condition instead of a time. */

/** How often the condition is checked. */
const POLL_MS = 25;
/** When to give up: far beyond what a slow machine needs, so that only a real failure gets here. */
const PATIENCE_MS = 100_000;

/**
 * Resolves with the first truthy answer.
 * @param what what is waited for, for the message
 * @throws Error naming `what` when it never comes
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  patienceMs = PATIENCE_MS,
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const answer = await condition();
    if (answer) return answer as Exclude<T, false | null | undefined>;
    if (Date.now() > deadline) throw new Error(`This never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
