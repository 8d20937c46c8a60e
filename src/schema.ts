/** Shapes that all contracts share: texts, numbers in a path or query, pages. */
import * as z from "zod/mini";

/** Rows on one page of endpoints or events, by default. */
export const PAGE_DEFAULT = 100;
/** Most rows on one page: one KV list returns at most 1,000 keys. */
export const PAGE_MAX = 1_000;

// Postgres stores neither: Convoy would accept such an event or endpoint, and never deliver it (facts).
const storable = z.refine<string>((value) => value.isWellFormed() && !value.includes("\0"), {
  error: "must not contain U+0000 or half a surrogate pair",
});

/** Text of `min` to `max` characters, counted in code points, as in JSON Schema. */
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

/** An object with at least one field. */
export function notEmpty<T extends z.ZodMiniObject>(fields: T, error: string): T {
  const checked = fields.check(z.refine((value) => Object.keys(value).length > 0, { error }));
  z.globalRegistry.add(checked, { minProperties: 1 });
  return checked;
}

/** A page's size in a query: 1 to 1,000. */
export const Limit = z.optional(numeral(z.int().check(z.gte(1), z.lte(PAGE_MAX))));

/** Where a page begins: the cursor of the page before it. */
export const Cursor = z.optional(text(1, 1_024));

/** One page of a list, with the cursor of the next one if there is more. */
export function pageOf<T extends z.ZodMiniType>(item: T) {
  return z.object({ data: z.array(item), cursor: z.optional(z.string()) });
}

/**
 * A page of a list that was read with one row more than `limit`, which shows whether there are more.
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
export const EndpointQuery = z.strictObject({ endpoint: z.optional(EndpointId) });

/** Query of a noun's list: a page, and the endpoint that gets `retrieved`. */
export const ListQuery = z.strictObject({
  limit: Limit,
  cursor: Cursor,
  endpoint: z.optional(EndpointId),
});
