// The crash matrix as tests: one for each scenario, and a count of the points at the end.
import { afterAll, expect, test } from "vitest";
import { openWorld } from "../support/world.ts";
import { runMatrix } from "./matrix.ts";
import type { Scenario } from "./scenario.ts";

/** Defines a test for each scenario; `title` names them in the printed count of points. */
export function testMatrix(title: string, scenarios: Scenario[]): void {
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
