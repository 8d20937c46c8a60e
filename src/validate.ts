/** Validation of paths, queries and bodies: @hono/zod-validator, with the one error shape. */
import { zValidator } from "@hono/zod-validator";
import type { Context, MiddlewareHandler, ValidationTargets } from "hono";
import { matchedRoutes } from "hono/route";
import * as z from "zod/mini";
import { readJson, readJsonIfAny } from "./body.ts";
import { problem } from "./errors.ts";

// zod/mini has no messages; our schemas need only these.
z.config({
  customError: (issue) => {
    switch (issue.code) {
      case "invalid_type":
        return `must be ${article(issue.expected)}`;
      case "too_small":
        return issue.origin === "string"
          ? "must not be empty"
          : `must be at least ${issue.minimum}`;
      case "too_big":
        return `must be at most ${issue.maximum}${issue.origin === "string" ? " characters" : ""}`;
      case "invalid_value":
        return `must be one of ${issue.values.join(", ")}`;
      case "unrecognized_keys":
        return `unknown field ${issue.keys.map((key) => JSON.stringify(key)).join(", ")}`;
      default:
        return undefined;
    }
  },
});

function article(expected: string): string {
  if (expected === "int") return "a whole number";
  return /^[aeio]/.test(expected) ? `an ${expected}` : `a ${expected}`;
}

// By default each schema is awaited; none of ours has to be. The type asked for is that of plain zod's result.
const atOnce = {
  validationFunction: (schema: z.ZodMiniType, given: unknown) => schema.safeParse(given) as never,
};

/** Parses the path's parameters; 400 with `details` if they do not match. */
export function validPath<S extends z.ZodMiniType>(schema: S) {
  return zValidator("param", schema, refuse, atOnce);
}

// Handlers that check a query: any other route takes none.
const queryChecks = new WeakSet<object>();

/**
 * Parses the query; 400 with `details` for a parameter that is wrong, unknown or repeated.
 * @throws Error at start, if the schema lets unknown parameters pass
 */
export function validQuery<S extends z.ZodMiniObject>(schema: S) {
  if (schema._zod.def.catchall?._zod.def.type !== "never") throw new Error("Use z.strictObject.");
  const check = zValidator("query", schema, refuse, atOnce);
  queryChecks.add(check);
  return check;
}

/** 400 for a query that no handler of this route checks. */
export function refuseUncheckedQuery(c: Context): void {
  if (!c.req.url.includes("?") || Object.keys(c.req.queries()).length === 0) return;
  const routes = matchedRoutes(c).filter(({ method }) => method !== "ALL");
  if (routes.length > 0 && !routes.some(({ handler }) => queryChecks.has(handler))) {
    throw problem(400, "Bad query. This route takes no parameters.");
  }
}

/** Reads and parses a JSON body; 415 or 400 if there is none that matches. */
export function validBody<S extends z.ZodMiniType>(schema: S) {
  return after(readJson, zValidator("json", schema, refuse, atOnce));
}

/** Like validBody, for a body that may be left out: an empty one is `{}`. */
export function validOptionalBody<S extends z.ZodMiniType>(schema: S) {
  return after(readJsonIfAny, zValidator("json", schema, refuse, atOnce));
}

/** Does `first`, then the validator's work: one handler, with the validator's types. */
// biome-ignore lint/suspicious/noExplicitAny: Hono's input type is invariant
function after<H extends MiddlewareHandler<any, any, any>>(
  first: (c: Context) => Promise<void>,
  then: H,
): H {
  const both: MiddlewareHandler = async (c, next) => {
    await first(c);
    return then(c, next);
  };
  return both as H;
}

type Checked = {
  target: keyof ValidationTargets;
  data: unknown;
  success: boolean;
  error?: z.core.$ZodError;
};

const PLACES: Partial<Record<keyof ValidationTargets, string>> = {
  json: "body",
  query: "query",
  param: "path",
};

/** The validators' hook: throws the one error shape. */
function refuse({ success, error, target, data }: Checked): void {
  if (success || !error) return;
  const given = target === "query" ? (data as Record<string, unknown>) : {};
  const details = error.issues.map((issue) => ({
    path: issue.path.join("."),
    message: Array.isArray(given[String(issue.path[0])])
      ? "must be given only once"
      : issue.message.replace(/^unknown field/, target === "query" ? "unknown parameter" : "$&"),
  }));
  const fields = details.map(({ path, message }) => (path ? `${path}: ${message}` : message));
  throw problem(400, `Bad ${PLACES[target] ?? target}. ${fields.join("; ")}`, { details });
}
