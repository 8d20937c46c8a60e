/** The Worker in development: wrangler builds it, watches its source and runs it in workerd. */
import { spawn } from "node:child_process";
import path from "node:path";
import { unstable_startWorker as startWorker } from "wrangler";
import { HOST } from "./numbers.ts";

/** A running Worker. */
export type DevWorker = {
  /** Runs the Worker's scheduled handler. */
  scheduled(at: Date): Promise<void>;
  close(): Promise<void>;
};

/**
 * Brings the local D1 up to the newest migration.
 * @param root the repository's directory
 * @throws Error with wrangler's output when a migration fails
 */
export async function migrate(root: string): Promise<void> {
  const child = spawn(
    process.execPath,
    [
      path.join(root, "node_modules/wrangler/bin/wrangler.js"),
      ...["d1", "migrations", "apply", "DB", "--local"],
    ],
    { cwd: root, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, CI: "true" } },
  );
  // An end during the start must not leave it running.
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  const code = await new Promise((resolve, reject) => {
    child.on("error", reject).on("close", resolve);
  });
  process.off("exit", kill);
  if (code !== 0) throw new Error(`The migrations could not be applied:\n${output}`);
}

/**
 * Starts the Worker on HOST and rebuilds it when its source changes. Settings are handed over in
 * memory, so that no secret is in a process list or a file.
 * @param root the repository's directory
 */
export async function serveWorker(
  root: string,
  port: number,
  settings: Record<string, string>,
): Promise<DevWorker> {
  const bindings = Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [
      name,
      { type: "secret_text", value } as const,
    ]),
  );
  const worker = await startWorker({
    config: path.join(root, "wrangler.toml"),
    bindings,
    dev: {
      server: { hostname: HOST, port },
      inspector: false,
      watch: true,
      // Requests, reloads and errors; what the Worker itself logs comes below.
      logLevel: "info",
      structuredLogsHandler: ({ level, message }: { level: string; message: string }) =>
        level === "error" || level === "warn" ? console.error(message) : console.log(message),
      persist: path.join(root, ".wrangler/state"),
    },
  });
  await worker.url;
  return {
    scheduled: (at) => fireCron(port, at),
    close: () => worker.dispose(),
  };
}

/** Through wrangler's documented path; the handle's own scheduled() asks the proxy in front instead. */
async function fireCron(port: number, at: Date): Promise<void> {
  const query = new URLSearchParams({ cron: "* * * * *", time: String(at.getTime()) });
  const response = await fetch(`http://${HOST}:${port}/cdn-cgi/handler/scheduled?${query}`);
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text}`);
}
