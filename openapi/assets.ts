/** The generated files of public/, none of them committed: the API document, Swagger UI, the portal's lit-html. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { buildDocument } from "./document.ts";

const root = path.dirname(import.meta.dirname);
/** The package's files that the page at /docs needs, and the licences of its bundle. */
const SWAGGER_FILES = [
  "swagger-ui.css",
  "swagger-ui-bundle.js",
  "swagger-ui-bundle.js.LICENSE.txt",
];

/** The package's files that the portal uses; they import each other by these paths. */
const LIT_FILES = [
  "lit-html.js",
  "directive.js",
  "directive-helpers.js",
  "directives/repeat.js",
  "LICENSE",
];

/**
 * Updates the generated files. Those already up to date stay untouched, and no file is ever seen half
 * written: test runs and a dev server may share public/.
 * @returns the files, relative to the repository
 */
export function writeAssets(): string[] {
  const document = `${JSON.stringify(buildDocument(), null, 2)}\n`;
  const files: [string, Buffer][] = [
    ["public/openapi.json", Buffer.from(document)],
    ...copies("swagger-ui-dist", SWAGGER_FILES, "public/docs"),
    ...copies("lit-html", LIT_FILES, "public/portal/lit-html"),
  ];
  for (const [file, content] of files) writeChanged(path.join(root, file), content);
  return files.map(([file]) => file);
}

/** A package's files, by their destination. */
function copies(name: string, files: string[], to: string): [string, Buffer][] {
  const from = path.join(root, "node_modules", name);
  return files.map((file) => [`${to}/${file}`, readFileSync(path.join(from, file))]);
}

function writeChanged(file: string, content: Buffer): void {
  if (existsSync(file) && readFileSync(file).equals(content)) return;
  mkdirSync(path.dirname(file), { recursive: true });
  const unfinished = `${file}.${process.pid}`;
  writeFileSync(unfinished, content);
  renameSync(unfinished, file);
}
