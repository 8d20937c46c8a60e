/** /openapi.json: the API describes itself. `npm run openapi` makes the document from our schemas. */

import { DOCUMENT_MAX_AGE_S } from "./config.ts";
import { newApp } from "./http.ts";
import document from "./openapi.json" with { type: "json" };

// Its exact type is of no use to a caller, and large.
const served: Record<string, unknown> = document;

/** GET /openapi.json: open, cacheable. The page at /docs is a static asset. */
export const docs = newApp().get("/", (c) => {
  c.header("Cache-Control", `public, max-age=${DOCUMENT_MAX_AGE_S}`);
  return c.json(served, 200);
});
