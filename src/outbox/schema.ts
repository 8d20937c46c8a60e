/** What callers may send to /event, /delivery and /rebuild. */
import * as z from "zod/mini";
import { Cursor, EndpointId, Limit, text } from "../schema.ts";
import { DeliveryStatus } from "./answers.ts";

/** `:id` of an event or of a delivery in a path. */
export const IdPath = z.object({ id: text(1, 320) });

/** A time in ISO 8601, with a zone; it becomes ms. */
const Time = z.pipe(
  z.iso.datetime({
    offset: true,
    error: "must be a time in ISO 8601, such as 2026-01-31T12:00:00Z",
  }),
  z.transform((time: string) => Date.parse(time)),
);

const range = { since: z.optional(Time), until: z.optional(Time) };

/** A cursor of one of the log's lists: a sequence, and perhaps an endpoint. */
const Place = z.pipe(
  z
    .string()
    .check(z.regex(/^[1-9]\d{0,15}(\.[\s\S]{1,255})?$/, { error: "did not come from this list" })),
  z.transform((cursor: string) => {
    const [seq = "", ...endpointId] = cursor.split(".");
    return { seq: Number(seq), endpointId: endpointId.join(".") };
  }),
);

/** Query of GET /delivery and GET /event. */
export const LogQuery = z.strictObject({
  status: z.optional(DeliveryStatus),
  endpoint: z.optional(EndpointId),
  type: z.optional(text(1, 255)),
  ...range,
  limit: Limit,
  cursor: z.optional(Place),
});

/** Body of POST /delivery/resend; all of it is optional. `cursor`: of the call before, to continue the same round. */
export const BulkResend = z.strictObject({
  endpoint: z.optional(EndpointId),
  status: z.optional(z.enum(["failed", "dead"])),
  ...range,
  cursor: z.optional(Place),
});

/** Body of POST /rebuild. `from`: which is right if KV and the log differ. `dry_run`: only compare them. */
export const Rebuild = z.strictObject({
  from: z.enum(["log", "kv"]),
  dry_run: z.optional(z.boolean()),
  cursor: Cursor,
});
