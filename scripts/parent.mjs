// Is the one who started us still there? A SIGKILL of npm sends us no signal.
import { readFileSync } from "node:fs";

/** How often we look. */
const PARENT_CHECK_MS = 500;

/**
 * Calls `gone` once when the parent has ended. Under npm also when npm has: not every sh makes way
 * for the command it runs, and one that waits for us outlives npm.
 * @param {() => void} gone
 * @returns {() => void} stops looking
 */
export function watchParent(gone) {
  const parent = process.ppid;
  const npm = process.env.npm_lifecycle_event === undefined ? undefined : parentOf(parent);
  const timer = setInterval(() => {
    if (process.ppid === parent && (npm === undefined || parentOf(parent) === npm)) return;
    clearInterval(timer);
    gone();
  }, PARENT_CHECK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/**
 * The parent of a process, where the system has /proc (elsewhere sh is known to make way).
 * @param {number} pid
 * @returns {string | undefined}
 */
function parentOf(pid) {
  try {
    return /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  } catch {
    return undefined;
  }
}
