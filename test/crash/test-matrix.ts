// The crash matrix as tests: one for each scenario, and a count of the points at the end.
import { afterAll, expect, test } from "vitest";
import { openWorld } from "../support/world.ts";
import { DEEP, runMatrix } from "./matrix.ts";
import type { Scenario } from "./scenario.ts";

/**
 * Defines a test for each scenario; `title` names them in the printed count of points. `few`: those that are enough in
 * CI, since the others take the same steps.
 */
export function testMatrix(title: string, all: Scenario[], few = /^/): void {
  const scenarios = DEEP ? all : all.filter(({ name }) => few.test(name));
  const world = openWorld({ settings: { RETENTION_DAYS: "1", HELD_DAYS: "2" } });
  const tried = { points: 0, broken: 0 };

  afterAll(async () => {
    await world.close();
    console.info(`crash matrix, ${title}: ${tried.points} points tried, ${tried.broken} broken`);
  });

  test.for(scenarios)(
    "$name: no crash or error at any step breaks a promise",
    { timeout: 600_000 },
    async (scenario) => {
      const { points, broken } = await runMatrix(world, scenario);
      tried.points += points;
      tried.broken += broken.length;
      expect(broken).toEqual([]);
    },
  );
}
