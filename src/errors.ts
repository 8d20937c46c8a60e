/** The one error shape, and what becomes of everything that is thrown. */
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { ErrorBody } from "./answers.ts";
import { SettingError } from "./config.ts";
import { StorageError } from "./storage/error.ts";
import { BadCursor } from "./storage/todos.ts";

type Problem = { body: ErrorBody; headers: Record<string, string> };

/** An error to throw from anywhere in a request; `headers` are sent with it. */
export function problem(
  status: ContentfulStatusCode,
  error: string,
  more: Omit<ErrorBody, "error"> & { headers?: Record<string, string> } = {},
): HTTPException {
  const { headers = {}, ...body } = more;
  const cause: Problem = { body: { error, ...body }, headers };
  return new HTTPException(status, { message: error, cause });
}

/** 503 with Retry-After: a dependency or a setting is missing. */
export function unavailable(error: string, headers: Record<string, string> = {}): HTTPException {
  return problem(503, error, { headers: { "Retry-After": "5", ...headers } });
}

/** Turns whatever was thrown into an answer; never shows a stack, a query or a secret. */
export function onError(error: Error, c: Context): Response {
  const answer = toProblem(error);
  if (answer.status >= 500) {
    logError({ path: c.req.path }, error);
  }
  const { body, headers } = answer.cause as Problem;
  return c.json(body, answer.status as ContentfulStatusCode, headers);
}

/** Says on the console what went wrong where: one line of JSON. */
export function logError(where: Record<string, unknown>, error: unknown): void {
  console.error(JSON.stringify({ level: "error", ...where, error: safe(error) }));
}

/** What the log may say of an error: its kind and message, without a stack. */
export function safe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

function toProblem(error: Error): HTTPException {
  if (error instanceof HTTPException) {
    return error.cause ? error : problem(error.status as ContentfulStatusCode, describe(error));
  }
  if (error instanceof SettingError) return unavailable(error.message);
  if (error instanceof BadCursor) return problem(400, "cursor is not one that this list gave out.");
  if (error instanceof StorageError) return unavailable(storageMessage(error));
  return problem(
    500,
    "Something went wrong on our side. Try again; if it stays, report the request id.",
  );
}

function describe(error: HTTPException): string {
  return /malformed json/i.test(error.message)
    ? "The body is not valid JSON."
    : error.message || "The request was refused.";
}

function storageMessage(error: StorageError): string {
  if (error.reason === "schema") {
    return "The database has no tables: run `npx wrangler d1 migrations apply DB --local` (--remote for a deployed Worker).";
  }
  return error.store === "D1"
    ? "The database does not answer. Try again in a few seconds."
    : "The todo store (KV) does not answer. Try again in a few seconds.";
}
