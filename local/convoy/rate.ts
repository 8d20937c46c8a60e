// An endpoint's rate limit, as Convoy keeps it in Redis.

/** Limits on the given clock (Unix ms): `limit` at once, then one each time a `limit`th of the duration is over. */
export function createRates(now: () => number) {
  /** When the bucket will be full again: the "theoretical arrival time" of GCRA. */
  const fullAt = new Map<string, number>();
  return {
    /** Takes one of the `limit` in `durationS`; false if none is left. A limit or duration of 0 is no limit. */
    allow(key: string, limit: number, durationS: number): boolean {
      if (limit <= 0 || durationS <= 0) return true;
      const full = Math.max(fullAt.get(key) ?? 0, now()) + (durationS * 1000) / limit;
      if (full - now() > durationS * 1000) return false;
      fullAt.set(key, full);
      return true;
    },
    clear: () => fullAt.clear(),
  };
}
