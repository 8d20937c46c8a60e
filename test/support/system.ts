/** The whole system: the built Worker in workerd, a local Convoy and a receiver, all over HTTP. */
import path from "node:path";
import { createTestHarness } from "wrangler";
import type { ConvoyOptions } from "../../local/convoy/index.ts";
import { type Call, callerOf } from "./client.ts";
import { localSettings, type ServedInbox, startConvoy } from "./convoy-inbox.ts";
import { type HttpReceiver, startHttpReceiver } from "./http-receiver.ts";

/** The repository's directory. */
export const ROOT = path.resolve(import.meta.dirname, "../..");

/** A running system. */
export type System = {
  /** The Worker's address. */
  url: URL;
  /** Calls the Worker's API. */
  call: Call;
  convoy: ServedInbox;
  receiver: HttpReceiver;
  /** Runs the Worker's cron once. */
  sweep(): Promise<void>;
  /** The Worker's own database. */
  db: D1Database;
  /** Makes due what is still to be posted or put into KV, as if all leases and waits had run out. */
  letTimePass(): Promise<void>;
  /** Empties the stores, Convoy and what the receiver noted. */
  clear(): Promise<void>;
  close(): Promise<void>;
};

/**
 * Starts Worker, Convoy and receiver on free ports, with empty state.
 * @param settings on top of AUTH=open and the local Convoy's address
 * @param options of the local Convoy
 */
export async function startSystem(
  settings: Record<string, string> = {},
  options: ConvoyOptions = {},
): Promise<System> {
  const [convoy, receiver] = await Promise.all([startConvoy(options), startHttpReceiver()]);
  const harness = createTestHarness({
    root: ROOT,
    workers: [
      { configPath: "wrangler.toml", secrets: { ...localSettings(convoy.apiUrl), ...settings } },
    ],
  });
  const { url } = await harness.listen();
  const worker = harness.getWorker<{ DB: D1Database; KV: KVNamespace }>();
  await worker.applyD1Migrations("DB");
  const { DB: db, KV: kv } = await worker.getEnv();
  return {
    url,
    call: callerOf(url),
    convoy,
    receiver,
    db,
    async sweep() {
      const { outcome } = await worker.scheduled({ cron: "* * * * *", scheduledTime: new Date() });
      if (outcome !== "ok") throw new Error(`The scheduled run ended with "${outcome}".`);
    },
    async letTimePass() {
      await db.batch([
        db.prepare("UPDATE event SET due_at = 0 WHERE due_at IS NOT NULL"),
        db.prepare("UPDATE delivery SET due_at = 0 WHERE status = 'pending'"),
        db.prepare("UPDATE cron_state SET breaker_until = 0"),
      ]);
    },
    async clear() {
      const tables = ["delivery", "event", "endpoint", "cron_state"];
      await db.batch([
        ...tables.map((table) => db.prepare(`DELETE FROM ${table}`)),
        db.prepare("INSERT INTO cron_state (id) VALUES (1)"),
      ]);
      for (const { name } of (await kv.list()).keys) await kv.delete(name);
      await convoy.clear();
      receiver.received.length = 0;
    },
    async close() {
      await harness.close();
      await Promise.all([convoy.close(), receiver.close()]);
    },
  };
}
