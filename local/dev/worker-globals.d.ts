// Names that src/config.ts takes from @cloudflare/workers-types, whose own URL and fetch would clash
// with Node's here. Only the settings' names are used on this side.
declare type KVNamespace = object;
declare type D1Database = object;
declare type RateLimit = object;
declare type Fetcher = { fetch: typeof fetch };
