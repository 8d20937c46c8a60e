// What was read some time ago and is still believed: how the agent of 26.6 sees endpoints and subscriptions.

/** Values by key, each believed for a while after it was read. */
export type TtlCache = {
  /** The value that is believed, else what `read` gives; undefined is not kept. */
  through<Value>(key: string, read: () => Value | undefined): Value | undefined;
  delete(key: string): void;
  clear(): void;
};

/** A cache on the given clock (Unix ms); with `ttlMs` 0 everything is read anew. */
export function ttlCache(ttlMs: number, now: () => number): TtlCache {
  const entries = new Map<string, { value: unknown; until: number }>();
  return {
    through<Value>(key: string, read: () => Value | undefined) {
      if (ttlMs === 0) return read();
      const known = entries.get(key);
      if (known && now() < known.until) return known.value as Value;
      const value = read();
      if (value === undefined) entries.delete(key);
      else entries.set(key, { value, until: now() + ttlMs });
      return value;
    },
    delete: (key) => void entries.delete(key),
    clear: () => entries.clear(),
  };
}
