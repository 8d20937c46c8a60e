/** What callers may send to /event; answers.ts has the responses. */
import * as z from "zod/mini";
import { EndpointId, Limit, text } from "../schema.ts";

/** What an event in the log can be about. */
export const LoggedType = z.enum(["ping", "created", "updated", "deleted", "failed"]);
/** What an event in the log can be about. */
export type LoggedType = z.infer<typeof LoggedType>;
/** Every event type at Convoy; `retrieved` is never in the log. */
export type EventType = LoggedType | "retrieved";

/** How far an event has come. */
export const EventState = z.enum(["pending", "accepted", "confirmed", "dead"]);
/** How far an event has come. */
export type EventState = z.infer<typeof EventState>;

/** `:id` of an event in a path. */
export const EventPath = z.object({ id: text(1, 64) });

/** Query of GET /event. `cursor` comes from the previous page. */
export const EventListQuery = z.strictObject({
  state: z.optional(EventState),
  type: z.optional(LoggedType),
  endpoint: z.optional(EndpointId),
  limit: Limit,
  cursor: z.optional(
    z.pipe(
      z.string().check(z.regex(/^[1-9]\d{0,14}$/, { error: "did not come from this list" })),
      z.transform(Number),
    ),
  ),
});

/** Body of POST /event/replay. */
export const BulkReplay = z.strictObject({ state: z.literal("dead") });
