/** Races by fast-check's scheduler: who takes the next step. */
import type fc from "fast-check";
import type { Around } from "./actors.ts";
import { goOnUntil, pass, settle } from "./virtual-clock.ts";

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
