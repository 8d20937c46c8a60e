/**
 * npm run fuzz [-- --max-examples N --seed N]: runs Schemathesis against `npm run dev`, with AUTH open and jwt.
 * Needs Python 3.10.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { withDevServer } from "./dev-server.ts";

/** From PyPI; pinned, so that the same checks run everywhere. */
const SCHEMATHESIS = "schemathesis==4.32.5";

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
function fuzz(auth: "open" | "jwt"): Promise<number> {
  return withDevServer({ AUTH: auth }, ({ url, tokenOf }) => {
    console.log(`\nAUTH=${auth}`);
    return schemathesis(auth, url, auth === "jwt" ? tokenOf("fuzz") : undefined);
  });
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
