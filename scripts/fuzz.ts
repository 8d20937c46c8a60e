/**
 * npm run fuzz [-- --max-examples N --seed N]: runs Schemathesis against `npm run dev`, with AUTH open and jwt.
 * Needs Python 3.10.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

/** From PyPI; pinned, so that the same checks run everywhere. */
const SCHEMATHESIS = "schemathesis==4.32.5";
/** How long `npm run dev` may take to answer. */
const START_MS = 90_000;
/** How long it may take to stop. */
const END_MS = 10_000;

const root = path.dirname(import.meta.dirname);
const venv = path.join(root, ".wrangler/fuzz");
const config = path.join(import.meta.dirname, "fuzz.toml");

const { values } = parseArgs({
  options: { "max-examples": { type: "string", default: "25" }, seed: { type: "string" } },
});

install();
const codes = [await fuzz("open"), await fuzz("jwt")];
process.exit(codes.every((code) => code === 0) ? 0 : 1);

/** Installs Schemathesis once, in its own virtual environment. */
function install(): void {
  const stamp = path.join(venv, SCHEMATHESIS);
  if (existsSync(stamp)) return;
  console.log(`Installing ${SCHEMATHESIS} …`);
  demand("python3", ["-m", "venv", venv]);
  demand(path.join(venv, "bin/pip"), ["install", "--quiet", SCHEMATHESIS]);
  mkdirSync(stamp);
}

function demand(command: string, args: string[]): void {
  const { status, error } = spawnSync(command, args, { stdio: "inherit" });
  if (status === 0) return;
  console.error(
    `${command} failed${error ? `: ${error.message}` : ""}. Python 3.10 with venv is needed.`,
  );
  process.exit(1);
}

/** One run against a fresh system with empty state. @returns Schemathesis' exit code */
async function fuzz(auth: "open" | "jwt"): Promise<number> {
  const state = mkdtempSync(path.join(tmpdir(), "fuzz-"));
  const [port, convoyPort] = [await freePort(), await freePort()];
  const secret = crypto.randomUUID();
  const settings = { ...process.env, AUTH: auth, AUTH_SECRET: secret, AUDIT: "off" };
  const dev = start(
    ["local/dev.ts", "--port", `${port}`, "--convoy-port", `${convoyPort}`, "--state", state],
    settings,
  );
  try {
    const url = `http://127.0.0.1:${port}`;
    await answering(url, dev);
    console.log(`\nAUTH=${auth}`);
    const token = auth === "jwt" ? mint(settings) : undefined;
    return await schemathesis(auth, url, token);
  } finally {
    await end(dev);
    rmSync(state, { recursive: true, force: true });
  }
}

function start(args: string[], env: NodeJS.ProcessEnv): ChildProcess {
  // A process group of its own, so that none of it is left running.
  return spawn(process.execPath, args, { cwd: root, env, stdio: "ignore", detached: true });
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

function mint(env: NodeJS.ProcessEnv): string {
  const { stdout } = spawnSync(process.execPath, ["scripts/token.ts", "fuzz"], { cwd: root, env });
  return String(stdout).trim();
}

async function schemathesis(auth: string, url: string, token?: string): Promise<number> {
  const args = [
    ...["--config-file", config, "run", `${url}/openapi.json`, "--no-color"],
    ...["--max-examples", values["max-examples"]],
    // While AUTH is open, a missing or bad token stops no call.
    ...(auth === "open"
      ? ["--exclude-checks", "ignored_auth", "--generation-with-security-parameters", "false"]
      : []),
    ...(token ? ["--header", `Authorization: Bearer ${token}`] : []),
    ...(values.seed ? ["--seed", values.seed] : []),
  ];
  const child = spawn(path.join(venv, "bin/schemathesis"), args, {
    stdio: "inherit",
    cwd: tmpdir(),
    // For fuzz_hooks.py.
    env: { ...process.env, PYTHONPATH: import.meta.dirname, PYTHONDONTWRITEBYTECODE: "1" },
  });
  return new Promise((resolve) => child.on("close", (code) => resolve(code ?? 1)));
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

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
