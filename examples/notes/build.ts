/** Turns a copy of this service into one for notes, as docs/adapt.md says: `node examples/notes/build.ts ../notes`. */
import { cpSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "../..");

// Step 2: search and replace. In src/, lower-case `todo` names the log's columns and stays.
const RENAMED: [from: string, to: string][] = [
  ["Todo", "Note"],
  ["TODO", "NOTE"],
  ["todoKey", "noteKey"],
  ["/todo", "/note"],
];

/** Manual edits after search and replace: a text that occurs exactly once in a file, and its replacement. */
type Edits = [from: string, to: string][];

/** The files to search and replace in, and the manual edits left in each. */
const EDITED: Record<string, Edits> = {
  // Step 2.
  "src/note/change.ts": [],
  "src/note/kv.ts": [['PREFIX = "todo:"', 'PREFIX = "note:"']],
  // Step 5.
  "src/note/routes.ts": [
    ["export const todo =", "export const note ="],
    ["{ item, completed = false, ...body }", '{ title, body = "", pinned = false, ...sent }'],
    ["= body.id ??", "= sent.id ??"],
    ["{ id, item, completed }", "{ id, title, body, pinned }"],
    ["= body.id ===", "= sent.id ==="],
    ["todo: made }", "note: made }"],
    ["The todo is", "The note is"],
  ],
  // Step 6.
  "src/answers.ts": [['z.literal("Note added"), todo:', 'z.literal("Note added"), note:']],
  "src/config.ts": [
    [
      "/** Characters (code points) of a todo's text. */\nexport const ITEM_MAX_CHARS = 2_000;",
      "/** Characters (code points) of a note's title. */\nexport const TITLE_MAX_CHARS = 200;\n" +
        "/** Characters (code points) of a note's body. */\nexport const NOTE_MAX_CHARS = 2_000;",
    ],
  ],
  // Step 7.
  "src/app.ts": [
    ["import { todo }", "import { note }"],
    ['.route("/note", todo)', '.route("/note", note)'],
  ],
};

const SETUP = "Setup a convoy webhook project and publish my first webhook";

/** Step 8: as above, and in these files lower-case `todo` becomes `note` as well. */
const DOCUMENT: Record<string, Edits> = {
  "openapi/answers.ts": [],
  "openapi/document.ts": [],
  "openapi/errors.ts": [
    ["Bad body. item:", "Bad body. title:"],
    ['path: "item"', 'path: "title"'],
  ],
  "openapi/parameters.ts": [],
  "openapi/routes/endpoint.ts": [],
  "openapi/routes/note.ts": [
    [`const item = "${SETUP}"`, 'const title = "Shopping"'],
    ["{ id: 1, item, completed: false }", '{ id: 1, title, body: "milk", pinned: false }'],
    ["example: { id: 1, item }", "example: { id: 1, title }"],
    ["example: { completed: true }", "example: { pinned: true }"],
  ],
  "openapi/webhooks.ts": [
    [
      `item: "${SETUP}",\n  completed: false`,
      'title: "Shopping",\n  body: "milk",\n  pinned: false',
    ],
    ["{ ...note, completed: true }", "{ ...note, pinned: true }"],
  ],
};

/** Step 8: the one file that shows the log's columns. */
const LOG: Record<string, Edits> = {
  "openapi/routes/event.ts": [
    [
      `item: "${SETUP}",\n    completed: false`,
      'title: "Shopping",\n    body: "milk",\n    pinned: false',
    ],
  ],
};

/**
 * Copies src/ and openapi/ into `target` and turns them into a service of notes.
 * @throws Error if a step no longer fits: then update docs/adapt.md and this file
 */
export function build(target: string): void {
  for (const folder of ["src", "openapi"]) {
    const to = path.join(target, folder);
    if (existsSync(to)) throw new Error(`${to} exists already. Name a folder without one.`);
    cpSync(path.join(root, folder), to, { recursive: true });
  }
  const move = (from: string, to: string) =>
    renameSync(path.join(target, from), path.join(target, to));
  move("src/todo", "src/note");
  move("openapi/routes/todo.ts", "openapi/routes/note.ts");
  change(target, EDITED, RENAMED);
  change(target, DOCUMENT, [...RENAMED, ["todo", "note"]]);
  change(target, LOG, []);
  // Steps 3 and 4: note/schema.ts and resource.ts.
  cpSync(path.join(import.meta.dirname, "src"), path.join(target, "src"), { recursive: true });
}

function change(target: string, files: Record<string, Edits>, renamed: Edits): void {
  for (const [file, edits] of Object.entries(files)) {
    const at = path.join(target, file);
    let text = readFileSync(at, "utf8");
    for (const [from, to] of renamed) text = text.replaceAll(from, to);
    for (const [from, to] of edits) text = editOnce(file, text, from, to);
    writeFileSync(at, text);
  }
}

function editOnce(file: string, text: string, from: string, to: string): string {
  const [before, after, ...more] = text.split(from);
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`${file} does not contain this exactly once: ${from}`);
  }
  return `${before}${to}${after}`;
}

if (import.meta.main) {
  const [target] = process.argv.slice(2);
  if (!target) throw new Error("Name the target folder: node examples/notes/build.ts ../notes");
  build(path.resolve(target));
  console.log(
    `${target} has a service for notes now. diff -r src ${target}/src shows what changed.`,
  );
}
