/**
 * Random lives of endpoints: after a healthy hour Convoy is as it is wanted here, and what callers were told is so.
 * LIVES=n lives more of them than CI does, from SEED on.
 */
import { afterAll, expect, it } from "vitest";
import { liveOnce, openLifeWorld } from "../support/endpoint-life.ts";

const LIVES = Number(process.env.LIVES ?? 10);
const FIRST_SEED = Number(process.env.SEED ?? 1);

const world = openLifeWorld();
afterAll(() => world.close());

it(`${LIVES} lives of endpoints`, { timeout: 3_600_000 }, async () => {
  let first: object | null = null;
  const total = { lives: 0, steps: 0, broken: 0 };
  for (let seed = FIRST_SEED; seed < FIRST_SEED + LIVES; seed++) {
    const { steps, broken } = await liveOnce(world, seed);
    total.lives++;
    total.steps += steps;
    if (broken.length === 0) continue;
    if (++total.broken === 1) first = { seed, broken };
    console.info(`seed ${seed}: ${broken[0]}`);
  }
  console.info(`endpoints: ${JSON.stringify(total)}`);
  expect(first).toBeNull();
});
