/** What only operators may do. */
import type { Context } from "hono";
import { problem } from "../errors.ts";
import type { AppEnv } from "../http.ts";

/** Throws a 403 that says so, unless the caller's token has the scope `operator`. */
export function requireOperator(c: Context<AppEnv>, error: string): void {
  if (c.get("operator")) return;
  throw problem(403, error, {
    headers: { "WWW-Authenticate": 'Bearer error="insufficient_scope"' },
  });
}

/** Whose rows a list shows: the caller's, or for an operator who asks for them, all owners', which is null. */
export function whose(c: Context<AppEnv>, asked: "*" | undefined): string | null {
  if (asked === undefined) return c.get("owner");
  requireOperator(c, "owner=* needs a token with the scope `operator`.");
  return null;
}
