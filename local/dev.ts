/**
 * `npm run dev`: starts dev/serve.ts in its own process group, of which nothing is left once we end, and
 * ends it when the process that started us is gone. Imports nothing large: it must start watching early.
 */
import { fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import path from "node:path";
import { STOP_SIGNALS } from "./dev/lifetime.ts";

/** How often we check whether npm is gone: if it gets a SIGKILL, we get no signal. */
const PARENT_CHECK_MS = 500;
/** How long the server may take to end after a signal before it is killed: longer than it gives itself. */
const GRACE_MS = 8_000;

const startedBy = starter();
// npm, its sh and we share a process group: a parent in another one has adopted us, so npm is gone already.
const ourGroup = stat("self")[2];
if (process.env.npm_lifecycle_event === "dev" && stat(startedBy)[2] !== ourGroup) process.exit(1);
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
  if (starter() !== startedBy) stop("SIGTERM");
}, PARENT_CHECK_MS);

function stop(signal: NodeJS.Signals): void {
  server.kill(signal);
  if (!stopping) setTimeout(() => server.kill("SIGKILL"), GRACE_MS);
  stopping = true;
}

/** Ends what is left of a process group: workerd, if its own parent was killed. */
function endGroup(leader: number | undefined): void {
  try {
    if (leader !== undefined) process.kill(-leader, "SIGKILL");
  } catch {
    // No process is left, as intended.
  }
}

/**
 * The process that started us: the parent, or the parent of the sh in which npm runs its script. Not every
 * sh is replaced by the command it runs, and one that waits for us outlives a killed npm.
 */
function starter(): string {
  const parent = `${process.ppid}`;
  return (read(parent, "cmdline").includes("local/dev.ts") && stat(parent)[1]) || parent;
}

/** A process's state, parent, process group and more; empty without /proc. */
function stat(pid: string): string[] {
  const text = read(pid, "stat");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

function read(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}
