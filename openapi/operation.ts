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
  /** Names from openapi/headers.ts; X-Request-Id is always included. */
  headers?: string[];
  /** Headers that not every such answer has. */
  maybe?: HeaderName[];
  /** Operations that this answer leads to, and where in it their parameters are. */
  links?: Links;
};

/** The parameters of operations, by the operations' ids. */
export type Links = Record<string, Record<string, string>>;

/** A route. */
export type Operation = {
  method: "get" | "post" | "put" | "delete";
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
