/** KV as it really is: reads up to a minute old (missing keys too), one write a second a key, failing puts. */

type Version = { at: number; value: string | null; metadata: unknown };

/** A share of 0 to 1, drawn anew each time; a test makes it repeatable. */
export type Random = () => number;

const STALE_MS = 60_000;
const WRITE_INTERVAL_MS = 1_000;
const STALE_SHARE = 0.4;
const FAIL_SHARE = 0.08;

/** The KV, and a read of what it really holds. */
export type RealityKv = { kv: KVNamespace; fresh: (key: string) => string | null };

/** The methods of KVNamespace that the Worker uses on single todos and in the scrub. */
export function realityKv(random: Random): RealityKv {
  const histories = new Map<string, Version[]>();
  const of = (key: string) => {
    const known = histories.get(key);
    if (known) return known;
    const made: Version[] = [{ at: Number.NEGATIVE_INFINITY, value: null, metadata: null }];
    histories.set(key, made);
    return made;
  };
  const newest = (key: string) => of(key).at(-1) as Version;
  /** Any version that was the newest at some time within the last minute. */
  const read = (key: string): Version => {
    const versions = of(key);
    const oldest = versions.findLastIndex((version) => version.at <= Date.now() - STALE_MS);
    const possible = versions.slice(Math.max(oldest, 0));
    if (random() >= STALE_SHARE) return newest(key);
    return possible[Math.floor(random() * possible.length)] ?? newest(key);
  };
  const write = (key: string, value: string | null, metadata: unknown) => {
    const verb = value === null ? "DELETE" : "PUT";
    if (Date.now() - newest(key).at < WRITE_INTERVAL_MS) {
      throw new Error(`KV ${verb} failed: 429 Too Many Requests`);
    }
    if (random() < FAIL_SHARE) throw new Error(`KV ${verb} failed: 500 Internal Server Error`);
    of(key).push({ at: Date.now(), value, metadata });
  };
  const pick = ({ value, metadata }: Version) => ({ value, metadata });
  const kv = {
    get: async (key: string) => read(key).value,
    getWithMetadata: async (key: string | string[]) =>
      Array.isArray(key) ? new Map(key.map((each) => [each, pick(read(each))])) : pick(read(key)),
    put: async (key: string, value: string, options?: { metadata?: unknown }) =>
      write(key, value, structuredClone(options?.metadata ?? null)),
    delete: async (key: string) => write(key, null, null),
    list: async () => ({ keys: [], list_complete: true, cacheStatus: null }),
  };
  return { kv: kv as unknown as KVNamespace, fresh: (key) => newest(key).value };
}
