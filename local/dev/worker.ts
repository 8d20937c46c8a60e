/** The Worker in development: wrangler builds it, watches its source and runs it in workerd. */
import "../wrangler-env.ts";
import path from "node:path";
import { unstable_startWorker as startWorker } from "wrangler";
import { HOST } from "../listen.ts";
import { run } from "../wrangler.ts";

export type WorkerOptions = {
  root: string;
  /** HOST unless given. */
  hostname?: string;
  port: number;
  settings: Record<string, string>;
  /** The directory of KV and D1. */
  state: string;
  /** Whether to rebuild when the source changes and print requests and logs; false for tests. */
  interactive: boolean;
};

/** A Worker that has been started; it answers once it is built. */
export type DevWorker = Awaited<ReturnType<typeof serveWorker>>;

/**
 * Applies the pending migrations to the D1 in `state`.
 * @throws Error with wrangler's output if a migration fails
 */
export async function migrate(root: string, state: string): Promise<void> {
  const args = ["d1", "migrations", "apply", "DB", "--local", "--persist-to", state];
  const { code, stdout, stderr } = await run(root, args, { quiet: true });
  if (code !== 0) throw new Error(`The migrations could not be applied:\n${stdout}${stderr}`);
}

/**
 * Starts the Worker on HOST. Settings are passed in memory, so that no secret appears in a process list
 * or a file.
 */
export async function serveWorker(options: WorkerOptions) {
  const { root, hostname = HOST, port, interactive, state } = options;
  const bindings = Object.entries(options.settings).map(([name, value]) => [
    name,
    { type: "secret_text", value } as const,
  ]);
  const worker = await startWorker({
    config: path.join(root, "wrangler.toml"),
    bindings: Object.fromEntries(bindings),
    dev: {
      server: { hostname, port },
      inspector: false,
      watch: interactive,
      // "info": requests, reloads and errors; the Worker's own logs are handled below.
      logLevel: interactive ? "info" : "none",
      structuredLogsHandler: ({ level, message }: { level: string; message: string }) => {
        if (interactive) console[level === "error" || level === "warn" ? "error" : "log"](message);
      },
      persist: state,
    },
  });
  const failed = new Promise<never>((_, reject) => {
    // wrangler only logs it, at a level that would show everything.
    worker.raw.on("error", (event: Error | { reason: string; cause: Error }) => {
      const why =
        event instanceof Error ? event.message : `${event.reason}: ${event.cause.message}`;
      reject(new Error(`The Worker cannot run. ${why}`));
    });
  });
  failed.catch(() => {});
  const url: URL = await Promise.race([worker.url, failed]);
  return {
    url,
    /** Rejects if it cannot run, and says why. */
    failed,
    scheduled: (at: Date) => fireCron(url, at),
    close: () => worker.dispose(),
  };
}

/** Uses wrangler's documented path; the handle's own scheduled() calls the proxy in front instead. */
export async function fireCron(base: URL, at: Date): Promise<void> {
  const query = new URLSearchParams({ cron: "* * * * *", time: String(at.getTime()) });
  const response = await fetch(new URL(`/cdn-cgi/handler/scheduled?${query}`, base));
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text}`);
}
