// A Worker cut off or failed at any step of endpoints, replay, portal breaks no promise.
import { afterAll, expect, test } from "vitest";
import { openWorld } from "../support/world.ts";
import { OTHER_SCENARIOS } from "./endpoint-scenarios.ts";
import { runMatrix } from "./matrix.ts";

const world = openWorld({ RETENTION_DAYS: "1" });
const tried = { points: 0, broken: 0 };

afterAll(async () => {
  await world.close();
  console.info(
    `crash matrix, endpoints, replay, portal: ${tried.points} points tried, ${tried.broken} broken`,
  );
});

test.for(OTHER_SCENARIOS)(
  "$route, $name: no step can break a promise",
  { timeout: 600_000 },
  async (scenario) => {
    const { points, broken } = await runMatrix(world, scenario);
    tried.points += points;
    tried.broken += broken.length;
    expect(broken).toEqual([]);
  },
);
