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

const root = path.resolve(import.meta.dirname, "..");
const COPIED = [
  ...["src", "test", "local", "openapi", "migrations", "public"],
  ...["vitest.config.ts", "wrangler.toml"],
];

/** `from` must occur once in the file; `to` replaces it. `by`: the tests that notice first; if absent, all are run. */
type Mutation = { name: string; by?: string; file: string; from: string | RegExp; to: string };

const MUTATIONS: Mutation[] = [
  {
    name: "no check after the put",
    by: "test/races",
    file: "src/event/lease.ts",
    from: /j\.value ->> 'put' >= \(SELECT max\(seq\)[\s\S]*?'failed'\)\), 1/,
    to: "j.value ->> 'put' IS NOT NULL, 1",
  },
  {
    name: "rows are recorded without holding their lease",
    by: "test/races/lease",
    file: "src/event/lease.ts",
    from: "ON e.seq = j.value ->> 'seq' AND e.due_at = j.value ->> 'lease'",
    to: "ON e.seq = j.value ->> 'seq'",
  },
  {
    name: "a lease lasts no time at all",
    by: "test/races/todo",
    file: "src/config.ts",
    from: "export const LEASE_MS = 90_000;",
    to: "export const LEASE_MS = 0;",
  },
  {
    name: "any finished row is purged",
    by: "test/life/size",
    file: "src/event/purge.ts",
    from: /WHERE NOT stays AND \([\s\S]*?'failed'\)\)\)\)/,
    to: "WHERE NOT stays",
  },
  {
    name: "the commit does not check whether the change is legal",
    by: "test/crash/todo",
    file: "src/event/commit.ts",
    from: "WHERE (current.todo IS NOT NULL) = ?10 AND",
    to: "WHERE ?10 IS NOT NULL AND",
  },
  {
    name: "KV overrules the log",
    by: "test/races/todo",
    file: "src/event/commit.ts",
    from: "SELECT CASE WHEN EXISTS (SELECT 1 FROM latest)\n    THEN",
    to: "SELECT CASE WHEN ?4 IS NULL AND EXISTS (SELECT 1 FROM latest)\n    THEN",
  },
  {
    name: "an update replaces the whole todo",
    by: "test/crash/todo",
    file: "src/event/commit.ts",
    from: "json_patch(coalesce(current.todo, '{}'), ?9)",
    to: "json_patch(coalesce(NULL, '{}'), ?9)",
  },
  {
    name: "each attempt has its own idempotency key",
    by: "test/life/schedules",
    file: "src/event/message.ts",
    from: /(return replays \? .*) : id;/,
    to: "return id + (replays ?? 0) + Math.random();",
  },
  {
    name: "a failed put is taken for a success",
    by: "test/crash/todo",
    file: "src/todo/change.ts",
    from: "    return null;\n  }\n}",
    to: "    return row.seq;\n  }\n}",
  },
  {
    name: "a row whose todo KV lacks is recorded as finished",
    by: "test/crash/todo",
    file: "src/event/lease.ts",
    from: "WHEN stored = 0 THEN unstored_due_at",
    to: "WHEN stored = 2 THEN unstored_due_at",
  },
  {
    name: "after a lost connection nobody checks whether it was committed",
    by: "test/crash/todo",
    file: "src/event/commit.ts",
    from: /const found = attempt > 1 [\s\S]*?return row \?\? \(.*\);/,
    to: "return await first<EventRow>(db, ...insert);",
  },
  {
    name: "the scrub never runs",
    by: "test/life/size",
    file: "src/cron.ts",
    from: "if (agenda.toScrub)",
    to: "if (agenda.toScrub && !agenda.toScrub)",
  },
  {
    name: "a caller whose row is settled along with others waits forever if that settle hangs",
    by: "test/worker/event/settle",
    file: "src/event/publish.ts",
    from: "await within(SETTLE_PATIENCE_MS, promise);",
    to: "await promise;",
  },
  {
    name: "the answer to a post undoes a confirmation",
    by: "test/worker/event/found",
    file: "src/event/lease.ts",
    from: "e.state IN ('confirmed', 'dead') OR j.value",
    to: "j.value",
  },
  {
    name: "the walk believes what Convoy has not finished",
    by: "test/life/schedules",
    file: "src/event/walk.ts",
    from: 'if (record.status !== "Failure") return "unfinished";',
    to: 'if (record.status !== "Failure") return "done";',
  },
  {
    name: "the walk confirms the old key of an event that has a new one",
    by: "test/worker/event/walk",
    file: "src/event/walk.ts",
    from: "AND event.replays = seen.replays\n",
    to: "\n",
  },
  {
    name: "an event that the walk did not find gets a new key at once",
    by: "test/life/schedules",
    file: "src/event/walk.ts",
    from: "if (row.lookups === 0)\n    return { ...again, lookups,",
    to: "if (row.lookups === 0) return { ...again, replays: row.replays + 1, lookups,",
  },
  {
    name: "a lookup without an answer is taken for not found, and gets a new key",
    by: "test/life/schedules",
    file: "src/event/walk.ts",
    from: "if (!answer.ok) return { ...same, due_at: now + LOOKUP_RETRY_MS };",
    to: "if (!answer.ok) return { ...again, replays: row.replays + 1 };",
  },
  {
    name: "an event that Convoy never finishes keeps its key",
    by: "test/life/schedules",
    file: "src/event/walk.ts",
    from: "const key = { replays: row.replays + 1,",
    to: "const key = { replays: row.replays,",
  },
  {
    name: "a replay of what Convoy lists as failed reuses the burnt key",
    by: "test/worker/event/replay",
    file: "src/event/publish.ts",
    from: "replays = replays + (accepted_at IS NOT NULL)",
    to: "replays = replays + (state <> 'dead')",
  },
  {
    name: "a pause toggles without reading the status",
    by: "test/crash/endpoint",
    file: "src/endpoint/pause.ts",
    from: "  if (status === wanted) return null;\n",
    to: "",
  },
  {
    name: "a crashed creation is never removed",
    by: "test/crash/endpoint",
    file: "src/endpoint/create.ts",
    from: "if (done) await removeEndpoint(db, draft.owner, draft.id);",
    to: "",
  },
  {
    name: "two callers change an endpoint at once",
    by: "test/races/endpoint",
    file: "src/endpoint/table.ts",
    from: "status <> 'creating' AND (due_at IS NULL OR due_at <= ?3)",
    to: "status <> 'creating'",
  },
  {
    name: "deliveries missing from an incomplete list of discarded ones are taken for sent",
    by: "test/races/recovery-size",
    file: "src/endpoint/recover.ts",
    from: 'next: page.data.next ? { action: "look", due: now } : null',
    to: "next: null",
  },
  {
    name: "discarded deliveries of an endpoint that is not active are forgotten",
    by: "test/crash/recovery",
    file: "src/endpoint/recover.ts",
    from: '.filter((one) => one.active || from.status === "Discarded")',
    to: ".filter((one) => one.active)",
  },
  {
    name: "another project's list ends a recovery",
    by: "test/crash/recovery",
    file: "src/endpoint/recover.ts",
    from: "  if (!(await isOurs(run))) return null;\n",
    to: "",
  },
  {
    name: "outages use up an event's tries",
    by: "test/worker/event/dead",
    file: "src/event/post.ts",
    from: "othersGotThrough && own >= settings.maxTries && old",
    to: "tries >= settings.maxTries && old",
  },
  {
    name: "a stuck delivery's event gets its next key while it is being posted",
    by: "test/crash/recovery",
    file: "src/endpoint/recovery-table.ts",
    from: " AND event.due_at IS NULL",
    to: "",
  },
  {
    name: "an endpoint stays missing although its events arrive",
    by: "test/worker/endpoint/update",
    file: "src/event/walk.ts",
    from: "lookAtMissing(reachedIn(items), now),",
    to: "",
  },
];

/** The tests that have to notice a mutation. */
const TESTS = ["test/life", "test/crash", "test/e2e/outages", "test/races"];

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
