/** npm run mutate [-- WORD]: breaks a copy of the code on purpose and shows that the tests notice. */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { MUTATIONS, type Mutation } from "./mutations.ts";

const root = path.resolve(import.meta.dirname, "..");
const COPIED = [
  ...["src", "test", "local", "openapi", "examples", "scripts", "migrations", "public"],
  ...["package.json", "vitest.config.ts", "wrangler.toml"],
];

/** The tests that have to notice a mutation. */
const TESTS = ["test/worker/outbox", "test/crash", "test/races", "test/life"];

mkdirSync(path.join(root, ".wrangler"), { recursive: true });
const wanted = MUTATIONS.filter(({ name }) => name.includes(process.argv[2] ?? ""));
if (tryMutation({ name: "none", file: "src/index.ts", from: /$/, to: "\n" })) {
  throw new Error("The tests fail without any mutation, so nothing can be shown");
}
let caught = 0;
for (const mutation of wanted) {
  const by = tryMutation(mutation);
  if (by) caught++;
  console.log(`${by ? `caught by ${by}` : "NOT CAUGHT"}: ${mutation.name}`);
}
console.log(`${wanted.length} mutations tried, ${caught} caught`);
process.exitCode = caught === wanted.length ? 0 : 1;

/** Applies a mutation. @returns the folder of tests that noticed it, or null */
function tryMutation({ name, by, file, from, to }: Mutation): string | null {
  const copy = mkdtempSync(path.join(root, ".wrangler/mutate-"));
  try {
    for (const each of COPIED)
      cpSync(path.join(root, each), path.join(copy, each), { recursive: true });
    symlinkSync(path.join(root, "node_modules"), path.join(copy, "node_modules"));
    const target = path.join(copy, file);
    const before = readFileSync(target, "utf8");
    const after = before.replace(from, () => to);
    if (after === before) throw new Error(`"${name}" no longer fits ${file}`);
    writeFileSync(target, after);
    for (const tests of [...(by ? [by] : []), ...TESTS]) {
      if (!passes(copy, tests)) return tests;
    }
    return null;
  } finally {
    rmSync(copy, { recursive: true });
  }
}

function passes(copy: string, tests: string): boolean {
  const vitest = path.join(root, "node_modules/vitest/vitest.mjs");
  const project = tests.startsWith("test/worker") ? "worker" : "node";
  const { status } = spawnSync(
    process.execPath,
    [vitest, "run", `--project=${project}`, "--bail=1", tests],
    {
      cwd: copy,
      stdio: "ignore",
    },
  );
  return status === 0;
}
