// Every npm script runs this first: it installs the packages if node_modules is missing or does not
// match package-lock.json. npm puts node_modules/.bin first on PATH, so the script itself finds the
// project's own Node (24) as `node`. Plain JavaScript without newer syntax: before anything is installed this
// runs on whatever Node there is, if only to say that it is too old. The types are in install.d.mts.
import { spawn } from "node:child_process";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** How often to say that work is going on: npm says nothing itself while it waits for a network. */
const EVERY_MS = 5_000;
const NETWORK =
  ": what is not in npm's cache it needs a network for; without one it gives up after some minutes.";
const OPTIONS = ["--include=dev", "--include=optional", "--no-audit", "--no-fund"];

const self = fileURLToPath(import.meta.url);
if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === self) {
  process.exitCode = (await install(dirname(dirname(self)))) ? 0 : 1;
}

/** Why an install is needed; undefined if it is not. npm notes what it installed in node_modules/.package-lock.json. */
export function missing(root, platform = here()) {
  const modules = join(root, "node_modules");
  if (!existsSync(modules)) return "node_modules is missing";
  // Comes from an install script: absent if scripts were disabled or the install was interrupted.
  const node = join(modules, ".bin", process.platform === "win32" ? "node.cmd" : "node");
  if (!existsSync(node)) return "the project's own Node is missing";
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

/** Why this Node cannot install the packages; undefined if it can. `range`: engines.node, with `^` and `>=` only. */
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

/** Says what is going on, now and every few seconds, the second time with a hint. Returns what ends it. */
export function busy(what, { hint = "", everyMs = EVERY_MS, say = console.error } = {}) {
  say(`${what} …`);
  let times = 0;
  const timer = setInterval(() => {
    times++;
    say(`… ${(times * everyMs) / 1000} s${times === 2 ? hint : ""}`);
  }, everyMs);
  return () => clearInterval(timer);
}

/** Runs `npm ci` if needed. Returns false if it cannot be done; why has then been printed. */
export async function install(root, how = {}) {
  const { npm = npmCommand(), everyMs, say = console.error } = how;
  const reason = missing(root);
  if (reason === undefined) return true;
  const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const old = tooOld(process.versions.node, engines.node);
  if (old !== undefined) {
    say(old);
    return false;
  }
  const done = busy(`Installing packages (${reason})`, { hint: NETWORK, everyMs, say });
  const { why, output } = await run(root, npm);
  done();
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

/** `why`: what went wrong; undefined if nothing did. */
function run(root, [command, ...first]) {
  const child = spawn(command, [...first, "ci", "--loglevel=error", ...OPTIONS], {
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

/** This machine, as package-lock.json describes it. */
function here() {
  const { platform: os, arch: cpu, report } = process;
  if (os !== "linux") return { os, cpu, libc: undefined };
  report.excludeNetwork = true;
  const { header } = report.getReport();
  return { os, cpu, libc: header.glibcVersionRuntime ? "glibc" : "musl" };
}

/** Whether a package is a binary for this platform. Others are in the lock file, and rightly not installed. */
function isFor({ os, cpu, libc }, platform) {
  return (
    os?.includes(platform.os) === true &&
    (cpu === undefined || cpu.includes(platform.cpu)) &&
    (libc === undefined || platform.libc === undefined || libc.includes(platform.libc))
  );
}

/** A lock file's packages by path; undefined if it cannot be read. */
function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages;
  } catch {
    return undefined;
  }
}
