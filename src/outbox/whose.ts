/** Whose rows a list shows: the caller's, or for an operator who asks for them, all owners'. */
import type { Context } from "hono";
import { problem } from "../errors.ts";
import type { AppEnv } from "../http.ts";

/** The owner whose rows are listed; null: all. Throws a 403 if all are asked for without the scope. */
export function whose(c: Context<AppEnv>, asked: "*" | undefined): string | null {
  if (asked === undefined) return c.get("owner");
  if (c.get("operator")) return null;
  throw problem(403, "owner=* needs a token with the scope `operator`.", {
    headers: { "WWW-Authenticate": 'Bearer error="insufficient_scope"' },
  });
}
