/** Errors as HTTP answers: one shape, a fitting status, and a message that says what to do. */
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { ErrorBody } from "./answers.ts";
import type { AppEnv } from "./http.ts";
import { logError } from "./run.ts";
import { SettingError } from "./settings.ts";
import { BadCursor, StorageError } from "./storage.ts";

/** An error response for routes and middleware to throw: the one error shape, and its headers. */
export class Problem extends HTTPException {
  readonly body: ErrorBody;
  readonly headers: Record<string, string>;
  constructor(status: ContentfulStatusCode, body: ErrorBody, headers: Record<string, string>) {
    super(status, { message: body.error });
    this.body = body;
    this.headers = headers;
  }
}

/** An error to throw from a route or middleware; `headers` are sent with it. */
export function problem(
  status: ContentfulStatusCode,
  error: string,
  more: Omit<ErrorBody, "error"> & { headers?: Record<string, string> } = {},
): Problem {
  const { headers = {}, ...body } = more;
  return new Problem(status, { error, ...body }, headers);
}

/** 503 with Retry-After: a dependency or a setting is missing. */
export function unavailable(error: string, headers: Record<string, string> = {}): Problem {
  return problem(503, error, { headers: { "Retry-After": "5", ...headers } });
}

/** Turns anything thrown into a response; never shows a stack, a query or a secret. */
export function onError(error: Error, c: Context<AppEnv>): Response {
  const { status, body, headers } = toProblem(error);
  if (status >= 500) logError({ path: c.req.path, request_id: c.get("requestId") }, error);
  return c.json(body, status, headers);
}

function toProblem(error: Error): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof HTTPException) {
    return problem(error.status, error.message || "The request was refused.");
  }
  if (error instanceof SettingError) return unavailable(error.message);
  if (error instanceof BadCursor) return problem(400, "cursor did not come from this list.");
  if (error instanceof StorageError) return unavailable(storageMessage(error));
  return problem(
    500,
    "Something went wrong on our side. Try again; if it persists, report the request id.",
  );
}

function storageMessage({ store, reason }: StorageError): string {
  if (reason === "schema") {
    return "The database has no tables: run `npx wrangler d1 migrations apply DB --local` (--remote for a deployed Worker).";
  }
  return store === "D1"
    ? "The database does not answer. Try again in a few seconds."
    : "The store (KV) does not answer. Try again in a few seconds.";
}
