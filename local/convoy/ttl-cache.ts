// A cache of values with a time to live, through which the agent of 26.6 sees endpoints and subscriptions.

export type TtlCache = ReturnType<typeof ttlCache>;

/** A cache on the given clock (Unix ms); with `ttlMs` 0 nothing is cached. */
export function ttlCache(ttlMs: number, now: () => number) {
  const entries = new Map<string, { value: unknown; until: number }>();
  return {
    /** The cached value, else what `read` returns; undefined is not cached. */
    through<Value>(key: string, read: () => Value | undefined) {
      if (ttlMs === 0) return read();
      const known = entries.get(key);
      if (known && now() < known.until) return known.value as Value;
      const value = read();
      if (value === undefined) entries.delete(key);
      else entries.set(key, { value, until: now() + ttlMs });
      return value;
    },
    delete: (key: string) => void entries.delete(key),
    clear: () => entries.clear(),
  };
}
