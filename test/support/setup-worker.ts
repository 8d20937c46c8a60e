/** Gives each test in workerd empty stores with tables, and skips waits. */
import { type D1Migration, reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, vi } from "vitest";
import { sleep } from "../../src/run.ts";

declare global {
  namespace Cloudflare {
    interface Env {
      TEST_MIGRATIONS: D1Migration[];
    }
  }
}

// Waits between tries are recorded, not waited for: `vi.mocked(sleep).mock.calls` has their lengths.
// Files share an isolate, and with it the Worker's modules, which keep the mock they were first given.
vi.mock(import("../../src/run.ts"), async (original) => {
  const shared = globalThis as { recordedSleep?: typeof sleep };
  shared.recordedSleep ??= vi.fn(async () => {});
  return { ...(await original()), sleep: shared.recordedSleep };
});

// Far beyond what a test needs: even on a busy machine only a real failure gets here.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

// To delete the stores and make the tables again costs more than most tests. So they are made once, and after a test only
// what it wrote is taken away.
type Shared = { schema?: string; tables?: string[]; wrote: { d1: boolean; kv: boolean } };
const isolate = globalThis as { stores?: Shared };
isolate.stores ??= watchStores();
const shared = isolate.stores;

function watchStores(): Shared {
  const wrote = { d1: false, kv: false };
  const note = (of: object, name: string, isWrite: (sql: unknown) => unknown) => {
    const prototype = Object.getPrototypeOf(of) as Record<string, (...args: unknown[]) => unknown>;
    const method = prototype[name];
    const store = of === env.KV ? "kv" : "d1";
    prototype[name] = function (...args) {
      if (isWrite(args[0])) wrote[store] = true;
      return method?.apply(this, args);
    };
  };
  note(env.KV, "put", () => true);
  note(env.DB, "prepare", (sql) => !/^\s*SELECT\b/i.test(String(sql)));
  for (const name of ["exec", "withSession"]) note(env.DB, name, () => true);
  return { wrote };
}

/** With so many, to delete all of KV costs less. */
const KV_KEYS_MAX = 50;
const SCHEMA =
  "SELECT name, type, sql FROM sqlite_master WHERE name NOT GLOB '_cf_*' ORDER BY name";

/** Empty stores with the tables that all migrations lead to. */
async function makeStores(): Promise<void> {
  const migrations = env.TEST_MIGRATIONS.flatMap(({ queries }) => queries);
  const make = async () => {
    await reset();
    await env.DB.batch(migrations.map((sql) => env.DB.prepare(sql)));
  };
  // On a busy machine a reset now and then leaves the tables of the test before.
  await make().catch(make);
  const { results } = await env.DB.prepare(SCHEMA).all<{ name: string; type: string }>();
  shared.schema = JSON.stringify(results);
  shared.tables = results.filter(({ type }) => type === "table").map(({ name }) => name);
}

/** Takes all rows away. @returns whether the tables are as the migrations made them */
async function emptyTables(): Promise<boolean> {
  const deletions = (shared.tables ?? []).map((table) => `DELETE FROM ${table}`);
  const begin = ["PRAGMA defer_foreign_keys = true", ...deletions];
  const all = [...begin, "INSERT INTO cron_state (id) VALUES (1)", SCHEMA];
  const results = await env.DB.batch(all.map((sql) => env.DB.prepare(sql)));
  return JSON.stringify(results.at(-1)?.results) === shared.schema;
}

/** Takes away what was put. @returns false if that is too much to do it one by one */
async function emptyKv(): Promise<boolean> {
  const { keys } = await env.KV.list({ limit: KV_KEYS_MAX });
  await Promise.all(keys.map(({ name }) => env.KV.delete(name)));
  return keys.length < KV_KEYS_MAX;
}

beforeEach(async () => {
  vi.mocked(sleep).mockReset();
  const { wrote } = shared;
  const isClean =
    shared.schema !== undefined &&
    (!wrote.kv || (await emptyKv())) &&
    (!wrote.d1 || (await emptyTables().catch(() => false)));
  if (!isClean) await makeStores();
  Object.assign(wrote, { d1: false, kv: false });
});
