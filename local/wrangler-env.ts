/**
 * Import this before anything runs wrangler: it then sends no metrics, checks for no update, writes no
 * log, and fetches no sample of a request's `cf`. A variable that is already set stays. If wrangler's folder
 * cannot be written, it gets another one: it would neither start nor say why.
 */
import { accessSync, constants, mkdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";

const QUIET = {
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_WRITE_LOGS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
};

for (const [name, value] of Object.entries(QUIET)) process.env[name] ??= value;

const own = path.join(import.meta.dirname, "../.wrangler/home");
if (process.platform !== "win32" && !isWritable(wranglersFolder())) {
  mkdirSync(own, { recursive: true });
  Object.assign(process.env, { HOME: own, XDG_CONFIG_HOME: path.join(own, ".config") });
}

/** Where wrangler keeps its own files, in its order. */
function wranglersFolder(): string {
  const old = path.join(homedir(), ".wrangler");
  if (statSync(old, { throwIfNoEntry: false })?.isDirectory()) return old;
  const usual = process.platform === "darwin" ? "Library/Preferences" : ".config";
  return path.join(process.env.XDG_CONFIG_HOME || path.join(homedir(), usual), ".wrangler");
}

function isWritable(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
