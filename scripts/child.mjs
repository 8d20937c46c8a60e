// Runs a program as our child and sees to it that the child never outlives us.
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { watchParent } from "./parent.mjs";

/** How long the child may take to end after a signal before it is killed. */
const GRACE_MS = 8_000;
/** The signals that ask us to stop. */
const STOP_SIGNALS = /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]);

/**
 * Runs a program to its end, handing on every signal that we get.
 * @param {string} command
 * @param {string[]} args
 * @param {import("node:child_process").SpawnOptions} options `detached` gives it a process group of
 *   its own, of which nothing is left at its end, even if it was killed; it cannot ask questions then
 * @returns {Promise<number>} the exit code; 128 + the signal's number when a signal ended it
 */
export function runChild(command, args, options) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: "inherit", ...options });
    /** @type {NodeJS.Timeout | undefined} */
    let grace;
    /** @param {NodeJS.Signals} signal */
    const stop = (signal) => {
      child.kill(signal);
      grace ??= setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
    };
    const unwatch = watchParent(() => stop("SIGTERM"));
    for (const signal of STOP_SIGNALS) process.on(signal, stop);
    /** @param {number} code */
    const end = (code) => {
      unwatch();
      clearTimeout(grace);
      for (const signal of STOP_SIGNALS) process.off(signal, stop);
      if (options.detached) killGroup(child.pid);
      resolve(code);
    };
    child.on("error", (error) => {
      console.error(`${command} cannot be started: ${error.message}`);
      end(127);
    });
    child.on("exit", (code, signal) => end(code ?? 128 + constants.signals[signal ?? "SIGKILL"]));
  });
}

/**
 * Ends what is left of a child's process group.
 * @param {number | undefined} leader
 */
function killGroup(leader) {
  if (leader === undefined || process.platform === "win32") return;
  try {
    process.kill(-leader, "SIGKILL");
  } catch {
    // Nobody is left, as it should be.
  }
}
