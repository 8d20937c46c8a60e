/** What the Worker says on the console: one line of JSON. */

/** Says on the console what went wrong where: one line of JSON. */
export function logError(where: Record<string, unknown>, error: unknown): void {
  console.error(JSON.stringify({ level: "error", ...where, error: safe(error) }));
}

/** What the log may say of an error: its kind and message, without a stack. */
export function safe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
