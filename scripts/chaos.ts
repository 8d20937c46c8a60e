/**
 * npm run chaos [-- --seed N] [--only life,races,crash,size,faults,smoke,kill] [--scale 0.1]: the proofs at the size that CI has
 * no time for, under 20 minutes on two cores. A seed repeats the random choices; where processes race, timing varies.
 */
import { spawn } from "node:child_process";
import path from "node:path";
import { parseArgs } from "node:util";
import { runChaos } from "../test/support/chaos.ts";

const root = path.resolve(import.meta.dirname, "..");
const PARTS = ["life", "races", "crash", "size", "faults", "smoke", "kill"] as const;
type Part = (typeof PARTS)[number];

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    only: { type: "string", default: PARTS.join(",") },
    scale: { type: "string", default: "1" },
    rounds: { type: "string", default: "25" },
  },
});
const seed = Number(values.seed ?? Date.now() % 1e6);
const scale = Number(values.scale);
const rounds = Number(values.rounds);
const wanted = values.only.split(",");
const isUsable = Number.isInteger(seed) && scale > 0 && Number.isInteger(rounds) && rounds > 0;
if (!isUsable || !wanted.every((part) => PARTS.some((one) => one === part))) {
  console.error(
    `Usage: npm run chaos -- [--seed N] [--only ${PARTS.join(",")}] [--scale 0.1] [--rounds N]`,
  );
  process.exit(2);
}

const times = (count: number) => String(Math.max(1, Math.round(count * scale)));
/** What each part sets for its tests, and which they are. */
const TESTS: Record<Exclude<Part, "kill">, { env: Record<string, string>; tests: string[] }> = {
  life: {
    env: { LIFE: times(300), LIVES: times(600), CONVERGENCE: times(600), SEED: String(seed) },
    tests: [
      "test/life/schedules",
      "test/life/endpoints",
      "test/e2e/convergence",
      "test/receiver/convergence",
    ],
  },
  races: { env: { RACES: times(1_500), SEED: String(seed) }, tests: ["test/races"] },
  crash: { env: scale >= 1 ? { CRASH: "deep" } : {}, tests: ["test/crash"] },
  size: {
    env: { SIZE: times(10_000), BACKLOG: times(9_000), MIGRATED: times(100_000) },
    tests: ["test/life/size", "test/life/turns", "test/contract/migration"],
  },
  faults: { env: { FAULTS: times(300) }, tests: ["test/life/faults"] },
  smoke: { env: { SMOKE: "all" }, tests: ["test/e2e/smoke"] },
};

/** Runs tests; prints which, at what size, and what they say of themselves. @returns whether all passed */
async function run({ env, tests }: { env: Record<string, string>; tests: string[] }) {
  const sizes = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  console.log([...sizes, "npm test --", ...tests].join(" "));
  const vitest = path.join(root, "node_modules/vitest/vitest.mjs");
  const child = spawn(process.execPath, [vitest, "run", "--project=node", ...tests], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    for (const line of text.split("\n")) {
      if (
        /^\S*(life|endpoints|convergence|races|nouns|crash matrix|size|turns|faults|migration|.*×|.*AssertionError|seed)\b/.test(
          line,
        )
      ) {
        console.log(line);
      }
    }
  });
  return new Promise<boolean>((resolve) => child.on("exit", (code) => resolve(code === 0)));
}

/** Kills workerd (-9) under load, again and again. @returns whether nothing was lost, sent twice or made up */
async function kill(): Promise<boolean> {
  const report = await runChaos({ rounds: Math.ceil(rounds * scale), seed });
  const { lost, twice, phantom } = report;
  for (const [what, ids] of Object.entries({ lost, twice, phantom })) {
    if (ids.length > 0) console.error(`${what}: ${ids.slice(0, 20).join(", ")}`);
  }
  console.log(
    `kill: ${report.rounds} rounds, ${report.acknowledged} acknowledged, ${report.unknown} unknown, ${lost.length} lost, ${twice.length} twice, ${phantom.length} phantom`,
  );
  return lost.length + twice.length + phantom.length === 0;
}

console.log(`Seed ${seed}: ${wanted.join(", ")}`);
let isRight = true;
for (const part of PARTS.filter((one) => wanted.includes(one))) {
  const begun = Date.now();
  const passed = part === "kill" ? await kill() : await run(TESTS[part]);
  console.log(
    `${part}: ${passed ? "passed" : "FAILED"} in ${Math.round((Date.now() - begun) / 1_000)} s`,
  );
  isRight &&= passed;
}
process.exit(isRight ? 0 : 1);
