/** Answers that belong to no noun. The Worker uses the types alone: the schemas make the API document, and check tests. */
import * as z from "zod/mini";
import { Backlog } from "./event/answers.ts";

/** Body of every error: what happened and what to do; `details` name the fields that are wrong. */
export const ErrorBody = z.object({
  error: z.string(),
  details: z.optional(z.array(z.object({ path: z.string(), message: z.string() }))),
  /** The tutorial's text, beside `error` where its code has one. */
  data: z.optional(z.string()),
});
/** Body of every error. */
export type ErrorBody = z.infer<typeof ErrorBody>;

/** A change that was made, in the tutorial's words. */
export const Done = z.object({ data: z.string() });

/** Answer of GET /health. */
export const Alive = z.object({ status: z.literal("ok") });

/** Answer of GET /health?deep: "ok", or what is wrong in words. `backlog` is null where D1 does not answer. */
export const Health = z.object({
  status: z.enum(["ok", "degraded"]),
  d1: z.string(),
  kv: z.string(),
  convoy: z.string(),
  backlog: z.nullable(Backlog),
});
/** Answer of GET /health?deep. */
export type Health = z.infer<typeof Health>;

/** Answer of POST /portal-link. `expires_at` is null while AUTH is "open": the link holds no token. */
export const PortalLink = z.object({ url: z.string(), expires_at: z.nullable(z.iso.datetime()) });
