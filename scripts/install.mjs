// Every npm script runs this first: it installs the packages if node_modules is missing or does not
// match package-lock.json. npm puts node_modules/.bin first on PATH, so the script itself finds the
// project's own Node (24) as `node`. Plain JavaScript: this runs on Node 20, before anything is installed.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const self = fileURLToPath(import.meta.url);
if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === self) {
  process.exitCode = install(dirname(dirname(self))) ? 0 : 1;
}

/**
 * Whether node_modules holds what package-lock.json asks for. npm writes what it installed into
 * node_modules/.package-lock.json, so a manual install counts as well.
 * @param {string} root the repository's directory
 * @returns {string | undefined} why an install is needed; undefined if it is not
 */
export function missing(root) {
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
    // Builds for other platforms are in the lock file and rightly not installed.
    if (!have && entry.optional) continue;
    if (have?.version !== entry.version) return `${path} is not what package-lock.json says`;
  }
  return undefined;
}

/**
 * The project's own Node (24, pinned in package-lock.json).
 * @param {string} root the repository's directory
 * @returns {string} the path of the binary
 */
function nodeBinary(root) {
  return join(root, "node_modules", ".bin", process.platform === "win32" ? "node.cmd" : "node");
}

/**
 * Runs `npm ci` if needed; quiet unless it fails.
 * @param {string} root the repository's directory
 * @returns {boolean} false if the install failed; npm's output has then been printed
 */
function install(root) {
  const reason = missing(root);
  if (reason === undefined) return true;
  console.error(`Installing packages (${reason}) …`);
  // The npm that started us, or the one on PATH.
  const npm = process.env.npm_execpath
    ? [process.execPath, process.env.npm_execpath]
    : [process.platform === "win32" ? "npm.cmd" : "npm"];
  const [command, ...first] = npm;
  const done = spawnSync(
    command,
    [...first, "ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"],
    { cwd: root, stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" },
  );
  if (done.status === 0 && missing(root) === undefined) return true;
  process.stderr.write(done.stdout ?? "");
  process.stderr.write(done.stderr ?? "");
  const why = done.error?.message ?? missing(root) ?? `exit ${done.status ?? done.signal}`;
  console.error(`Installing failed (${why}). Fix what npm reports above, then run this again.`);
  return false;
}

/**
 * @param {string} file an npm lock file
 * @returns {Record<string, {version?: string, optional?: boolean}> | undefined} undefined when unreadable
 */
function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages;
  } catch {
    return undefined;
  }
}
