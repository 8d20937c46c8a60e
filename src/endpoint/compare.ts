/** Wanted, applied, there: what reconcile has to do about an endpoint. No I/O. */
import type { ConvoyEndpoint, ConvoyFields } from "../convoy/endpoints.ts";
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
  const name = authentication?.type === "api_key" ? authentication.api_key?.header_name : null;
  return name || null;
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

/**
 * The three-way comparison. A field that differs at Convoy from what was applied, and that nobody here has changed since,
 * was changed in Convoy's dashboard: adopted. Everything else that differs is to be put.
 */
export function compare(row: EndpointRow, seen: Applied): { wanted: Applied; isToPut: boolean } {
  const applied = appliedOf(row);
  const wanted = Object.fromEntries(
    APPLIED.map((field) => {
      const isOurs = applied !== null && row[field] !== applied[field];
      return [field, isOurs ? row[field] : seen[field]];
    }),
  ) as Applied;
  // A limit is one field of two columns.
  if (wanted.rate_requests === null || wanted.rate_per_s === null) {
    wanted.rate_requests = null;
    wanted.rate_per_s = null;
  }
  return { wanted, isToPut: APPLIED.some((field) => wanted[field] !== seen[field]) };
}

function appliedOf({ applied }: EndpointRow): Applied | null {
  return applied === null ? null : (JSON.parse(applied) as Applied);
}

/** Whether something that is wanted is not at Convoy yet. A pause never is: it is made here. */
export function isPending(row: EndpointRow): boolean {
  const applied = appliedOf(row);
  return (
    row.lift === 1 || applied === null || APPLIED.some((field) => row[field] !== applied[field])
  );
}
