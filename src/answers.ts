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

/**
 * Answer of GET /health?deep: "ok", or what is wrong in words. What is counted is null where D1 does not
 * answer. `owners`: whose `backlog` and `unstored` these are. `unstored`: changes that KV may lack.
 * To operators alone: `walk_lag_ms`, how far the walk of Convoy's list is behind, and `closed_until`, until
 * when Convoy asked for time.
 */
export const Health = z.object({
  status: z.enum(["ok", "degraded"]),
  d1: z.string(),
  kv: z.string(),
  convoy: z.string(),
  owners: z.enum(["caller", "all"]),
  backlog: z.nullable(Backlog),
  unstored: z.nullable(z.object({ changes: z.int(), oldest_ms: z.nullable(z.int()) })),
  walk_lag_ms: z.nullable(z.int()),
  closed_until: z.nullable(z.iso.datetime()),
});
/** Answer of GET /health?deep. */
export type Health = z.infer<typeof Health>;

/**
 * Answer of POST /rebuild. `checked`: todos that were compared; `data`: those that differ, with the
 * version that the log and KV have of each, null for none; `cursor` where there is more.
 */
export const Rebuilt = z.object({
  data: z.array(
    z.object({
      owner: z.string(),
      todo_id: z.int(),
      log: z.nullable(z.int()),
      kv: z.nullable(z.int()),
    }),
  ),
  checked: z.int(),
  cursor: z.optional(z.string()),
});

/** Answer of POST /rebuild. */
export type Rebuilt = z.infer<typeof Rebuilt>;

/** Answer of POST /portal-link. `expires_at` is null while AUTH is "open": the link holds no token. */
export const PortalLink = z.object({ url: z.string(), expires_at: z.nullable(z.iso.datetime()) });
