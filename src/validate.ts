/** Checking what a caller sends: the schemas of schema.ts, our one error shape. */
import { zValidator } from "@hono/zod-validator";
import type { MiddlewareHandler, ValidationTargets } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HTTPException } from "hono/http-exception";
import * as z from "zod/mini";
import { BODY_MAX_BYTES } from "./config.ts";
import { problem } from "./errors.ts";

// zod/mini comes without words; these few are all that our schemas need.
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

/** Parses `target` by `schema`; 400 with `details` where it does not fit. */
export function valid<T extends keyof ValidationTargets, S extends z.ZodMiniType>(
  target: T,
  schema: S,
) {
  return zValidator(target, schema, (result) => {
    if (result.success) return;
    const details = result.error.issues.map(({ path, message }) => ({
      path: path.join("."),
      message,
    }));
    const fields = details.map(({ path, message }) => (path ? `${path}: ${message}` : message));
    throw problem(400, `Bad ${NOUNS[target] ?? target}. ${fields.join("; ")}`, { details });
  });
}

const NOUNS: Partial<Record<keyof ValidationTargets, string>> = {
  json: "body",
  query: "query",
  param: "path",
};

const limit = bodyLimit({
  maxSize: BODY_MAX_BYTES,
  onError: () => {
    throw problem(413, `The body is larger than ${BODY_MAX_BYTES} bytes.`);
  },
});

/** 413 for a body over the limit, 400 for one that breaks off. */
export const limitBody: MiddlewareHandler = async (c, next) => {
  try {
    return await limit(c, next);
  } catch (error) {
    // What handlers throw never gets here: Hono turns it into an answer before next() returns.
    if (error instanceof HTTPException) throw error;
    throw problem(400, "The body broke off before its end.");
  }
};

/** 415 for a body that is not said to be JSON. */
export const requireJson: MiddlewareHandler = async (c, next) => {
  const type = c.req.header("Content-Type") ?? "";
  if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(type)) {
    await c.req.raw.body?.cancel();
    throw problem(415, "Send JSON, with the header Content-Type: application/json.");
  }
  await next();
};

/** As requireJson, but a request without a body is fine: the schema says what that means. */
export const requireJsonIfAny: MiddlewareHandler = async (c, next) => {
  if (c.req.header("Content-Type") === undefined && (await c.req.text()) === "") return next();
  return requireJson(c, next);
};
