/** The processes of this machine, as seen in Linux's /proc. */
import { readdirSync, readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";

/** The ids of all processes. */
export function allProcesses(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** A process and all of its descendants. */
export function familyOf(pid: number): number[] {
  const parents = new Map(allProcesses().map((one) => [one, Number(status(one, "PPid"))]));
  const family = [pid];
  // Grows during the loop, so that children of children are found.
  for (const member of family) {
    for (const [child, parent] of parents) if (parent === member) family.push(child);
  }
  return family;
}

/** Whether a process runs; a zombie does not. */
export function isRunning(pid: number): boolean {
  const state = status(pid, "State");
  return state !== undefined && !state.startsWith("Z");
}

/** A process's command line, its arguments joined by spaces; empty when it is gone. */
export function commandLine(pid: number): string {
  return read(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
}

/** A port nobody listens on right now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function status(pid: number, field: string): string | undefined {
  return new RegExp(`^${field}:\\s*(.+)$`, "m").exec(read(`/proc/${pid}/status`))?.[1];
}

/** A file in /proc, or an empty string if its process is gone by now. */
function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
