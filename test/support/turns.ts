/** Races by fast-check's scheduler: who takes the next step. */
import type fc from "fast-check";
import type { Around, Step } from "./actors.ts";
import { goOnUntil, jump, pass, settle } from "./virtual-clock.ts";

/** A little more than the second in which KV takes one write of a key. */
const SECOND_MS = 1_100;

/**
 * Each step waits for its turn. `slow`: KV has had its second before each write. `dies`: the kind of step,
 * such as `KV put` or `Convoy`, after whose first nothing runs any more; `diesBefore`: likewise, before it.
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
 * prompt: every step ends within its worker's lease. late: some do not, but what was put into KV has landed by
 * then. landing: puts too land after their lease, which only the scrub can repair.
 */
export type Pace = "prompt" | "late" | "landing";

/** Longer than a lease (LEASE_MS in src/config.ts). */
const LATE_MS = 91_000;
/** Share of steps, in percent, that take longer than a lease. */
const LATE = 10;
/** Share of steps, in percent, before which so much time passes that KV takes the next write of a key. */
const SLOW = 15;

/**
 * Workers that may die before or after any step, `dies` in a hundred, and be slow: somebody else may come first
 * before and after each step.
 */
export function frailty(
  scheduler: fc.Scheduler,
  random: () => number,
  { dies, pace }: { dies: number; pace: Pace },
): { worker: (name: string) => Around; deaths: () => number } {
  const chance = (percent: number) => random() * 100 < percent;
  let deaths = 0;
  /** Puts that are on their way into KV. */
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
        // The others go on meanwhile, or they stand still as well, as where the machine does.
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

/** Held up before its check after the put; from `go` on as `rest` says. */
export function heldUp(rest: Around): { around: Around; go: () => void } {
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  let held = false;
  const around: Around = async (step, run) => {
    if (!held && `${step.store} ${step.what}` === "D1 UPDATE event") held = true;
    if (!held) return run();
    await gate;
    return rest(step, run);
  };
  return { around, go };
}

/** Takes steps in the scheduler's order; time moves only where no step waits. */
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
