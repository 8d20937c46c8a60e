/** The built Worker on state that outlives it, in a workerd that can be killed as if by a power cut. */
import path from "node:path";
import { serveWorker } from "../../local/dev/worker.ts";
import { type Call, callerOf } from "./client.ts";
import { commandLine, familyOf, isRunning } from "./processes.ts";
import { until } from "./until.ts";

/** The repository's directory. */
const ROOT = path.resolve(import.meta.dirname, "../..");

/** A Worker that can be killed. */
export type Killable = {
  call: Call;
  /** Runs the Worker's cron once. */
  sweep(): Promise<void>;
  /** SIGKILLs every workerd of this process and resolves when they are gone. */
  kill(): Promise<void>;
};

/**
 * Starts the Worker on a state directory that `migrate` has prepared. Only one per process at a time.
 * @param settings all of its settings
 */
export async function startKillable(
  state: string,
  settings: Record<string, string>,
): Promise<Killable> {
  const worker = await serveWorker({ root: ROOT, port: 0, settings, state, interactive: false });
  return {
    call: callerOf(worker.url),
    sweep: () => worker.scheduled(new Date()),
    async kill() {
      const pids = workerds();
      if (pids.length === 0) throw new Error("There is no workerd to kill.");
      for (const pid of pids) process.kill(pid, "SIGKILL");
      // Wrangler would restart a crashed runtime, but nobody may touch the state from here on.
      await worker.close();
      await until("workerd's end", () => workerds().length === 0);
    },
  };
}

/** The running workerd processes that this process started. */
function workerds(): number[] {
  return familyOf(process.pid).filter(
    (pid) => isRunning(pid) && commandLine(pid).includes("workerd"),
  );
}
