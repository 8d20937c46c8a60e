/** What callers may send to /endpoint, and how its responses are built. */
import * as z from "zod/mini";
import { AllOwners } from "../outbox/schema.ts";
import { iso } from "../outbox/time-range.ts";
import { Cursor, EndpointId, Limit, notEmpty, text } from "../schema.ts";
import type { Endpoint, OwnedEndpoint } from "./answers.ts";
import { isPending } from "./compare.ts";
import type { EndpointRow, Wanted } from "./table.ts";
import { WebhookUrl } from "./url.ts";

/** The http_timeout Convoy uses when none is given, in seconds (recorded). */
const HTTP_TIMEOUT_DEFAULT_S = 10;
// Longest http_timeout: a silent receiver ties up one of Convoy's workers that long.
const TIMEOUT_MAX_S = 60;
/** How long a rotated secret keeps signing by default, in hours. */
export const ROTATION_OVERLAP_H = 24;
const ROTATION_OVERLAP_MAX_H = 168;
const EVENT_TYPES_MAX = 100;

/** `:id` of an endpoint in a path. */
export const EndpointPath = z.object({ id: EndpointId });

/** Query of GET /endpoint. */
export const EndpointListQuery = z.strictObject({
  owner: AllOwners,
  failing: z.optional(z.literal("true", { error: 'must be "true"' })),
  limit: Limit,
  cursor: Cursor,
});

/** Query of POST /endpoint/sync: where the last one ended. */
export const SyncQuery = z.strictObject({ cursor: Cursor });

/** 1 second to 1 minute, in Go's notation like the tutorial's `"10s"`, or in plain seconds: `10`, `10s`, `1m`. */
export const DURATION = /^(?:(?:[1-9]|[1-5]\d|60)s?|1m(?:0s)?)$/;

/** Whole seconds of a text that matches DURATION: `"1m"` → 60. */
export function durationSeconds(text: string): number {
  return text.startsWith("1m") ? 60 : Number.parseInt(text, 10);
}

const Timeout = z.union(
  [
    z.int().check(z.gte(1), z.lte(TIMEOUT_MAX_S)),
    z.pipe(z.string().check(z.regex(DURATION)), z.transform(durationSeconds)),
  ],
  { error: `must be 1 second to 1 minute: 10, "10s" or "1m"` },
);

const Secret = text(1, 255);

/** Which event types it takes; null: all. */
const EventTypes = z.nullable(
  z.array(text(1, 255)).check(
    z.minLength(1, { error: "must name at least one type, or be null for all" }),
    z.maxLength(EVENT_TYPES_MAX, { error: `must name at most ${EVENT_TYPES_MAX} types` }),
    z.refine((types) => new Set(types).size === types.length, {
      error: "must not name a type twice",
    }),
  ),
);

// RFC 9110: a token. The others are made by HTTP or by Convoy.
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/;
const OWN_HEADER = /^(host|content-.*|transfer-encoding|x-convoy-.*|connection|user-agent)$/i;
const HEADER_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]{0,998}[\x21-\x7e])?$/;

/** A header that is sent with each delivery, at most one: `{"X-Api-Key": "v"}`; `{}` removes it. */
const Headers = z.record(z.string(), z.string()).check(
  z.refine((headers) => Object.keys(headers).length <= 1, {
    error: "must have at most one header",
  }),
  z.refine((headers) => Object.keys(headers).every((name) => HEADER_NAME.test(name)), {
    error: "must have a header's name: letters, digits and !#$%&'*+.^_`|~-",
  }),
  z.refine((headers) => Object.keys(headers).every((name) => !OWN_HEADER.test(name)), {
    error: "must not be Host, Connection, User-Agent, Transfer-Encoding, Content-… or X-Convoy-…",
  }),
  z.refine((headers) => Object.values(headers).every((value) => HEADER_VALUE.test(value)), {
    error: "must have a value of 1 to 1,000 visible ASCII characters",
  }),
);

/** The most that it is sent; null: no limit. */
const RateLimit = z.nullable(
  z.strictObject({
    requests: z.int().check(z.gte(1), z.lte(10_000)),
    per_s: z.int().check(z.gte(1), z.lte(3_600)),
  }),
);

