/** What public/ gets of generated files, none of them committed: the API document and Swagger UI. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { buildDocument } from "./document.ts";

const root = path.dirname(import.meta.dirname);
const swagger = path.join(root, "node_modules/swagger-ui-dist");
/** All that the page at /docs needs of the package, and the licences of what is in its bundle. */
const SWAGGER_FILES = [
  "swagger-ui.css",
  "swagger-ui-bundle.js",
  "swagger-ui-bundle.js.LICENSE.txt",
];

/**
 * Brings the generated files up to date. What is up to date already stays untouched, and nobody ever
 * reads half a file: test runs and a dev server may share public/.
 * @returns the files, relative to the repository
 */
export function writeAssets(): string[] {
  const document = `${JSON.stringify(buildDocument(), null, 2)}\n`;
  const copies = SWAGGER_FILES.map((name): [string, Buffer] => [
    `public/docs/${name}`,
    readFileSync(path.join(swagger, name)),
  ]);
  const files: [string, Buffer][] = [["public/openapi.json", Buffer.from(document)], ...copies];
  for (const [file, content] of files) writeChanged(path.join(root, file), content);
  return files.map(([file]) => file);
}

function writeChanged(file: string, content: Buffer): void {
  if (existsSync(file) && readFileSync(file).equals(content)) return;
  mkdirSync(path.dirname(file), { recursive: true });
  const unfinished = `${file}.${process.pid}`;
  writeFileSync(unfinished, content);
  renameSync(unfinished, file);
}
