/** KV as a Map: always fresh, never failing. For tests whose subject is elsewhere. */

type Entry = { value: string; metadata: unknown };

/** The methods of KVNamespace that the Worker uses. */
export function memoryKv(): KVNamespace {
  const entries = new Map<string, Entry>();
  const one = (key: string, as?: string) => {
    const value = entries.get(key)?.value ?? null;
    return value !== null && as === "json" ? JSON.parse(value) : value;
  };
  const withMetadata = (key: string) => {
    const entry = entries.get(key);
    return { value: entry?.value ?? null, metadata: entry?.metadata ?? null };
  };
  const kv = {
    get: async (key: string | string[], as?: string) =>
      Array.isArray(key) ? new Map(key.map((each) => [each, one(each, as)])) : one(key, as),
    getWithMetadata: async (key: string | string[]) =>
      Array.isArray(key) ? new Map(key.map((e) => [e, withMetadata(e)])) : withMetadata(key),
    put: async (key: string, value: string, options?: { metadata?: unknown }) => {
      entries.set(key, { value, metadata: structuredClone(options?.metadata ?? null) });
    },
    delete: async (key: string) => {
      entries.delete(key);
    },
    list: async ({ prefix, limit = 1_000, cursor }: KVNamespaceListOptions = {}) => {
      const from = cursor ?? "";
      const names = [...entries.keys()].filter((n) => n.startsWith(prefix ?? "") && n > from);
      names.sort();
      const page = names.slice(0, limit);
      const keys = page.map((name) => ({ name, metadata: entries.get(name)?.metadata }));
      const complete = names.length <= limit;
      return complete
        ? { keys, list_complete: true, cacheStatus: null }
        : { keys, list_complete: false, cursor: page.at(-1), cacheStatus: null };
    },
  };
  return kv as unknown as KVNamespace;
}
