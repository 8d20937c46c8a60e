/** What all but the nouns, /endpoint and the log answer. The Worker uses only the types; the schemas make the API document. */
import * as z from "zod/mini";
import { Summary } from "./outbox/answers.ts";

/** Body of every error: what happened and what to do; `details` lists the invalid fields. */
export const ErrorBody = z.object({
  error: z.string(),
  details: z.optional(z.array(z.object({ path: z.string(), message: z.string() }))),
  /** The tutorial's text, in addition to `error`, if its code has one. */
  data: z.optional(z.string()),
});
/** Body of every error. */
export type ErrorBody = z.infer<typeof ErrorBody>;

/** Response to GET /: paths of this service. `portal` only if it is turned on. */
export const Signpost = z.object({
  docs: z.string(),
  openapi: z.string(),
  portal: z.optional(z.string()),
  health: z.string(),
});

/** Response to GET /health. */
export const Alive = z.object({ status: z.literal("ok") });

const Count = z.int();

/**
 * Response to GET /health?deep: "ok", or a description of the problem. Counts are null if D1 does not respond; they stop
 * at 1,000. `owners`: whose they are. `unprojected`: changes that KV may lack. `lost_last_day`: deliveries that failed or
 * died. For operators only: `walk_lag_ms`, how far the walk of Convoy's list is behind, the breaker, and the report of
 * the cron's last run.
 */
export const Health = z.object({
  status: z.enum(["ok", "degraded"]),
  d1: z.string(),
  kv: z.string(),
  convoy: z.string(),
  owners: z.enum(["caller", "all"]),
  backlog: z.nullable(Summary),
  unprojected: z.nullable(z.object({ changes: Count, oldest_ms: z.nullable(Count) })),
  lost_last_day: z.nullable(Count),
  walk_lag_ms: z.nullable(Count),
  breaker: z.nullable(z.enum(["closed", "open"])),
  breaker_until: z.nullable(z.iso.datetime()),
  last_run: z.nullable(z.record(z.string(), z.unknown())),
});
/** Response to GET /health?deep. */
export type Health = z.infer<typeof Health>;

/** Response to POST /portal-link. `expires_at` is null while AUTH is open: the page needs no token then. */
export const PortalLink = z.object({
  url: z.string(),
  expires_at: z.nullable(z.iso.datetime()),
});
