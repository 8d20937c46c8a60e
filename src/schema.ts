/** Shapes that every noun's contract is made of: texts, numbers in a path or query, pages, the error body. */
import * as z from "zod/mini";
import { PAGE_MAX, PORTAL_LINK_MAX_MIN } from "./config.ts";

// Postgres holds neither: Convoy would take such an event or endpoint, and never deliver it (facts).
const storable = z.refine<string>((value) => value.isWellFormed() && !value.includes("\0"), {
  error: "must not hold U+0000 or half a surrogate pair",
});

/** Text of at most `max` characters, counted as JSON Schema does: in code points. */
export function text(min: number, max: number) {
  const counted = z.refine<string>((value) => value.length <= max || [...value].length <= max, {
    error: `must be at most ${max} characters`,
  });
  const described = { maxLength: max, pattern: "^[^\\u0000]*$" };
  return z
    .string()
    .check(z.minLength(min), counted, storable)
    .register(z.globalRegistry, described);
}

/** A whole number in a path or query: written out, without a sign or leading zeros. */
export function numeral<T extends z.ZodMiniType<number, number>>(number: T) {
  const digits = z.regex(/^(0|[1-9]\d{0,15})$/, { error: "must be a whole number >= 0" });
  return z.pipe(z.string().check(digits), z.pipe(z.transform<string, number>(Number), number));
}

/** An object that says at least one thing. */
export function notEmpty<T extends z.ZodMiniObject>(fields: T, error: string): T {
  const checked = fields.check(z.refine((value) => Object.keys(value).length > 0, { error }));
  z.globalRegistry.add(checked, { minProperties: 1 });
  return checked;
}

/** A page's size in a query: 1 to `max`. */
export function limitOf(max: number) {
  return z.optional(numeral(z.int().check(z.gte(1), z.lte(max))));
}

/** A page's size in a query: 1 to 1,000. */
export const Limit = limitOf(PAGE_MAX);

/** Where a page begins: what the page before it gave out. */
export const Cursor = z.optional(text(1, 1_024));

/** Query of a list. */
export const PageQuery = z.object({ limit: Limit, cursor: Cursor });

/** A list's page, with the cursor of the next one where there is more. */
export function pageOf<T extends z.ZodMiniType>(item: T) {
  return z.object({ data: z.array(item), cursor: z.optional(z.string()) });
}

/**
 * A page of a list that was read with one row more than `limit`, so that it is known whether there are more.
 * @param cursorOf where the next page begins: after this row
 */
export function onePage<Row, Item>(
  rows: Row[],
  limit: number,
  toItem: (row: Row) => Item,
  cursorOf: (row: Row) => string,
): { data: Item[]; cursor?: string } {
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  return { data: shown.map(toItem), ...(last ? { cursor: cursorOf(last) } : {}) };
}

/** An endpoint's or a delivery's id. */
export const EndpointId = text(1, 255);

/** Query of a call that may name an endpoint. */
export const EndpointQuery = z.object({ endpoint: z.optional(EndpointId) });

/** Query of GET /health. */
export const HealthQuery = z.object({ deep: z.optional(z.string()) });

/** Body of POST /portal-link; all of it may be left out. */
export const NewPortalLink = z.strictObject({
  expires_in_minutes: z.optional(z.int().check(z.gte(1), z.lte(PORTAL_LINK_MAX_MIN))),
});

/** Body of POST /rebuild: what is right where KV and the log differ. `dry_run`: only say what differs. */
export const Rebuild = z.strictObject({
  from: z.enum(["log", "kv"]),
  dry_run: z.optional(z.boolean()),
  cursor: Cursor,
});
