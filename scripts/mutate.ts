/** npm run mutate [-- WORD]: breaks the code on purpose, in a copy, and shows that the tests notice. */
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

const root = path.resolve(import.meta.dirname, "..");
const COPIED = ["src", "test", "local", "migrations", "vitest.config.ts", "wrangler.toml"];

/** `from` must stand once in the file; `to` takes its place. */
type Mutation = { name: string; file: string; from: string | RegExp; to: string };

const MUTATIONS: Mutation[] = [
  {
    name: "no check after the put",
    file: "src/event/outbox.ts",
    from: /AND NOT EXISTS \(SELECT 1 FROM event AS later[^)]*\)/,
    to: "",
  },
  {
    name: "rows are marked stored without holding their lease",
    file: "src/event/outbox.ts",
    from: "event.seq = p.seq AND event.due_at = p.lease AND event.stored = 0",
    to: "event.seq = p.seq AND event.stored = 0",
  },
  {
    name: "rows are settled without holding their lease",
    file: "src/event/outbox.ts",
    from: "WHERE event.seq = s.seq AND event.due_at = s.lease RETURNING",
    to: "WHERE event.seq = s.seq RETURNING",
  },
  {
    name: "a lease is no time at all",
    file: "src/config.ts",
    from: "export const LEASE_MS = 90_000;",
    to: "export const LEASE_MS = 0;",
  },
  {
    name: "any finished row is purged",
    file: "src/event/upkeep-table.ts",
    from: /AND \(stored IS NULL OR NOT EXISTS[\s\S]*?older\.seq < e\.seq\)\)/,
    to: "",
  },
  {
    name: "the commit does not ask whether the change is legal",
    file: "src/event/commit.ts",
    from: "WHERE (current.todo IS NOT NULL) = ?10 AND",
    to: "WHERE ?10 IS NOT NULL AND",
  },
  {
    name: "KV's word beats the log's",
    file: "src/event/commit.ts",
    from: "SELECT CASE WHEN EXISTS (SELECT 1 FROM latest)\n    THEN",
    to: "SELECT CASE WHEN ?4 IS NULL AND EXISTS (SELECT 1 FROM latest)\n    THEN",
  },
  {
    name: "an update replaces the whole todo",
    file: "src/event/commit.ts",
    from: "json_patch(coalesce(current.todo, '{}'), ?9)",
    to: "json_patch(coalesce(NULL, '{}'), ?9)",
  },
  {
    name: "each attempt has an idempotency key of its own",
    file: "src/event/message.ts",
    from: /(return replays \? .*) : id;/,
    to: "return id + (replays ?? 0) + Math.random();",
  },
  {
    name: "a failed put is taken for done",
    file: "src/todo/change.ts",
    from: "    return null;\n  }\n}",
    to: "    return row.seq;\n  }\n}",
  },
  {
    name: "a row whose todo KV lacks is settled as finished",
    file: "src/event/outbox.ts",
    from: "due_at = iif(stored = 0, min(coalesce(s.due_at, ?3), ?3), s.due_at)",
    to: "stored = iif(stored IS NULL, NULL, 1), due_at = s.due_at",
  },
  {
    name: "after a lost connection nobody looks whether it was committed",
    file: "src/event/commit.ts",
    from: /const found = attempt > 1 [\s\S]*?return row \?\? \(.*\);/,
    to: "return await onD1(insert);",
  },
  {
    name: "the hourly scrub never runs",
    file: "src/cron.ts",
    from: "minute === 0 ?",
    to: "minute === 61 ?",
  },
  {
    name: "the audit believes whatever it does not find",
    file: "src/event/audit.ts",
    from: "  if (now < patientUntil) return",
    to: '  if (!listed) return { ...same, state: "confirmed", due_at: null };\n  if (now < patientUntil) return',
  },
  {
    name: "a pause toggles without reading the status",
    file: "src/endpoint/pause.ts",
    from: "  if (status === wanted) return null;\n",
    to: "",
  },
  {
    name: "a crashed creation is never removed",
    file: "src/endpoint/create.ts",
    from: "if (done) await removeEndpoint(db, draft.owner, draft.id);",
    to: "",
  },
];

mkdirSync(path.join(root, ".wrangler"), { recursive: true });
const wanted = MUTATIONS.filter(({ name }) => name.includes(process.argv[2] ?? ""));
if (tryMutation({ name: "none", file: "src/index.ts", from: /$/, to: "\n" })) {
  throw new Error("The tests fail without any mutation: nothing can be told");
}
let caught = 0;
for (const mutation of wanted) {
  const by = tryMutation(mutation);
  if (by) caught++;
  console.log(`${by ? `caught by ${by}` : "NOT CAUGHT"}: ${mutation.name}`);
}
console.log(`${wanted.length} mutations tried, ${caught} caught`);
process.exitCode = caught === wanted.length ? 0 : 1;

/** The folder of tests that noticed, or null. */
function tryMutation({ name, file, from, to }: Mutation): string | null {
  const copy = mkdtempSync(path.join(root, ".wrangler/mutate-"));
  try {
    for (const each of COPIED)
      cpSync(path.join(root, each), path.join(copy, each), { recursive: true });
    symlinkSync(path.join(root, "node_modules"), path.join(copy, "node_modules"));
    const target = path.join(copy, file);
    const before = readFileSync(target, "utf8");
    const after = before.replace(from, () => to);
    if (after === before) throw new Error(`"${name}" does not fit ${file} any more`);
    writeFileSync(target, after);
    for (const tests of ["test/crash", "test/e2e/outages", "test/races"]) {
      if (!passes(copy, tests)) return tests;
    }
    return null;
  } finally {
    rmSync(copy, { recursive: true });
  }
}

function passes(copy: string, tests: string): boolean {
  const vitest = path.join(root, "node_modules/vitest/vitest.mjs");
  const { status } = spawnSync(
    process.execPath,
    [vitest, "run", "--project=node", "--bail=1", tests],
    {
      cwd: copy,
      stdio: "ignore",
    },
  );
  return status === 0;
}
