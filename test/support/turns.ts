/** Races: fast-check's scheduler decides who takes the next step. */
import type fc from "fast-check";
import type { Around, Step } from "./actors.ts";
import { goOnUntil, jump, pass, settle } from "./virtual-clock.ts";

/** A little more than a second, in which KV takes one write per key. */
const SECOND_MS = 1_100;

/**
 * Each step waits for its turn. `slow`: a second passes before each KV write. `dies`: nothing runs after the
 * first step of this kind, such as `KV put` or `Convoy`; `diesBefore`: nor does that step itself.
 */
export function inTurn(
  scheduler: fc.Scheduler,
  name: string,
  { slow = false, dies, diesBefore }: { slow?: boolean; dies?: string; diesBefore?: string } = {},
): Around {
  let dead = false;
  return async <T>(step: { store: string; what: string }, run: () => Promise<T>): Promise<T> => {
    const never = () => new Promise<T>(() => {});
    const kind = `${step.store} ${step.what}`;
    if (dead) return never();
    await scheduler.schedule(Promise.resolve(), `${name}: ${kind}`);
    if (diesBefore && kind.startsWith(diesBefore)) dead = true;
    if (dead) return never();
    if (slow && ["put", "delete"].includes(step.what)) await pass(SECOND_MS);
    const answer = await run();
    if (dies && kind.startsWith(dies)) dead = true;
    return dead ? never() : answer;
  };
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/**
 * prompt: every step ends within its worker's lease. late: some do not, but puts into KV have landed by
 * then. landing: puts, too, land after their lease, which only the scrub can repair.
 */
export type Pace = "prompt" | "late" | "landing";

/** Longer than a lease (LEASE_MS in src/config.ts). */
const LATE_MS = 91_000;
/** Share of steps, in percent, that take longer than a lease. */
const LATE = 10;
/** Share of steps, in percent, before which enough time passes for KV to take the next write of a key. */
const SLOW = 15;

/**
 * Workers that may be slow, and die before or after any step (`dies`: percent); another may go first
 * before and after each step.
 */
export function frailty(
  scheduler: fc.Scheduler,
  random: () => number,
  { dies, pace }: { dies: number; pace: Pace },
): { worker: (name: string) => Around; deaths: () => number } {
  const chance = (percent: number) => random() * 100 < percent;
  let deaths = 0;
  /** KV writes in flight. */
  let puts = 0;
  const worker = (name: string): Around => {
    let dead = false;
    const die = <T>() => {
      if (!dead) deaths++;
      dead = true;
      return new Promise<T>(() => {});
    };
    return async <T>({ store, what }: Step, run: () => Promise<T>): Promise<T> => {
      if (dead) return die<T>();
      await scheduler.schedule(Promise.resolve(), `${name}: ${store} ${what}`);
      if (dead || chance(dies)) return die<T>();
      if (chance(SLOW)) jump(SECOND_MS);
      const isPut = store === "KV" && (what === "put" || what === "delete");
      if (isPut) puts++;
      const mayBeLate = pace === "landing" || (pace === "late" && puts === 0);
      if (mayBeLate && chance(LATE)) {
        // The others either go on meanwhile or stall as well, as when the whole machine does.
        if (chance(50)) await sleep(LATE_MS);
        else jump(LATE_MS);
        await scheduler.schedule(Promise.resolve(), `${name}: late`);
      }
      try {
        const answer = await run();
        await scheduler.schedule(Promise.resolve(), `${name}: answer`);
        return dead || chance(dies) ? die<T>() : answer;
      } finally {
        if (isPut) puts--;
      }
    };
  };
  return { worker, deaths: () => deaths };
}

/** Holds a worker up before its check after the put; from `go` on it proceeds through `rest`. */
export function heldUp(rest: Around): { around: Around; go: () => void } {
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  let held = false;
  const around: Around = async (step, run) => {
    if (!held && `${step.store} ${step.what}`.startsWith("D1 UPDATE event")) held = true;
    if (!held) return run();
    await gate;
    return rest(step, run);
  };
  return { around, go };
}

/** Takes steps in the scheduler's order; time moves only when no step waits. */
export async function playOut(scheduler: fc.Scheduler): Promise<void> {
  await settle();
  do {
    while (scheduler.count() > 0) {
      await scheduler.waitNext(1);
      await settle();
    }
    await goOnUntil(() => scheduler.count() > 0);
  } while (scheduler.count() > 0);
}
