/** What the route table says of a route. */
import type * as z from "zod/mini";

/** An answer that is no error. */
export type Answer = {
  description: string;
  /** A name of openapi/answers.ts, or several where any of them fits. */
  schema: string | string[];
  example?: unknown;
  /** Names of openapi/headers.ts; X-Request-Id goes without saying. */
  headers?: string[];
  /** Operations that this answer leads to, and where their parameters are in it. */
  links?: Record<string, Record<string, string>>;
};

/** A route. */
export type Operation = {
  method: "get" | "post" | "put" | "delete";
  /** As Hono has it: `/todo/:id`. */
  path: string;
  id: string;
  tag: string;
  summary: string;
  description?: string;
  /** Who may call: with a token, with or without, anybody. */
  caller?: "owner" | "either";
  params?: z.ZodMiniObject;
  query?: z.ZodMiniObject;
  body?: { schema: z.ZodMiniType; example: unknown; optional?: true };
  answers: Record<number, Answer>;
  /** Errors besides those that follow from parameters, body and caller. */
  errors?: number[];
};
