// Runs a program as our child and sees to it that the child never outlives us.
import { spawn } from "node:child_process";
import { constants } from "node:os";

/** How often we look whether our parent is gone: a SIGKILL of npm sends us no signal. */
const PARENT_CHECK_MS = 500;
/** How long the child may take to end after a signal before it is killed. */
const GRACE_MS = 8_000;
/** The signals that ask us to stop. */
const STOP_SIGNALS = /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]);

/**
 * Runs a program to its end, handing on every signal that we get.
 * @param {string} command
 * @param {string[]} args
 * @param {import("node:child_process").SpawnOptions} options
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
    const parent = process.ppid;
    const watch = setInterval(() => {
      if (process.ppid !== parent) stop("SIGTERM");
    }, PARENT_CHECK_MS);
    for (const signal of STOP_SIGNALS) process.on(signal, stop);
    /** @param {number} code */
    const end = (code) => {
      clearInterval(watch);
      clearTimeout(grace);
      for (const signal of STOP_SIGNALS) process.off(signal, stop);
      resolve(code);
    };
    child.on("error", (error) => {
      console.error(`${command} cannot be started: ${error.message}`);
      end(127);
    });
    child.on("exit", (code, signal) => end(code ?? 128 + constants.signals[signal ?? "SIGKILL"]));
  });
}
