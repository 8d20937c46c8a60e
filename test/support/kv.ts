/** In-memory KV on virtual time; how stale its reads are and what it refuses can be set. */

/** How it behaves; a test may change it while running. */
export type KvBehaviour = {
  /** How old a read may be, in ms, also of a missing key; 0: always fresh. */
  staleMs: number;
  /** Share of reads that are old, from 0 to 1. */
  oldReads: number;
  /** What an old read sees: the oldest allowed version, or any allowed one. */
  sees: "oldest" | "any";
  /** A key takes one write per this many ms, else KV's 429; 0: no limit. */
  writeIntervalMs: number;
  /** Share of writes that fail, from 0 to 1. */
  failedWrites: number;
  /** Source of randomness; a seeded one makes runs repeatable. */
  random: () => number;
};

/** Always fresh, never failing: for tests of something else. */
export const FRESH: KvBehaviour = {
  staleMs: 0,
  oldReads: 0,
  sees: "oldest",
  writeIntervalMs: 0,
  failedWrites: 0,
  random: Math.random,
};

/** At its worst: every read as old as Cloudflare's documentation allows, one write per key and second. */
export const STALEST: KvBehaviour = {
  ...FRESH,
  staleMs: 60_000,
  oldReads: 1,
  writeIntervalMs: 1_000,
};

/** Realistic: some reads are old, some writes fail. Set `random`. */
export const ERRATIC: KvBehaviour = {
  ...STALEST,
  oldReads: 0.4,
  sees: "any",
  failedWrites: 0.08,
};

/** A key's content from `at` (ms) on; `value` is null if there is none. */
type Version = { at: number; value: string | null; metadata: unknown };

/** A key's real content. */
export type KvEntry = { value: string; metadata: unknown };

/** The store: `kv` is what a Worker gets, `now` what is really there. */
export type KvDouble = {
  kv: KVNamespace;
  behaviour: KvBehaviour;
  /** Everything that is there, by key. */
  now: () => Map<string, KvEntry>;
  /** A write from outside, such as one that lands late; never refused. */
  write: (key: string, value: string, metadata: unknown) => void;
  clear: () => void;
};

const NOTHING: Version = { at: Number.NEGATIVE_INFINITY, value: null, metadata: null };

/** An empty store; time is `Date.now()`. It has the methods of KVNamespace that the Worker uses. */
export function kvDouble(behaviour: KvBehaviour = FRESH): KvDouble {
  const keys = new Map<string, Version[]>();
  const double: KvDouble = {
    kv: {} as KVNamespace,
    behaviour,
    now: () =>
      new Map(
        [...keys].flatMap(([key, versions]) => {
          const { value, metadata } = versions.at(-1) ?? NOTHING;
          return value === null ? [] : [[key, { value, metadata }] as const];
        }),
      ),
    write: (key, value, metadata) => append(key, { at: Date.now(), value, metadata }),
    clear: () => keys.clear(),
  };

  const versionsOf = (key: string): Version[] => keys.get(key) ?? [NOTHING];

  /** Adds a version and drops those that no read may see any longer. */
  function append(key: string, version: Version): void {
    const possible = readable(versionsOf(key));
    keys.set(key, [...possible, version]);
  }

  /** The versions that were the newest at some point within the last `staleMs`. */
  function readable(versions: Version[]): Version[] {
    const { staleMs } = double.behaviour;
    const oldest = versions.findLastIndex(({ at }) => at <= Date.now() - staleMs);
    return versions.slice(Math.max(oldest, 0));
  }

  function read(key: string): Version {
    const { oldReads, sees, random } = double.behaviour;
    const versions = versionsOf(key);
    if (oldReads === 0 || (oldReads < 1 && random() >= oldReads)) return versions.at(-1)!;
    const possible = readable(versions);
    return sees === "oldest"
      ? possible[0]!
      : (possible[Math.floor(random() * possible.length)] ?? versions.at(-1)!);
  }

  function write(verb: string, key: string, value: string | null, metadata: unknown): void {
    const { writeIntervalMs, failedWrites, random } = double.behaviour;
    if (Date.now() - versionsOf(key).at(-1)!.at < writeIntervalMs) {
      throw new Error(`KV ${verb} failed: 429 Too Many Requests`);
    }
    if (failedWrites > 0 && random() < failedWrites) {
      throw new Error(`KV ${verb} failed: 500 Internal Server Error`);
    }
    append(key, { at: Date.now(), value, metadata: structuredClone(metadata) });
  }

  const valueAs = ({ value }: Version, as?: string) =>
    value !== null && as === "json" ? JSON.parse(value) : value;
  const whole = (key: string, as?: string) => {
    const version = read(key);
    return { value: valueAs(version, as), metadata: version.metadata, cacheStatus: null };
  };
  const each = <T>(key: string | string[], get: (key: string) => T) =>
    Array.isArray(key) ? new Map(key.map((one) => [one, get(one)])) : get(key);

  double.kv = {
    get: async (key: string | string[], as?: string) => each(key, (one) => valueAs(read(one), as)),
    getWithMetadata: async (key: string | string[], as?: string) =>
      each(key, (one) => whole(one, as)),
    put: async (key: string, value: string, options?: { metadata?: unknown }) =>
      write("PUT", key, value, options?.metadata ?? null),
    delete: async (key: string) => write("DELETE", key, null, null),
    list: async ({ prefix = "", limit = 1_000, cursor }: KVNamespaceListOptions = {}) => {
      const found = [...keys.keys()]
        .filter((name) => name.startsWith(prefix ?? "") && name > (cursor ?? ""))
        .sort()
        .map((name) => ({ name, version: read(name) }))
        .filter(({ version }) => version.value !== null);
      const page = found.slice(0, limit);
      const listed = page.map(({ name, version }) => ({ name, metadata: version.metadata }));
      return found.length <= limit
        ? { keys: listed, list_complete: true, cacheStatus: null }
        : { keys: listed, list_complete: false, cursor: page.at(-1)!.name, cacheStatus: null };
    },
  } as unknown as KVNamespace;
  return double;
}
