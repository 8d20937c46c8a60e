/**
 * `npm run dev`: starts dev/serve.ts in a process group of its own, of which nothing is left once we
 * end, and ends it when whoever started us is gone. Imports nothing large: until it looks, it sees nobody go.
 */
import { fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import path from "node:path";
import { GRACE_MS, PARENT_CHECK_MS, STOP_SIGNALS } from "./dev/numbers.ts";

const starters = ancestors();
const detached = process.platform !== "win32";
const server = fork(path.join(import.meta.dirname, "dev/serve.ts"), process.argv.slice(2), {
  detached,
});
let stopping = false;

server.on("exit", (code, signal) => {
  if (detached) endGroup(server.pid);
  process.exit(code ?? 128 + constants.signals[signal ?? "SIGKILL"]);
});
for (const signal of STOP_SIGNALS) process.on(signal, stop);
// A SIGKILL of npm sends us no signal.
setInterval(() => {
  if (ancestors() !== starters) stop("SIGTERM");
}, PARENT_CHECK_MS);

function stop(signal: NodeJS.Signals): void {
  server.kill(signal);
  if (!stopping) setTimeout(() => server.kill("SIGKILL"), GRACE_MS);
  stopping = true;
}

/** Ends what is left of a process group: workerd, where its own parent was killed. */
function endGroup(leader: number | undefined): void {
  try {
    if (leader !== undefined) process.kill(-leader, "SIGKILL");
  } catch {
    // Nobody is left, as it should be.
  }
}

/**
 * The parent's id, and under npm also npm's: not every sh makes way for the command that it runs, and
 * one that waits for us outlives an npm that was killed. Where there is no /proc, only the parent's.
 */
function ancestors(): string {
  const parent = process.ppid;
  if (process.env.npm_lifecycle_event === undefined) return `${parent}`;
  try {
    const status = readFileSync(`/proc/${parent}/status`, "utf8");
    return `${parent} ${/^PPid:\s*(\d+)$/m.exec(status)?.[1]}`;
  } catch {
    return `${parent}`;
  }
}
