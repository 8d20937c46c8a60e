/** What can go wrong in KV and D1, told apart by what helps. */

/** KV or D1 did not do what was asked. `schema`: a table is missing. `lost`: outcome unknown or not done. */
export class StorageError extends Error {
  override readonly name = "StorageError";
  readonly store: "KV" | "D1";
  readonly reason: "schema" | "lost";
  constructor(store: "KV" | "D1", reason: "schema" | "lost", cause: unknown) {
    super(`${store}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.store = store;
    this.reason = reason;
  }
}

/** Runs a D1 call. @throws StorageError in place of D1's own error */
export async function onD1<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    throw new StorageError(
      "D1",
      /no such (table|column)/i.test(String(cause)) ? "schema" : "lost",
      cause,
    );
  }
}

/** Runs a KV call. @throws StorageError in place of KV's own error */
export async function onKv<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    throw new StorageError("KV", "lost", cause);
  }
}
