/** Runs wrangler without prompts. */
import "./wrangler-env.ts";
import { spawn } from "node:child_process";
import path from "node:path";

/** How a call ended; what it printed is here only if it was quiet. */
export type Result = { code: number; stdout: string; stderr: string };

/**
 * Runs wrangler in `root`. CI: it shows no prompts and writes no ids into wrangler.toml, which would move
 * the local state.
 */
export function run(root: string, args: string[], { quiet } = { quiet: false }): Promise<Result> {
  if (!quiet) console.log(`> wrangler ${args.join(" ")}`);
  const wrangler = path.join(root, "node_modules/wrangler/bin/wrangler.js");
  const child = spawn(process.execPath, [wrangler, ...args], {
    cwd: root,
    stdio: quiet ? ["ignore", "pipe", "pipe"] : "inherit",
    env: { ...process.env, CI: "true" },
  });
  // If we exit meanwhile, it must not keep running.
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const printed = { stdout: "", stderr: "" };
  child.stdout?.on("data", (chunk) => (printed.stdout += chunk));
  child.stderr?.on("data", (chunk) => (printed.stderr += chunk));
  return new Promise<Result>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 1, ...printed }));
  }).finally(() => process.off("exit", kill));
}
