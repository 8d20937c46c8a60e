/** Gives each test in workerd empty stores with tables, and skips waits. */
import { type D1Migration, reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, vi } from "vitest";
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

// Once all migrations have run, what they lead to is enough: a third of the statements.
const shared = globalThis as { schema?: string[] };

async function schemaOf(db: D1Database): Promise<string[]> {
  const { results } = await db
    .prepare(
      "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*' AND name NOT GLOB '_cf_*'",
    )
    .all<{ sql: string }>();
  return [...results.map(({ sql }) => sql), "INSERT INTO cron_state (id) VALUES (1)"];
}

beforeEach(async () => {
  vi.mocked(sleep).mockReset();
  const migrations = env.TEST_MIGRATIONS.flatMap(({ queries }) => queries);
  const make = () => env.DB.batch((shared.schema ?? migrations).map((sql) => env.DB.prepare(sql)));
  // On a busy machine a reset now and then leaves the tables of the test before.
  await make().catch(async (error) => {
    if (!/already exists/.test(String(error))) throw error;
    await reset();
    await make();
  });
  shared.schema ??= await schemaOf(env.DB);
});

afterEach(async () => {
  await reset();
});
