/** Checking what a caller sends: the schemas of schema.ts, our one error shape. */
import { zValidator } from "@hono/zod-validator";
import type { MiddlewareHandler, ValidationTargets } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { ZodMiniType } from "zod/mini";
import { BODY_MAX_BYTES } from "./config.ts";
import { problem } from "./errors.ts";

/** Parses `target` by `schema`; 400 with `details` where it does not fit. */
export function valid<T extends keyof ValidationTargets, S extends ZodMiniType>(
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

/** 413 for a body over the limit. */
export const limitBody = bodyLimit({
  maxSize: BODY_MAX_BYTES,
  onError: () => {
    throw problem(413, `The body is larger than ${BODY_MAX_BYTES} bytes.`);
  },
});

/** 415 for a body that is not said to be JSON. */
export const requireJson: MiddlewareHandler = async (c, next) => {
  const type = c.req.header("Content-Type") ?? "";
  if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(type)) {
    await c.req.raw.body?.cancel();
    throw problem(415, "Send JSON, with the header Content-Type: application/json.");
  }
  await next();
};
