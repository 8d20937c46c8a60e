/** The crash matrix: breaks a scenario at each step that it really takes, in every way. */
import { createIsolate } from "../support/actors.ts";
import { type Break, breakAt, MODES } from "../support/breaks.ts";
import { brokenPromises, kvDiffers } from "../support/promises.ts";
import { goOnUntil } from "../support/virtual-clock.ts";
import type { World } from "../support/world.ts";
import type { Scenario } from "./scenario.ts";

/** How many points were tried, and what broke, each with its point. */
export type MatrixReport = { points: number; broken: string[] };

/**
 * CRASH=deep also breaks each of many same steps in a row, cuts before each step, loses a store for good, and cuts at every later step after an error: many times
 * as many points. A cut before a step differs from one after the step before it only where steps run at once.
 */
export const DEEP = process.env.CRASH === "deep";
const TRIED = DEEP ? MODES : (["cut after", "error before", "error after"] as const);

/** Breaks the scenario at every step in every mode, and, if DEEP, also at every step that only comes after an error. */
export async function runMatrix(world: World, scenario: Scenario): Promise<MatrixReport> {
  const report: MatrixReport = { points: 0, broken: [] };
  const tried = async (...breaks: Break[]) => {
    const { steps, broken } = await runPoint(world, scenario, breaks);
    report.points++;
    const at = breaks
      .map(({ index, mode }) => `${mode} ${index} (${steps[index]})`)
      .join(", then ");
    report.broken.push(...broken.map((each) => `${scenario.name}: ${at}: ${each}`));
    return steps;
  };
  const clean = await tried();
  if (!clean.some((step) => step.includes(scenario.takes))) {
    throw new Error(`${scenario.name} has no step ${scenario.takes}: [${clean}]`);
  }
  for (let index = 0; index < clean.length; index++) {
    if (!DEEP && isAmongSame(clean, index)) continue;
    for (const mode of TRIED) {
      const steps = await tried({ index, mode });
      if (mode.startsWith("cut") || !DEEP) continue;
      // An error leads to other steps: looking up, retrying, handing back.
      for (const next of newSteps(clean, steps, index)) {
        for (const second of ["cut before", "cut after"] as const) {
          await tried({ index, mode }, { index: next, mode: second });
        }
      }
    }
  }
  return report;
}

/** Whether the steps before and after it are the same as this one: of a row of them the first and the last are enough. */
function isAmongSame(steps: string[], index: number): boolean {
  return steps[index] === steps[index - 1] && steps[index] === steps[index + 1];
}

/** Indexes after `index` of steps that a clean invocation has not there. */
function newSteps(clean: string[], steps: string[], index: number): number[] {
  return steps.flatMap((step, i) => (i > index && step !== clean[i] ? [i] : []));
}

async function runPoint(world: World, scenario: Scenario, breaks: Break[]) {
  await world.reset();
  await scenario.setup(world);
  const { around, over } = breakAt(...breaks);
  const begin = createIsolate(world.stores);
  const actor = begin(around);
  scenario.act(world, actor);
  scenario.company?.(world, () => begin(world.healthy));
  await goOnUntil(() => over() || actor.idle());
  if (breaks.length === 0 && scenario.shows && world.rows(scenario.shows).length === 0) {
    throw new Error(`${scenario.name} does not show: ${scenario.shows}`);
  }
  await world.rest();
  // The scrub is for puts that land late: nothing else may need it.
  const early = scenario.late ? [] : kvDiffers(world).map((each) => `before the scrub: ${each}`);
  await world.recover();
  if (await scenario.again?.(world)) await world.recover();
  const broken = [
    ...early,
    ...(await brokenPromises(world, scenario.excuses)),
    ...(await lookUps(world)),
  ];
  return { steps: actor.steps.map(({ store, what }) => `${store} ${what}`), broken };
}

/** Where GET /event/:id misinforms a caller whose outcome was unknown. */
async function lookUps(world: World): Promise<string[]> {
  const broken: string[] = [];
  for (const { status, eventId } of [...world.calls]) {
    if (eventId === null || status === null || status < 500) continue;
    const { status: found } = await world.ask("GET", `/event/${eventId}`);
    const committed = world.history().some(({ id }) => id === eventId);
    if ((found === 200) !== committed) broken.push(`GET /event/${eventId} answers ${found}`);
  }
  return broken;
}
