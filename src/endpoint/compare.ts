/** Wanted, applied, there: what reconcile has to do about an endpoint. No I/O. */
import type { ConvoyEndpoint, ConvoyFields, Subscription } from "../convoy/endpoints.ts";
import { APPLIED, type Applied, type EndpointRow, type There } from "./table.ts";

/** What Convoy has, in the record's terms. */
export function seenOf(item: ConvoyEndpoint): Applied {
  const isLimited = item.rate_limit > 0 && item.rate_limit_duration > 0;
  return {
    name: item.name,
    url: item.url,
    description: item.description,
    http_timeout_s: item.http_timeout,
    rate_requests: isLimited ? item.rate_limit : null,
    rate_per_s: isLimited ? item.rate_limit_duration : null,
  };
}

/** The name of the header that Convoy sends with each delivery; null for none. */
export function headerNameOf({ authentication }: ConvoyEndpoint): string | null {
  const name: unknown =
    authentication?.type === "api_key" ? authentication.api_key?.header_name : null;
  return typeof name === "string" && name !== "" ? name : null;
}

/** Convoy's status in the record's terms: what is neither paused nor inactive gets webhooks. */
export function thereOf({ status }: ConvoyEndpoint): There {
  return status === "paused" || status === "inactive" ? status : "active";
}

/** What is wanted, as Convoy takes it. */
export function fieldsOf(owner: string, wanted: Applied): ConvoyFields {
  return {
    name: wanted.name,
    url: wanted.url,
    description: wanted.description,
    http_timeout: wanted.http_timeout_s,
    owner_id: owner,
    rate_limit: wanted.rate_requests ?? 0,
    rate_limit_duration: wanted.rate_per_s ?? 0,
  };
}

// A rate limit is one field of two columns.
const FIELDS: (keyof Applied)[][] = [
  ...APPLIED.filter((column) => !column.startsWith("rate_")).map((column) => [column]),
  ["rate_requests", "rate_per_s"],
];

// Convoy makes none without these: one that lacks them was not changed so in its dashboard.
const NEEDED = ["name", "url"];

/**
 * What Convoy should have: a field that nobody here has changed since it was applied is as it is there, since whatever
 * differs was changed in Convoy's dashboard; any other is as it is wanted.
 */
export function mergedOf(row: EndpointRow, seen: Applied): Applied {
  const applied = appliedOf(row);
  const merged = FIELDS.flatMap((columns) => {
    const isOurs = columns.some(
      (column) =>
        row[column] !== applied[column] || (NEEDED.includes(column) && seen[column] === ""),
    );
    return columns.map((column) => [column, isOurs ? row[column] : seen[column]]);
  });
  return Object.fromEntries(merged) as Applied;
}

/** Whether two differ in what Convoy has of an endpoint. */
export function differ(one: Applied, other: Partial<Applied>): boolean {
  return APPLIED.some((column) => one[column] !== other[column]);
}

/** Whether something that is wanted is not at Convoy yet. A pause never is: it is made here. */
export function isPending(row: EndpointRow): boolean {
  return row.lift === 1 || differ(row, appliedOf(row));
}

/** Whether a record and what Convoy lists of its endpoint need to be reconciled. */
export function isToReconcile(
  row: EndpointRow,
  item: ConvoyEndpoint,
  subscription: Subscription | undefined,
): boolean {
  return (
    row.wanted === "removed" ||
    isPending(row) ||
    differ(row, seenOf(item)) ||
    row.there !== thereOf(item) ||
    row.header_name !== headerNameOf(item) ||
    row.owner !== item.owner_id ||
    subscription === "lacking"
  );
}

function appliedOf({ applied }: EndpointRow): Partial<Applied> {
  return applied === null ? {} : (JSON.parse(applied) as Partial<Applied>);
}
