/** Time that only moves when a test says so: no test waits, and none depends on how fast it runs. */
import { vi } from "vitest";

/** Where virtual time begins: ten minutes past a full hour. */
const BEGIN_MS = 1_795_600_800_000 + 10 * 60_000;

const immediately = setImmediate;
let underWay = 0;

/** Puts Date, setTimeout and clearTimeout on virtual time, at its beginning. */
export function startClock(): void {
  vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout"], now: BEGIN_MS });
}

/** Forgets all timers and begins again. */
export function resetClock(): void {
  vi.clearAllTimers();
  vi.setSystemTime(BEGIN_MS);
}

/** Counts an operation as under way: `settle` waits for it. */
export async function operation<T>(run: () => T | Promise<T>): Promise<T> {
  underWay++;
  try {
    return await run();
  } finally {
    underWay--;
  }
}

/** Resolves when everyone waits: for time, for a turn, or forever. Takes no virtual time. */
export async function settle(): Promise<void> {
  do {
    // Two turns: reading a body, and what its reader does next.
    for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => immediately(resolve));
  } while (underWay > 0);
}

/** Moves the clock by `ms`, and every timer with it: nobody does anything meanwhile. */
export function jump(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
}

/** Moves time by `ms`, running the timers on the way. */
export async function pass(ms: number): Promise<void> {
  vi.advanceTimersByTime(ms);
  await settle();
}

/** Lets everyone go on, moving time to the next timer whenever all wait, until `done` or no timer is left. */
export async function goOnUntil(done: () => boolean): Promise<void> {
  await settle();
  while (!done() && vi.getTimerCount() > 0) {
    vi.advanceTimersToNextTimer();
    await settle();
  }
}
