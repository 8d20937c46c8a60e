/** Makes a service of notes from this one's src/ as docs/adapt.md says, step by step: `node examples/notes/build.ts ../notes`. */
import { cpSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "../..");

// Step 2: what search and replace does. Lower-case `todo` names the log's columns, and stays.
const RENAMED: [from: string, to: string][] = [
  ["Todo", "Note"],
  ["TODO", "NOTE"],
  ["todoKey", "noteKey"],
  ["/todo", "/note"],
];

/** Edits by hand after step 2: the text, which a file has exactly once, and what it becomes. */
type Edits = [from: string, to: string][];

/** The files that search and replace goes through, and what is left to do by hand in each. */
const EDITED: Record<string, Edits> = {
  // Step 2.
  "note/change.ts": [],
  "note/kv.ts": [['PREFIX = "todo:"', 'PREFIX = "note:"']],
  // Step 5.
  "note/routes.ts": [
    ["export const todo =", "export const note ="],
    ["{ item, completed = false, ...body }", '{ title, body = "", pinned = false, ...sent }'],
    ["= body.id ??", "= sent.id ??"],
    ["{ id, item, completed }", "{ id, title, body, pinned }"],
    ["= body.id ===", "= sent.id ==="],
    ["todo: made }", "note: made }"],
    ["The todo is", "The note is"],
  ],
  // Step 6.
  "answers.ts": [['z.literal("Note added"), todo:', 'z.literal("Note added"), note:']],
  "config.ts": [
    [
      "/** Characters (code points) of a todo's text. */\nexport const ITEM_MAX_CHARS = 2_000;",
      "/** Characters (code points) of a note's title. */\nexport const TITLE_MAX_CHARS = 200;\n" +
        "/** Characters (code points) of a note's body. */\nexport const NOTE_MAX_CHARS = 2_000;",
    ],
  ],
  // Step 7.
  "app.ts": [
    ["import { todo }", "import { note }"],
    ['.route("/note", todo)', '.route("/note", note)'],
  ],
};

/**
 * Copies src/ to `target`/src and turns it into a service of notes.
 * @throws Error where a step no longer fits src/: docs/adapt.md and this file are to be brought up to date
 */
export function build(target: string): void {
  const src = path.join(target, "src");
  if (existsSync(src)) throw new Error(`${src} exists. Say a folder without one.`);
  cpSync(path.join(root, "src"), src, { recursive: true });
  renameSync(path.join(src, "todo"), path.join(src, "note"));
  for (const [file, edits] of Object.entries(EDITED)) {
    const at = path.join(src, file);
    let text = readFileSync(at, "utf8");
    for (const [from, to] of RENAMED) text = text.replaceAll(from, to);
    for (const [from, to] of edits) text = editOnce(file, text, from, to);
    writeFileSync(at, text);
  }
  // Steps 3 and 4: note/schema.ts and resource.ts.
  cpSync(path.join(import.meta.dirname, "src"), src, { recursive: true });
}

function editOnce(file: string, text: string, from: string, to: string): string {
  const [before, after, ...more] = text.split(from);
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`${file} has this not exactly once: ${from}`);
  }
  return `${before}${to}${after}`;
}

if (import.meta.main) {
  const [target] = process.argv.slice(2);
  if (!target) throw new Error("Say where to: node examples/notes/build.ts ../notes");
  build(path.resolve(target));
  console.log(`${target}/src is a service of notes. diff -r src ${target}/src shows what changed.`);
}
