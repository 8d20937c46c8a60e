// Convoy's pages: newest first; the cursor of the next page is its own first row, not the last one seen.
import type { SQLInputValue } from "node:sqlite";
import type { Context } from "./context.ts";
import { Refusal } from "./envelope.ts";

/** Rows on a page without perPage (recorded). */
const DEFAULT_PER_PAGE = 20;
/** How far lists look back without startDate: Convoy's default. */
const DEFAULT_WINDOW_DAYS = 7;
const DAY_MS = 86_400_000;

export type Condition = { sql: string; values: SQLInputValue[] };

/** All conditions, joined by AND, as a WHERE clause and its values. */
export function whereOf(conditions: Condition[]): Condition {
  const sql = conditions.map((one) => one.sql).join(" AND ");
  return { sql: sql === "" ? "" : `WHERE ${sql}`, values: conditions.flatMap((one) => one.values) };
}

/** `column = value` if a query parameter is given, else nothing. */
export function equals(column: string, value: string | null): Condition[] {
  return value ? [{ sql: `${column} = ?`, values: [value] }] : [];
}

/** `column` is one of the values; nothing if there are none. */
export function oneOf(column: string, values: string[]): Condition[] {
  const given = values.filter((value) => value !== "");
  if (given.length === 0) return [];
  return [{ sql: `${column} IN (${given.map(() => "?").join(", ")})`, values: given }];
}

const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/;

function dateOf(value: string, problem: string): string {
  if (!DATE.test(value) || Number.isNaN(Date.parse(`${value}Z`))) throw new Refusal(400, problem);
  return value;
}

/**
 * The time window of a list, on created_at, to the second, in UTC. Without dates it runs from seven days ago to the
 * end of today, as Convoy's does. Refuses dates in another format (recorded).
 */
export function timeWindow(context: Context, query: URLSearchParams): Condition[] {
  const format = "2006-01-02T15:04:05";
  const start = query.get("startDate");
  const end = query.get("endDate");
  const now = context.options.now();
  const dayOf = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  const from = start
    ? dateOf(start, `please specify a startDate in the format ${format}`)
    : `${dayOf(now - DEFAULT_WINDOW_DAYS * DAY_MS)}T00:00:00.000Z`;
  const to = end
    ? dateOf(end, `please specify a correct endDate in the format ${format} or none at all`)
    : `${dayOf(now)}T23:59:59.999Z`;
  if (from.slice(0, 19) > to.slice(0, 19))
    throw new Refusal(400, "startDate cannot be greater than endDate");
  // RFC 3339 in UTC sorts as text; "…:21" sorts before "…:21.000Z", so the end is the first instant of its second.
  return [
    { sql: "created_at >= ? AND created_at <= ?", values: [from, `${to.slice(0, 19)}.000Z`] },
  ];
}

export type Order = "uid" | "created_at, uid";

/** The rows from the cursor's own on, in the direction of `comparison`; by created_at, all if it has no row (recorded). */
function beside(
  context: Context,
  table: string,
  order: Order,
  comparison: "<" | "<=" | ">" | ">=",
  cursor: string,
): Condition[] {
  if (cursor === "") return [];
  if (order === "uid") return [{ sql: `uid ${comparison} ?`, values: [cursor] }];
  const row = context.db.get<{ created_at: string }>(
    `SELECT created_at FROM ${table} WHERE uid = ?`,
    cursor,
  );
  if (!row) return [];
  return [{ sql: `(created_at, uid) ${comparison} (?, ?)`, values: [row.created_at, cursor] }];
}

/** One page of `table`, with Convoy's cursors. `conditions` are joined by AND. */
export function page<Row extends { uid: string }>(
  context: Context,
  table: string,
  conditions: Condition[],
  query: URLSearchParams,
  order: Order = "uid",
) {
  const asked = Number.parseInt(query.get("perPage") ?? "", 10);
  const perPage = Number.isSafeInteger(asked) && asked >= 0 ? asked : DEFAULT_PER_PAGE;
  const backwards = query.get("direction") === "prev";
  const ascending = query.get("sort")?.toUpperCase() === "ASC";
  const cursor = query.get(backwards ? "prev_page_cursor" : "next_page_cursor") ?? "";
  const down = ascending === backwards;
  const from = whereOf([
    ...conditions,
    ...beside(context, table, order, down ? "<=" : ">=", cursor),
  ]);
  const sorted = order.replaceAll(/\w+/g, (column) => `${column} ${down ? "DESC" : "ASC"}`);
  const rows = context.db.all<Row>(
    `SELECT * FROM ${table} ${from.sql} ORDER BY ${sorted} LIMIT ?`,
    ...from.values,
    perPage + 1,
  );
  if (backwards) rows.reverse();
  const first = rows[0]?.uid ?? "";
  const before = whereOf([
    ...conditions,
    ...beside(context, table, order, ascending ? "<" : ">", first),
  ]);
  const hasPrevious =
    first !== "" &&
    context.db.get(`SELECT 1 FROM ${table} ${before.sql} LIMIT 1`, ...before.values) !== undefined;
  return {
    content: rows.slice(0, perPage),
    pagination: {
      per_page: perPage,
      has_next_page: rows.length > perPage,
      has_prev_page: hasPrevious,
      prev_page_cursor: first,
      next_page_cursor: rows.length > 1 ? (rows.at(-1)?.uid ?? "") : "",
    },
  };
}
