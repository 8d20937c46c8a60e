// Every npm script runs this first: it installs the packages if node_modules is missing or does not
// match package-lock.json. npm puts node_modules/.bin first on PATH, so the script itself finds the
// project's own Node (24) as `node`. Plain JavaScript without newer syntax: before anything is installed this
// runs on whatever Node there is, if only to say that it is too old.
import { spawn } from "node:child_process";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** When to say that npm is still busy: it says nothing itself while it waits for a network. */
const PATIENCE_MS = 10_000;

const self = fileURLToPath(import.meta.url);
if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === self) {
  process.exitCode = (await install(dirname(dirname(self)))) ? 0 : 1;
}

/**
 * Whether node_modules holds what package-lock.json asks for on this platform. npm writes what it
 * installed into node_modules/.package-lock.json, so a manual install counts as well.
 * @param {string} root the repository's directory
 * @param {Platform} [platform] this machine unless given
 * @returns {string | undefined} why an install is needed; undefined if it is not
 */
export function missing(root, platform = here()) {
  const modules = join(root, "node_modules");
  if (!existsSync(modules)) return "node_modules is missing";
  // Comes from an install script: absent if scripts were disabled or the install was interrupted.
  if (!existsSync(nodeBinary(root))) return "the project's own Node is missing";
  const wanted = readPackages(join(root, "package-lock.json"));
  const installed = readPackages(join(modules, ".package-lock.json"));
  if (!wanted || !installed) return "node_modules is incomplete";
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === "") continue;
    const have = installed[path];
    if (!have && entry.optional && !isFor(entry, platform)) continue;
    // npm leaves a binary out, without a word, if Node was too old for it at the time.
    if (!have && entry.optional) return `${path}, a binary for this platform, is missing`;
    if (!have || have.version !== entry.version) {
      return `${path} is not what package-lock.json says`;
    }
    if (!existsSync(join(root, path, "package.json"))) return `${path} is missing`;
  }
  return undefined;
}

/**
 * Why this Node cannot install the packages; undefined if it can.
 * @param {string} version such as 20.19.0
 * @param {string} range package.json's engines.node: `^` and `>=` only
 * @returns {string | undefined}
 */
export function tooOld(version, range) {
  const [major, minor] = version.split(".").map(Number);
  const fits = range.split("||").some((part) => {
    const [, sign, least, above] = /^\s*(\^|>=)(\d+)\.(\d+)/.exec(part) || [];
    const same = major === Number(least) && minor >= Number(above);
    return same || (sign === ">=" && major > Number(least));
  });
  if (fits) return undefined;
  return `Node ${range.trim()} is needed, and this is ${version}: install a newer one (https://nodejs.org), then run this again.`;
}

/**
 * Runs `npm ci` if needed; quiet unless it fails or takes long.
 * @param {string} root the repository's directory
 * @param {{ npm?: string[], patienceMs?: number, say?: (line: string) => void }} [how] for tests
 * @returns {Promise<boolean>} false if it cannot be done; why has then been printed
 */
export async function install(root, how = {}) {
  const { npm = npmCommand(), patienceMs = PATIENCE_MS, say = console.error } = how;
  const reason = missing(root);
  if (reason === undefined) return true;
  const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const old = tooOld(process.versions.node, engines.node);
  if (old !== undefined) {
    say(old);
    return false;
  }
  say(`Installing packages (${reason}) …`);
  const timer = setTimeout(() => {
    say(
      `npm is still at it after ${patienceMs / 1000} s. What is not in its cache it needs a network for; without one it gives up after some minutes. Ctrl-C ends it.`,
    );
  }, patienceMs);
  const { why, output } = await run(root, npm);
  clearTimeout(timer);
  const still = why || missing(root);
  if (still === undefined) return true;
  say(`${output}Installing failed (${still}). Fix what npm reports above, then run this again.`);
  return false;
}

/** The npm that started us, or the one on PATH. */
function npmCommand() {
  const started = process.env.npm_execpath;
  if (started) return [process.execPath, started];
  return [process.platform === "win32" ? "npm.cmd" : "npm"];
}

/**
 * @param {string} root
 * @param {string[]} npm
 * @returns {Promise<{ why: string | undefined, output: string }>} `why`: what went wrong
 */
function run(root, [command, ...first]) {
  const options = [
    "ci",
    "--include=dev",
    "--include=optional",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
  ];
  const child = spawn(command, [...first, ...options], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const kill = () => child.kill();
  process.once("exit", kill);
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  return new Promise((resolve) => {
    child.on("error", (error) => resolve({ why: error.message, output }));
    child.on("close", (code, signal) => {
      process.off("exit", kill);
      resolve({ why: code === 0 ? undefined : `exit ${code === null ? signal : code}`, output });
    });
  });
}

/**
 * The project's own Node (24, pinned in package-lock.json).
 * @param {string} root the repository's directory
 * @returns {string} the path of the binary
 */
function nodeBinary(root) {
  return join(root, "node_modules", ".bin", process.platform === "win32" ? "node.cmd" : "node");
}

/** @typedef {{ os: string, cpu: string, libc: string | undefined }} Platform */
/** @typedef {{ version?: string, optional?: boolean, os?: string[], cpu?: string[], libc?: string[] }} Entry */

/**
 * This machine, as package-lock.json describes it.
 * @returns {Platform}
 */
function here() {
  const { platform: os, arch: cpu, report } = process;
  if (os !== "linux") return { os, cpu, libc: undefined };
  report.excludeNetwork = true;
  const { header } = report.getReport();
  return { os, cpu, libc: header.glibcVersionRuntime ? "glibc" : "musl" };
}

/**
 * Whether a package is a binary for this platform. Others are in the lock file, and rightly not installed.
 * @param {Entry} entry
 * @param {Platform} platform
 */
function isFor({ os, cpu, libc }, platform) {
  return (
    os?.includes(platform.os) === true &&
    (cpu === undefined || cpu.includes(platform.cpu)) &&
    (libc === undefined || platform.libc === undefined || libc.includes(platform.libc))
  );
}

/**
 * @param {string} file an npm lock file
 * @returns {Record<string, Entry> | undefined} undefined when unreadable
 */
function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages;
  } catch {
    return undefined;
  }
}
