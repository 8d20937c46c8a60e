/** KV at its worst: every read as old as KV allows, one write a second to a key. */

/** Oldest a read may be, missing keys too (Cloudflare's documentation of KV). */
const STALE_MS = 60_000;
/** A key takes one write in this time, else KV's 429. */
const WRITE_INTERVAL_MS = 1_000;

/** What a key held from `at` (ms) on; `value` null: nothing. */
type Version = { at: number; value: string | null; metadata: unknown };

/** The store; `kv` is what a Worker gets, `now` what is really there: values by key. */
export type StalestKv = {
  kv: KVNamespace;
  now: () => Map<string, { value: string; metadata: unknown }>;
  clear: () => void;
};

/** An empty store; time is `Date.now()`. */
export function stalestKv(): StalestKv {
  const keys = new Map<string, Version[]>();

  const latest = (key: string) => keys.get(key)?.at(-1);
  /** The oldest version that was current at some time within the last minute. */
  const read = (key: string): Version => {
    const versions = keys.get(key) ?? [];
    const first = versions.findLastIndex((each) => each.at <= Date.now() - STALE_MS);
    // Before its first version the key was missing, and that may still be cached.
    return versions[first] ?? { at: 0, value: null, metadata: null };
  };
  const write = (
    method: "PUT" | "DELETE",
    key: string,
    value: string | null,
    metadata: unknown,
  ) => {
    const free = Date.now() - (latest(key)?.at ?? Number.NEGATIVE_INFINITY) >= WRITE_INTERVAL_MS;
    if (!free) throw new Error(`KV ${method} failed: 429 Too Many Requests`);
    const versions = keys.get(key) ?? [];
    keys.set(key, [...versions, { at: Date.now(), value, metadata: structuredClone(metadata) }]);
  };
  const valueAs = ({ value }: Version, as?: string) =>
    value !== null && as === "json" ? JSON.parse(value) : value;
  const withMetadata = (key: string, as?: string) => {
    const version = read(key);
    return { value: valueAs(version, as), metadata: version.metadata, cacheStatus: null };
  };
  const one = (key: string, as?: string) => valueAs(read(key), as);
  const many = <T>(key: string | string[], get: (key: string) => T) =>
    Array.isArray(key) ? new Map(key.map((each) => [each, get(each)])) : get(key);

  const kv = {
    get: async (key: string | string[], as?: string) => many(key, (each) => one(each, as)),
    getWithMetadata: async (key: string | string[], as?: string) =>
      many(key, (each) => withMetadata(each, as)),
    put: async (key: string, value: string, options?: { metadata?: unknown }) =>
      write("PUT", key, value, options?.metadata ?? null),
    delete: async (key: string) => write("DELETE", key, null, null),
    list: async ({ prefix = "", limit = 1_000, cursor }: KVNamespaceListOptions = {}) => {
      const seen = [...keys.keys()]
        .filter((name) => name.startsWith(prefix ?? "") && name > (cursor ?? ""))
        .sort()
        .map((name) => ({ name, version: read(name) }))
        .filter(({ version }) => version.value !== null);
      const page = seen.slice(0, limit);
      const listed = page.map(({ name, version }) => ({ name, metadata: version.metadata }));
      return seen.length <= limit
        ? { keys: listed, list_complete: true, cacheStatus: null }
        : { keys: listed, list_complete: false, cursor: page.at(-1)!.name, cacheStatus: null };
    },
  };
  return {
    kv: kv as unknown as KVNamespace,
    now: () =>
      new Map(
        [...keys].flatMap(([key, versions]) => {
          const { value, metadata } = versions.at(-1)!;
          return value === null ? [] : [[key, { value, metadata }] as const];
        }),
      ),
    clear: () => keys.clear(),
  };
}
