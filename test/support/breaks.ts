/** Ways to break an invocation at one of its steps. */
import type { Around, Step } from "./actors.ts";

/**
 * cut: the Worker dies before the step, or after it but before its answer; nothing of it runs again.
 * error: the step fails once, before or after taking effect. lost: every later call to that store fails, too.
 */
export const MODES = [
  "cut before",
  "cut after",
  "error before",
  "error after",
  "lost before",
  "lost after",
] as const;

/** One of MODES. */
export type Mode = (typeof MODES)[number];

/** Where and how to break. */
export type Break = { index: number; mode: Mode };

/** What a store's failure looks like to the Worker. */
const ERRORS: Record<Step["store"], string> = {
  KV: "KV PUT failed: 429 Too Many Requests",
  D1: "Network connection lost.",
  Convoy: "fetch failed",
};

/** Breaks an invocation at these steps; `over` says whether it has been cut off. */
export function breakAt(...breaks: Break[]): { around: Around; over: () => boolean } {
  let dead = false;
  const lost = new Set<Step["store"]>();
  const never = <T>() => new Promise<T>(() => {});
  const die = <T>() => {
    dead = true;
    return never<T>();
  };
  const around: Around = async <T>(step: Step, run: () => Promise<T>): Promise<T> => {
    if (dead) return never<T>();
    if (lost.has(step.store)) throw new Error(ERRORS[step.store]);
    const mode = breaks.find(({ index }) => index === step.index)?.mode;
    if (mode === "cut before") return die<T>();
    if (mode?.startsWith("lost")) lost.add(step.store);
    if (mode?.endsWith("before")) throw new Error(ERRORS[step.store]);
    const answer = await run();
    if (mode === "cut after") return die<T>();
    if (dead) return never<T>();
    if (mode) throw new Error(ERRORS[step.store]);
    return answer;
  };
  return { around, over: () => dead };
}

/** Cuts an invocation off before its `nth` step of a kind, such as `KV put`. */
export function cutBefore(kind: string, nth = 1): { around: Around; over: () => boolean } {
  let dead = false;
  let seen = 0;
  const around: Around = <T>(step: Step, run: () => Promise<T>): Promise<T> => {
    if (`${step.store} ${step.what}` === kind) seen++;
    if (seen >= nth) dead = true;
    return dead ? new Promise<T>(() => {}) : run();
  };
  return { around, over: () => dead };
}