const further = {
  description: z.optional(text(0, 1_000)),
  http_timeout: z.optional(Timeout),
  event_types: z.optional(EventTypes),
  headers: z.optional(Headers),
  rate_limit: z.optional(RateLimit),
};

/** Body of POST /endpoint. `http_timeout` becomes whole seconds. */
export const NewEndpoint = z.strictObject({
  name: text(1, 255),
  url: WebhookUrl,
  ...further,
  secret: z.optional(Secret),
});
/** Body of POST /endpoint, parsed. */
export type NewEndpoint = z.infer<typeof NewEndpoint>;

/** Body of PUT /endpoint/:id: the fields to change, at least one. */
export const EndpointPatch = notEmpty(
  z.strictObject({ name: z.optional(text(1, 255)), url: z.optional(WebhookUrl), ...further }),
  "send at least one field",
);
/** Body of PUT /endpoint/:id, parsed. */
export type EndpointPatch = z.infer<typeof EndpointPatch>;

/** Body of POST /endpoint/:id/rotate-secret; all of it is optional. */
export const Rotation = z.strictObject({
  secret: z.optional(Secret),
  overlap_hours: z.optional(z.int().check(z.gte(1), z.lte(ROTATION_OVERLAP_MAX_H))),
});

/** Body of POST /endpoint/:id/test. */
export const NewTest = z.strictObject({ type: text(1, 255) });

/** What a body wants, as the record has it; a field that is absent stays. */
export function wantedOf(body: EndpointPatch): Partial<Wanted> {
  const { http_timeout, event_types, rate_limit, headers: _, ...same } = body;
  return {
    ...(same as Partial<Wanted>),
    ...(http_timeout === undefined ? {} : { http_timeout_s: http_timeout }),
    ...(event_types === undefined
      ? {}
      : { event_types: event_types && JSON.stringify(event_types) }),
    ...(rate_limit === undefined
      ? {}
      : { rate_requests: rate_limit?.requests ?? null, rate_per_s: rate_limit?.per_s ?? null }),
  };
}

/** What a new endpoint wants, with the defaults. */
export function newWanted(body: NewEndpoint): Wanted {
  const { secret: _, name, url, ...further } = body;
  const [header_name = null] = Object.keys(body.headers ?? {});
  return {
    ...{ name, url, description: "", http_timeout_s: HTTP_TIMEOUT_DEFAULT_S },
    ...{ event_types: null, header_name, rate_requests: null, rate_per_s: null },
    ...wantedOf(further),
  };
}

/** Convoy's authentication for `headers`; undefined: not given; null: none. */
export function authenticationOf(headers: Record<string, string> | undefined) {
  if (headers === undefined) return undefined;
  const [header] = Object.entries(headers);
  if (!header) return null;
  const [header_name, header_value] = header;
  return { type: "api_key", api_key: { header_name, header_value } };
}

/** A record as operators see all owners': whose it is and where it leads, without what the owner wrote. */
export function toOwnedEndpoint(row: EndpointRow & { held?: number }): OwnedEndpoint {
  const { name, description, url, header_names, ...rest } = toEndpoint(row);
  // Convoy's dashboard may have set what is no URL.
  return { owner: row.owner, host: URL.parse(url)?.host ?? "", ...rest };
}

/** The record as the API returns it: no owner, never a secret or a header's value. */
export function toEndpoint(row: EndpointRow & { held?: number }): Endpoint {
  const { id, name, url, description, rate_requests: requests, rate_per_s: per_s } = row;
  return {
    ...{ id, name, url, description },
    http_timeout: row.http_timeout_s,
    event_types: row.event_types === null ? null : (JSON.parse(row.event_types) as string[]),
    header_names: row.header_name === null ? [] : [row.header_name],
    rate_limit: requests === null || per_s === null ? null : { requests, per_s },
    status: statusOf(row),
    // What is undefined is left out.
    pending: isPending(row) || undefined,
    error: row.error ?? undefined,
    failing_since: row.failing_since === null ? undefined : iso(row.failing_since),
    failing_error: row.failing_error ?? undefined,
    held: row.held || undefined,
    created_at: iso(row.created_at),
    updated_at: iso(row.updated_at),
  };
}

function statusOf({ wanted, there }: EndpointRow): Endpoint["status"] {
  if (there === "missing") return "missing";
  if (wanted === "paused") return "paused";
  return there === "active" ? "active" : "disabled";
}
