/** npm run chaos -- [--rounds N] [--seed N]: kills workerd (-9) under load, for longer than CI does. */
import { parseArgs } from "node:util";
import { runChaos } from "../test/support/chaos.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "25" }, seed: { type: "string" } },
});
const rounds = Number(values.rounds);
const seed = Number(values.seed ?? Date.now() % 1e9);
if (!Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed)) {
  console.error("Usage: npm run chaos -- [--rounds N] [--seed N], whole numbers, at least 1 round");
  process.exit(2);
}
console.log(`Seed ${seed}`);
const report = await runChaos({
  rounds,
  seed,
  onRound: (round, so) =>
    console.log(
      `round ${round}: acknowledged ${so.acknowledged}, unknown ${so.unknown}, lost ${so.lost.length}, twice ${so.twice.length}, phantom ${so.phantom.length}`,
    ),
});
const { lost, twice, phantom } = report;
for (const [what, ids] of Object.entries({ lost, twice, phantom })) {
  if (ids.length > 0) console.error(`${what}: ${ids.slice(0, 20).join(", ")}`);
}
console.log(
  `${report.rounds} rounds, ${report.acknowledged} acknowledged, ${lost.length} lost, ${twice.length} twice, ${phantom.length} phantom`,
);
process.exit(lost.length + twice.length + phantom.length > 0 ? 1 : 0);
