/** Notices that another `npm run dev` uses the same state: both would deliver the same events. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

/**
 * Marks the state as ours until this process ends.
 * @returns the port of the one that uses it already, if there is one
 */
export function claimState(state: string, port: number): number | undefined {
  const file = path.join(state, "dev.json");
  const other = readClaim(file);
  if (other && isRunning(other.pid)) return other.port;
  mkdirSync(state, { recursive: true });
  writeFileSync(file, JSON.stringify({ pid: process.pid, port }));
  process.once("exit", () => rmSync(file, { force: true }));
  return undefined;
}

/** What to tell somebody who starts a second one. */
export function sharedText(state: string, port: number): string {
  return `The npm run dev on port ${port} uses the same state, ${state}: what one changes the other sees, and both send what is due. For one of its own: npm run dev -- --state ${state}-2`;
}

function readClaim(file: string): { pid: number; port: number } | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return pid !== process.pid;
  } catch (error) {
    // Somebody else's process also runs.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
