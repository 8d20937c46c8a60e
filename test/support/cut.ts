/** Cutting an invocation short, at a given step. */
import type { Around, Step } from "./simulation.ts";

/**
 * before, after: the Worker dies before the step, or after it took effect but before its answer; nothing
 * of it runs any more. throws before, throws after: the step fails instead, and the Worker goes on.
 */
export const CUTS = ["before", "after", "throws before", "throws after"] as const;
/** One way to cut. */
export type Cut = (typeof CUTS)[number];

/** A way around steps that notes them all. */
export function recorder(): { around: Around; steps: Step[] } {
  const steps: Step[] = [];
  return {
    steps,
    around: async (step, run) => {
      steps.push(step);
      return run();
    },
  };
}

/** A way around steps that cuts at step `at` (from 0). `dead` says whether the Worker is gone. */
export function cutter(at: number, cut: Cut): { around: Around; dead: () => boolean } {
  let count = 0;
  let dead = false;
  const never = <T>() => new Promise<T>(() => {});
  return {
    dead: () => dead,
    around: async <T>(step: Step, run: () => T | Promise<T>): Promise<T> => {
      if (dead) return never<T>();
      if (count++ !== at) {
        const answer = await run();
        return dead ? never<T>() : answer;
      }
      const dies = cut === "before" || cut === "after";
      if (dies) dead = true;
      if (cut === "after" || cut === "throws after") await run();
      if (dies) return never<T>();
      throw failureOf(step);
    },
  };
}

function failureOf({ store, name }: Step): Error {
  if (store === "D1") return new Error("Network connection lost.");
  if (store === "KV")
    return new Error(`KV ${name.toUpperCase()} failed: 500 Internal Server Error`);
  return new TypeError("fetch failed");
}
