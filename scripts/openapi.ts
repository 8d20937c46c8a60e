/** npm run openapi: writes src/openapi.json, and the page at /docs, from the Worker's schemas. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { generated } from "../openapi/files.ts";

for (const [file, text] of Object.entries(generated())) {
  writeFileSync(path.join(import.meta.dirname, "..", file), text);
  console.log(`${file}: ${text.length} characters`);
}
