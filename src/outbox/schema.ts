/** What callers may send to /event, /delivery and /rebuild. */
import * as z from "zod/mini";
import { Cursor, EndpointId, Limit, numeral, text } from "../schema.ts";
import { DELIVERY_STATUSES } from "./rows.ts";

// Longest `watch` of a poll: 50 places with Convoy's ids are half of it.
const PLACES_MAX_CHARS = 8_192;

const DeliveryStatus = z.enum(DELIVERY_STATUSES);

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

/** Where a page of one of the log's lists begins: below this sequence, and of it below this endpoint. */
export type Place = { seq: number; endpointId: string };

/** A cursor of one of the log's lists: a sequence, and perhaps an endpoint. */
const Place = z.pipe(
  z
    .string()
    .check(z.regex(/^[1-9]\d{0,15}(\.[\s\S]{1,255})?$/, { error: "did not come from this list" })),
  z.transform(placeOf),
);

function placeOf(cursor: string): Place {
  const [seq = "", ...endpointId] = cursor.split(".");
  return { seq: Number(seq), endpointId: endpointId.join(".") };
}

/** Whose rows an operator lists: all owners'. */
export const AllOwners = z.optional(z.literal("*", { error: 'must be "*"' }));

/** Query of GET /delivery and GET /event. */
export const LogQuery = z.strictObject({
  owner: AllOwners,
  status: z.optional(DeliveryStatus),
  endpoint: z.optional(EndpointId),
  type: z.optional(text(1, 255)),
  ...range,
  limit: Limit,
  cursor: z.optional(Place),
});
export type LogQuery = z.infer<typeof LogQuery>;

/** Deliveries by place, `sequence.endpoint_id`, or all of an event, `sequence`; separated by commas. */
const Places = z.pipe(
  z.string().check(
    z.maxLength(PLACES_MAX_CHARS),
    z.regex(/^[1-9]\d{0,15}(\.[^,]{1,255})?(,[1-9]\d{0,15}(\.[^,]{1,255})?)*$/, {
      error: "must list sequences, or sequence.endpoint_id, separated by commas",
    }),
  ),
  z.transform((places: string) => places.split(",").map(placeOf)),
);

/** Query of GET /delivery/poll. `after`: of the poll before. `watch`: deliveries that the caller knows. */
export const PollQuery = z.strictObject({
  after: z.optional(numeral(z.int())),
  status: z.optional(DeliveryStatus),
  endpoint: z.optional(EndpointId),
  type: z.optional(text(1, 255)),
  watch: z.optional(Places),
});
export type PollQuery = z.infer<typeof PollQuery>;

/** Body of POST /delivery/resend; all of it is optional. `cursor`: of the call before, to continue the same round. `dry_run`: only count them. */
export const BulkResend = z.strictObject({
  endpoint: z.optional(EndpointId),
  status: z.optional(z.enum(["failed", "dead"])),
  ...range,
  dry_run: z.optional(z.boolean()),
  cursor: z.optional(Place),
});
export type BulkResend = z.infer<typeof BulkResend>;

/** Body of POST /rebuild. `from`: which is right if KV and the log differ. `dry_run`: only compare them. */
export const Rebuild = z.strictObject({
  from: z.enum(["log", "kv"]),
  dry_run: z.optional(z.boolean()),
  cursor: Cursor,
});
