/** The system under test: three Workers in one workerd, each with its own stores, and a Convoy beside it. */
import { execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { unstable_readConfig as readConfig } from "wrangler";
import type { ConvoyOrder } from "./convoy.ts";

const root = path.resolve(import.meta.dirname, "..");

/** `product`: the built Worker. `bare`: worker/bare.ts. `counted`: worker/counted.ts. */
export const WORKERS = {
  product: "src/index.ts",
  bare: "bench/worker/bare.ts",
  counted: "bench/worker/counted.ts",
} as const;
export type WorkerName = keyof typeof WORKERS;

/** The Workers, bundled as for a deployment. */
export type Build = { directory: string; remove: () => void };

/** Bundles all Workers with wrangler, as `wrangler deploy` does. */
export function build(): Build {
  const directory = mkdtempSync(path.join(os.tmpdir(), "todo-bench-"));
  const wrangler = path.join(root, "node_modules/wrangler/bin/wrangler.js");
  for (const [name, main] of Object.entries(WORKERS)) {
    const outdir = path.join(directory, name);
    const args = [wrangler, "deploy", main, "--dry-run", "--outdir", outdir];
    execFileSync(process.execPath, args, { cwd: root });
  }
  return { directory, remove: () => rmSync(directory, { recursive: true }) };
}

export type System = Awaited<ReturnType<typeof start>>;

/** Starts workerd and Convoy with empty stores. */
export async function start({ directory }: Build) {
  const convoy = fork(path.join(import.meta.dirname, "convoy.ts"));
  const [port] = await once(convoy, "message");
  const bindings = {
    AUTH: "open",
    CONVOY_BASE_URL: `http://127.0.0.1:${port}/api`,
    CONVOY_API_KEY: "bench",
    CONVOY_PROJECT_ID: "bench",
  };
  const { compatibility_date } = readConfig({ config: path.join(root, "wrangler.toml") });
  const names = Object.keys(WORKERS) as WorkerName[];
  const workers = names.map((name) => ({
    name,
    modules: true,
    modulesRoot: path.join(directory, name),
    scriptPath: path.join(directory, name, path.basename(WORKERS[name]).replace(/\.ts$/, ".js")),
    compatibilityDate: compatibility_date ?? "",
    kvNamespaces: { KV: name },
    d1Databases: { DB: name },
    bindings,
    unsafeDirectSockets: [{ host: "127.0.0.1" }],
  }));
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({ host: "127.0.0.1", cf: false, workers }),
  );
  for (const name of names) await migrate(await miniflare.getD1Database("DB", name));
  return {
    /** A Worker's own address: through the proxy of `wrangler dev`, the proxy would be measured. */
    urlOf: (name: WorkerName) => miniflare.unsafeGetDirectURL(name),
    /** The numbers of a statement's first row. */
    async query(name: WorkerName, sql: string) {
      const db = await miniflare.getD1Database("DB", name);
      return (await db.prepare(sql).first<Record<string, number>>()) ?? {};
    },
    async put(name: WorkerName, key: string, value: string) {
      await (await miniflare.getKVNamespace("KV", name)).put(key, value);
    },
    setHanging: (hang: boolean) => convoy.send({ hang } satisfies ConvoyOrder),
    async close() {
      await miniflare.dispose();
      convoy.disconnect();
    },
  };
}

async function migrate(db: Awaited<ReturnType<Miniflare["getD1Database"]>>): Promise<void> {
  const migrations = path.join(root, "migrations");
  for (const file of readdirSync(migrations).sort()) {
    const sql = readFileSync(path.join(migrations, file), "utf8").replaceAll(/--.*$/gm, "");
    for (const statement of sql.split(";")) if (statement.trim()) await db.prepare(statement).run();
  }
}
