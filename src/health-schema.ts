/** The contract of /health. */
import * as z from "zod/mini";
import { Backlog } from "./event/answers.ts";

/** Query of GET /health. */
export const HealthQuery = z.object({ deep: z.optional(z.string()) });

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
