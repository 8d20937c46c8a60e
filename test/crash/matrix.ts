/** The crash matrix: breaks a scenario at each step that it really takes, in every way. */
import { createIsolate } from "../support/actors.ts";
import { type Break, breakAt, MODES } from "../support/breaks.ts";
import { brokenEndpoints, brokenMoves } from "../support/endpoint-records.ts";
import { brokenPromises, kvDiffers } from "../support/promises.ts";
import { goOnUntil } from "../support/virtual-clock.ts";
import type { World } from "../support/world.ts";
import type { Scenario } from "./scenario.ts";

/** How many points were tried, and what broke, each with its point. */
export type MatrixReport = { points: number; broken: string[] };

const MONTH_MS = 30 * 86_400_000;

/** CRASH=deep also loses a store for good after a step, and cuts what comes then: more than twice as many points. */
const DEEP = process.env.CRASH === "deep";

/** Breaks the scenario at every step in every mode, then also at every step that only comes after an error. */
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
  for (let index = 0; index < clean.length; index++) {
    for (const mode of DEEP ? MODES : MODES.filter((one) => one !== "lost after")) {
      const steps = await tried({ index, mode });
      if (mode.startsWith("cut") || (mode.startsWith("lost") && !DEEP)) continue;
      // An error leads to other steps: looking up, retrying, undoing.
      for (const next of newSteps(clean, steps, index)) {
        for (const second of ["cut before", "cut after"] as const) {
          await tried({ index, mode }, { index: next, mode: second });
        }
      }
    }
  }
  return report;
}

/** Indexes after `index` where an invocation differs from the clean one. */
function newSteps(clean: string[], steps: string[], index: number): number[] {
  return steps.flatMap((step, i) => (i > index && step !== clean[i] ? [i] : []));
}

async function runPoint(world: World, scenario: Scenario, breaks: Break[]) {
  await world.reset();
  // Looking through deliveries is for recovery.test.ts: here each run of the cron would do it again.
  world.d1.sqlite.exec(
    `INSERT INTO delivery_walk (project, status, since, due_at)
     SELECT 'local', value, ${Date.now()}, ${Date.now() + MONTH_MS}
     FROM json_each('["Discarded", "Scheduled", "Retry", "Processing"]')`,
  );
  await scenario.setup(world);
  const { around, over } = breakAt(...breaks);
  const begin = createIsolate(world.stores);
  const actor = begin(around);
  scenario.act(world, actor);
  scenario.company?.(world, () => begin(world.healthy));
  await goOnUntil(() => over() || actor.idle());
  await world.rest();
  // The scrub is for puts that land late: nothing else may need it.
  const early = [...(scenario.late ? [] : kvDiffers(world)), ...(await brokenMoves(world))].map(
    (each) => `before the scrub: ${each}`,
  );
  await world.recover();
  if (await scenario.again?.(world)) await world.recover();
  const broken = [
    ...early,
    ...(await brokenPromises(world)),
    ...(await brokenEndpoints(world)),
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
