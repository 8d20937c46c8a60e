/** A `npm run dev` of a script's own: free ports, empty state, and nothing left at the end. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../local/listen.ts";

/** How long `npm run dev` may take to answer. */
const START_MS = 90_000;
const END_MS = 10_000;

const root = path.dirname(import.meta.dirname);

/** A running server; `tokenOf` makes an owner's token, for AUTH=jwt. */
export type DevServer = { url: string; tokenOf: (owner: string) => string };

/** Starts one with these settings, runs `use` and ends it. */
export async function withDevServer<T>(
  settings: Record<string, string>,
  use: (server: DevServer) => Promise<T>,
): Promise<T> {
  const state = mkdtempSync(path.join(tmpdir(), "dev-server-"));
  const [port, convoyPort] = [await freePort(), await freePort()];
  const env = { ...process.env, AUTH_SECRET: crypto.randomUUID(), ...settings };
  const args = ["--port", `${port}`, "--convoy-port", `${convoyPort}`, "--state", state];
  // A process group of its own, so that none of it is left running.
  const dev = spawn(process.execPath, ["local/dev.ts", ...args], {
    ...{ cwd: root, env, stdio: "ignore", detached: true },
  });
  try {
    const url = `http://127.0.0.1:${port}`;
    await answering(url, dev);
    return await use({ url, tokenOf: (owner) => mint(owner, env) });
  } finally {
    await end(dev);
    rmSync(state, { recursive: true, force: true });
  }
}

async function answering(url: string, dev: ChildProcess): Promise<void> {
  const until = Date.now() + START_MS;
  while (Date.now() < until && dev.exitCode === null) {
    const ok = await fetch(`${url}/health`).then(
      async (response) => (await response.text()) !== "" && response.ok,
      () => false,
    );
    if (ok) return;
    await sleep(200);
  }
  throw new Error("npm run dev does not answer.");
}

function mint(owner: string, env: NodeJS.ProcessEnv): string {
  const { stdout } = spawnSync(process.execPath, ["scripts/token.ts", owner], { cwd: root, env });
  return String(stdout).trim();
}

async function end(dev: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => dev.once("exit", resolve));
  if (dev.exitCode === null) {
    dev.kill("SIGTERM");
    await Promise.race([ended, sleep(END_MS)]);
  }
  try {
    if (dev.pid) process.kill(-dev.pid, "SIGKILL");
  } catch {
    // No process is left, as intended.
  }
}
