// node scripts/run.mjs <command> [arguments]: what every npm script calls. Installs what is missing,
// then runs the command with the project's own Node (24), whatever Node is on PATH (20 or later).
import { existsSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runChild } from "./child.mjs";
import { install, nodeBinary } from "./install.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const biome = "node_modules/@biomejs/biome/bin/biome";
const tsc = "node_modules/typescript/bin/tsc";
const vitest = "node_modules/vitest/vitest.mjs";
const wrangler = "node_modules/wrangler/bin/wrangler.js";
const types = [wrangler, "types", "--include-runtime=false", "--strict-vars=false"];

/** Passes or fails without running anything of ours; all of it is run, so that one look shows all. */
const STATIC = [
  [biome, "ci", "."],
  [tsc, "-p", "tsconfig.json"],
  [tsc, "-p", "tsconfig.node.json"],
  [tsc, "-p", "tsconfig.test.json"],
  [...types, "--check"],
];
/** The reporter of ours comes last: its line is the last one. */
const TEST = [vitest, "run", "--reporter=default", "--reporter=./test/support/reporter.ts"];

/**
 * What must pass first, the program that gets the arguments, and whether it has a process group of
 * its own (see child.mjs).
 * @typedef {{before?: string[][], program?: string[], group?: boolean}} Command
 */
const COMMANDS = /** @type {Record<string, Command>} */ ({
  dev: { program: ["local/dev.ts"], group: true },
  test: { program: TEST },
  check: { before: STATIC, program: TEST },
  static: { before: STATIC },
  lint: { program: [biome, "check", "."] },
  format: { program: [biome, "check", "--write", "."] },
  types: { program: types },
  bench: { program: ["bench/bench.ts"] },
  chaos: { program: ["scripts/chaos.ts"] },
  mutate: { program: ["scripts/mutate.ts"] },
});

process.exitCode = await main(process.argv.slice(2));

/**
 * @param {string[]} argv the command and its arguments
 * @returns {Promise<number>} the exit code
 */
async function main([name, ...args]) {
  const command = name === undefined ? undefined : findCommand(name);
  if (!command) {
    const said = name === undefined ? "No command" : `Unknown command "${name}"`;
    console.error(`${said}. There are: ${Object.keys(COMMANDS).join(", ")}.`);
    return 2;
  }
  if (!install(root)) return 1;
  const failed = [];
  for (const step of command.before ?? []) {
    const title = step.join(" ").replace(/^.*\/bin\//, "");
    console.log(`> ${title}`);
    const code = await run(step);
    if (code > 128) return code;
    if (code !== 0) failed.push(title);
  }
  if (failed.length > 0) {
    console.error(
      `Failed: ${failed.join("; ")}. (\`npm run format\` mends what can be mended alone.)`,
    );
    return 1;
  }
  return command.program ? run([...command.program, ...args], command.group) : 0;
}

/**
 * @param {string[]} program a script for Node and its arguments
 * @param {boolean} group whether it gets a process group of its own
 * @returns {Promise<number>} its exit code
 */
function run(program, group = false) {
  return runChild(nodeBinary(root), program, { cwd: root, env: environment(), detached: group });
}

/**
 * A command of the table, or a script of the same name in scripts/.
 * @param {string} name
 * @returns {Command | undefined}
 */
function findCommand(name) {
  if (Object.hasOwn(COMMANDS, name)) return COMMANDS[name];
  const script = `scripts/${name}.ts`;
  return /^[a-z-]+$/.test(name) && existsSync(join(root, script))
    ? { program: [script] }
    : undefined;
}

/**
 * Our environment, with the project's programs first on PATH (children find Node 24 as `node`) and
 * without the tools' own calls home.
 * @returns {NodeJS.ProcessEnv}
 */
function environment() {
  return {
    ...process.env,
    PATH: [join(root, "node_modules", ".bin"), process.env.PATH].join(delimiter),
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_HIDE_BANNER: "true",
    WRANGLER_WRITE_LOGS: "false",
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
  };
}
