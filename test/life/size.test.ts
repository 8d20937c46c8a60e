import { afterEach, expect, it } from "vitest";
import { FRESH } from "../support/kv.ts";
import { openWorld, type World } from "../support/world.ts";

let world: World;
afterEach(() => world.close());

it("works at all", async () => {
  world = openWorld({ kv: FRESH });
  world.endpoints("e1", "e2");
  const made = await world.ask("POST", "/thing", { body: { name: "x" } });
  expect(made).toMatchObject({ status: 201 });
  expect(world.statuses()).toEqual({ sending: 2 });
  for (let i = 0; i < 4; i++) await world.cron();
  expect(world.statuses()).toEqual({ delivered: 2 });
  const started = performance.now();
  const ids = await world.createMany(1000);
  console.info("1000 took", performance.now() - started);
  expect(ids).toHaveLength(1000);
  expect(await world.cronUntil(() => world.statuses().delivered === 2002, 40)).toBeLessThan(40);
  console.info("1000 took", performance.now() - started, Date.now());
});
