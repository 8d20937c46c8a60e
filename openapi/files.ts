/** The files that are made from the document, and committed. */
import { buildDocument } from "./document.ts";
import { page } from "./page/page.ts";

/** Text by path, relative to the repository. */
export function generated(): Record<string, string> {
  const document = buildDocument();
  return {
    "src/openapi.json": `${JSON.stringify(document, null, 2)}\n`,
    "public/docs.html": page(document),
  };
}
