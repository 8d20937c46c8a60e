/** What the route table says about a route. */
import type * as z from "zod/mini";
import type { ErrorAnswer } from "./errors.ts";
import type { HeaderName } from "./headers.ts";
import type { Said } from "./parameters.ts";

/** An answer that is not an error. */
export type Answer = {
  description: string;
  /** A name from openapi/answers.ts, or several if it can be any of them. */
  schema: string | string[];
  example?: unknown;
  /** Besides X-Request-Id, which is always included. */
  headers?: HeaderName[];
  /** Operations that this answer leads to, and where in it their parameters are. */
  links?: Links;
};

/** The parameters of operations, by the operations' ids. */
export type Links = Record<string, Record<string, string>>;

type Method = "get" | "post" | "put" | "delete";

export type Operation = {
  method: Method;
  /** As Hono has it: `/todo/:id`. */
  path: string;
  id: string;
  tag: string;
  summary: string;
  description?: string;
  /** Who may call: `owner`, with a token; `either`, with or without one; `anyone`, without. */
  caller?: "owner" | "either" | "anyone";
  params?: z.ZodMiniObject;
  query?: z.ZodMiniObject;
  /** What parameters are, where openapi/parameters.ts does not say. */
  said?: Record<string, Said>;
  body?: { schema: z.ZodMiniType; example: unknown; optional?: true };
  answers: Record<number, Answer>;
  /** Errors besides those that follow from parameters, body and caller. */
  errors?: number[];
  /** What errors are, where openapi/errors.ts does not say. */
  ownErrors?: Record<number, ErrorAnswer>;
};

/** What makes a route under a tag, such as `get /todo/:id`. */
export function routesOf(tag: string) {
  return (
    call: `${Method} ${string}`,
    id: string,
    summary: string,
    more: Omit<Operation, "method" | "path" | "id" | "tag" | "summary">,
  ): Operation => {
    const [method, path = ""] = call.split(" ");
    return { method: method as Method, path, id, tag, summary, ...more };
  };
}

/** An answer with its schema's name and an example. */
export function answer(
  description: string,
  schema: Answer["schema"],
  example?: unknown,
  more: Pick<Answer, "headers" | "links"> = {},
): Answer {
  return { description, schema, example, ...more };
}
