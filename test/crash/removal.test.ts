// An endpoint that is removed, or paused, before or after any step of another invocation: what it has not got is dead,
// or held, nothing is posted to it any more, and nothing of other endpoints is lost.
import { afterAll, expect, test } from "vitest";
import { deadOfEndpoint } from "../../src/outbox/removal.ts";
import { type Around, createIsolate } from "../support/actors.ts";
import { brokenPromises } from "../support/promises.ts";
import { goOnUntil, pass } from "../support/virtual-clock.ts";
import { openWorld, type World } from "../support/world.ts";
import { CHANGE_SCENARIOS } from "./change-scenarios.ts";
import { CRON_SCENARIOS } from "./cron-scenarios.ts";
import { DELIVERY_SCENARIOS } from "./delivery-scenarios.ts";
import { DEEP } from "./matrix.ts";
import type { Scenario } from "./scenario.ts";

const world = openWorld({ settings: { RETENTION_DAYS: "1", HELD_DAYS: "2" } });
const tried = { points: 0 };
afterAll(async () => {
  await world.close();
  console.info(`crash matrix, removals and pauses: ${tried.points} points tried`);
});

const ENDPOINT = "e1";
const MINUTE_MS = 60_000;
// Those that do something for the endpoint; of each kind one.
const ALL =
  /^(create with three|update for one endpoint|resend (a delivered one|all that are dead)|cron: to (post, of|release|hold|walk|post what|look up|give a new key))/;
const FEW = /^(create with three|resend a delivered one|cron: to (post, of|release|walk$|look up))/;
const SCENARIOS = [...CHANGE_SCENARIOS, ...DELIVERY_SCENARIOS, ...CRON_SCENARIOS].filter(
  ({ name }) => (DEEP ? ALL : FEW).test(name),
);

/** Does what a request that removes, or pauses, the endpoint does, at once. */
function move({ d1, calls }: World, what: "remove" | "pause"): void {
  const now = Date.now();
  const url = `/endpoint/${ENDPOINT}${what === "pause" ? "/pause" : ""}`;
  if (what === "pause")
    d1.sqlite.exec(`UPDATE endpoint SET wanted = 'paused' WHERE id = '${ENDPOINT}'`);
  else {
    d1.sqlite.exec(`UPDATE endpoint SET wanted = 'removed' WHERE id = '${ENDPOINT}'`);
    for (const [sql, ...values] of deadOfEndpoint("default", ENDPOINT, now)) {
      d1.sqlite.prepare(sql).run(...(values as string[]));
    }
  }
  const done = { status: 200, eventId: null, answer: {}, at: now, answeredAt: now };
  calls.push({ method: "POST", url, body: null, owner: "default", ...done });
}

/** Runs the scenario with the move before or after its step `at`. @returns whether it has such a step */
async function runPoint(
  scenario: Scenario,
  what: "remove" | "pause",
  at: number,
  isBefore: boolean,
) {
  await world.reset();
  await scenario.setup(world);
  let isMoved = false;
  const around: Around = async (step, run) => {
    const isHere = step.index === at;
    if (isHere && isBefore) move(world, what);
    const answer = await run();
    if (isHere && !isBefore) move(world, what);
    isMoved ||= isHere;
    return answer;
  };
  const begin = createIsolate(world.stores);
  const actor = begin(around);
  scenario.act(world, actor);
  await goOnUntil(() => actor.idle());
  if (!isMoved) return false;
  tried.points++;
  await world.rest();
  if (what === "pause") {
    // What Convoy has already is tried to its end; the rest is held, and comes with the activation.
    await pass(20 * MINUTE_MS);
    for (let i = 0; i < 4; i++) await world.cron();
    const waiting = world.rows(
      `SELECT status FROM delivery WHERE endpoint_id = '${ENDPOINT}' AND status IN ('pending', 'sending')`,
    );
    expect(waiting).toEqual([]);
    await world.ask("POST", `/endpoint/${ENDPOINT}/activate`);
  }
  await world.recover();
  await scenario.again?.(world);
  await world.recover();
  const point = `${what} ${isBefore ? "before" : "after"} ${at}`;
  const promises = await brokenPromises(world, scenario.excuses);
  expect(promises.map((each) => `${point}: ${each}`)).toEqual([]);
  if (what === "remove") {
    const open = world
      .deliveries()
      .filter(({ endpoint_id, finished_at }) => endpoint_id === ENDPOINT && finished_at === null);
    expect(open).toEqual([]);
  }
  return true;
}

test.for(
  SCENARIOS.flatMap((scenario) =>
    (["remove", "pause"] as const).map((what) => ({ what, scenario })),
  ),
)("$what at every step of: $scenario.name", { timeout: 600_000 }, async ({ what, scenario }) => {
  for (let at = 0; ; at++) {
    if (!(await runPoint(scenario, what, at, true))) break;
    await runPoint(scenario, what, at, false);
  }
});
