/** kill -9 of workerd under load; `npm run chaos -- --rounds N` does more of it. */
import { expect, test } from "vitest";
import { runChaos } from "../support/chaos.ts";

/** Enough to see that it works; the rest is for `npm run chaos`. */
const ROUNDS = 1;

test("no acknowledged change is lost, sent twice or made up when workerd is killed under load", {
  timeout: 300_000,
}, async () => {
  const seed = Number(process.env.SEED ?? 1);
  const report = await runChaos({ rounds: ROUNDS, seed });
  console.log(`seed ${seed}: ${report.rounds} rounds, ${report.acknowledged} acknowledged`);
  expect(report, `seed ${seed}`).toMatchObject({ lost: [], twice: [], phantom: [] });
  expect(report.rounds).toBe(ROUNDS);
  expect(report.acknowledged).toBeGreaterThan(0);
});
