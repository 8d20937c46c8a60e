/** A state directory whose D1 has its tables, made in a second: wrangler's own command takes five. */
import path from "node:path";
import { readD1Migrations } from "@cloudflare/vitest-pool-workers";
import { getPlatformProxy } from "wrangler";

/** Applies all migrations to the empty D1 in `state`, as `migrate` of local/dev/worker.ts does. */
export async function migrateEmpty(root: string, state: string): Promise<void> {
  const { env, dispose } = await getPlatformProxy<{ DB: D1Database }>({
    configPath: path.join(root, "wrangler.toml"),
    persist: { path: path.join(state, "v3") },
    remoteBindings: false,
  });
  try {
    const migrations = await readD1Migrations(path.join(root, "migrations"));
    const all = migrations.flatMap(({ queries }) => queries);
    await env.DB.batch(all.map((sql) => env.DB.prepare(sql)));
  } finally {
    await dispose();
  }
}
