/** What callers may send to /endpoint, and how its responses are built. */
import * as z from "zod/mini";
import type { Attempt, Delivery, Endpoint } from "../answers.ts";
import { DELIVERY_PAGE_MAX, ROTATION_OVERLAP_MAX_H, TIMEOUT_MAX_S } from "../config.ts";
import type { ConvoyAttempt, ConvoyDelivery } from "../convoy/deliveries.ts";
import { Cursor, EndpointId, limitOf, notEmpty, text } from "../schema.ts";
import type { EndpointRow } from "./table.ts";

/** `:id` of an endpoint in a path. */
export const EndpointPath = z.object({ id: EndpointId });

/** `:id` of an endpoint and `:delivery` of one of its deliveries in a path. */
export const DeliveryPath = z.object({ id: EndpointId, delivery: EndpointId });

/** Query of GET /endpoint/:id/delivery. */
export const DeliveryListQuery = z.object({ limit: limitOf(DELIVERY_PAGE_MAX), cursor: Cursor });

/** Query of POST /endpoint/sync: where to resume. */
export const SyncQuery = z.object({ cursor: Cursor });

const LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?";
// The last label starts with a letter: "1.2.3" and "host.123" are broken IPv4 addresses to a URL
// parser.
const NAME = `(?:${LABEL}\\.)*[A-Za-z](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\\.?`;
const BYTE = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = `(?:${BYTE}\\.){3}${BYTE}`;
const IPV6 = "\\[[0-9A-Fa-f:.]{2,45}\\]";
// RFC 3986 and "[]|"; braces are templates to Convoy, which refuses them, as it does a broken escape.
const REST = "(?:[A-Za-z0-9._~!$&'()*+,;=:@/?|\\[\\]-]|%[0-9A-Fa-f]{2})";

/**
 * The form of an http or https URL with a host: no credentials (they would be stored and shown), no
 * fragment (it never leaves a client), nothing that a URL parser would read as something else. A
 * pattern, so that the API document can include it.
 */
export const WEBHOOK_URL = new RegExp(
  `^[Hh][Tt][Tt][Pp][Ss]?://(?:${NAME}|${IPV4}|${IPV6})(?::[1-9]\\d{0,4})?(?:[/?]${REST}*)?$`,
);

/** Whether this is a URL that a webhook can be sent to. */
export function isWebhookUrl(text: string): boolean {
  return WEBHOOK_URL.test(text) && URL.canParse(text);
}

const Url = z
  .string()
  .check(
    z.maxLength(2_048),
    z.refine<string>(isWebhookUrl, {
      error: "must be an http or https URL with a host, without credentials or a fragment",
    }),
  )
  .register(z.globalRegistry, { pattern: WEBHOOK_URL.source });

/**
 * 1 second to 1 minute, in Go's notation like the tutorial's `"10s"`, or in plain seconds: `10`,
 * `10s`, `1m`.
 */
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

const endpointFields = {
  name: text(1, 255),
  url: Url,
  description: z.optional(text(0, 1_000)),
  http_timeout: z.optional(Timeout),
};

/** Body of POST /endpoint. `http_timeout` becomes whole seconds. */
export const NewEndpoint = z.strictObject({
  ...endpointFields,
  secret: z.optional(Secret),
});
/** Body of POST /endpoint, parsed. */
export type NewEndpoint = z.infer<typeof NewEndpoint>;

/** Body of PUT /endpoint/:id: the fields to change, at least one. */
export const EndpointPatch = notEmpty(
  z.strictObject({
    name: z.optional(endpointFields.name),
    url: z.optional(Url),
    description: endpointFields.description,
    http_timeout: endpointFields.http_timeout,
  }),
  "send at least one field",
);
/** Body of PUT /endpoint/:id, parsed. */
export type EndpointPatch = z.infer<typeof EndpointPatch>;

/** Body of POST /endpoint/:id/rotate-secret; all of it is optional. */
export const Rotation = z.strictObject({
  secret: z.optional(Secret),
  overlap_hours: z.optional(z.int().check(z.gte(1), z.lte(ROTATION_OVERLAP_MAX_H))),
});

/** The record as the API returns it: no owner, no subscription, never a secret. */
export function toEndpoint(row: EndpointRow): Endpoint {
  return {
    id: row.id,
    name: row.name,
    url: row.url,
    description: row.description,
    http_timeout: row.http_timeout_s,
    // `creating` rows are never read for a caller.
    status: row.status as Endpoint["status"],
    created_at: new Date(row.created_at).toISOString(),
    updated_at: new Date(row.updated_at).toISOString(),
  };
}

/**
 * A delivery as the API returns it, without headers, which may carry credentials; `next_attempt_at`
 * only if there will be one.
 */
export function toDelivery(one: ConvoyDelivery): Delivery {
  const waiting = ["Scheduled", "Retry", "Processing"].includes(one.status);
  return {
    id: one.uid,
    endpoint_id: one.endpoint_id,
    event_type: one.event_type,
    idempotency_key: one.idempotency_key,
    status: one.status,
    attempts: one.metadata?.num_trials ?? 0,
    max_attempts: one.metadata?.retry_limit ?? 0,
    next_attempt_at: waiting ? (one.metadata?.next_send_time ?? null) : null,
    created_at: one.created_at,
    updated_at: one.updated_at,
  };
}

/** An attempt as the API returns it: null if there was no HTTP response, and `error` says what happened. */
export function toAttempt(one: ConvoyAttempt): Attempt {
  return {
    id: one.uid,
    http_status: one.http_status || null,
    response: one.response_data ?? null,
    error: one.error || null,
    requested_at: one.requested_at,
    responded_at: one.responded_at ?? null,
  };
}

// RFC 6890 and its registries: not reachable from the public internet, or a way around that.
const PRIVATE_V4: readonly [network: string, bits: number][] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  // Link-local: cloud metadata services are at 169.254.169.254.
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  // Multicast, reserved, broadcast.
  ["224.0.0.0", 3],
];

/**
 * Whether a URL that passes `isWebhookUrl` names a host that is not on the public internet: a private,
 * loopback, link-local or metadata address in any notation, or a name with a local suffix. What a name
 * resolves to is not known here: Convoy has to check that (docs/deploy.md).
 */
export function isPrivateUrl(text: string): boolean {
  // The parser turns every notation of an address (decimal, octal, short, mapped) into one.
  const host = new URL(text).hostname.replace(/\.$/, "");
  if (host.startsWith("[")) return isPrivateV6(groupsOf(host.slice(1, -1)));
  if (/^[\d.]+$/.test(host)) return isPrivateV4(numberOf(host));
  // RFC 6761, 6762, 8375; and a name without a dot is looked up in the resolver's own domain.
  return !host.includes(".") || /\.(localhost|local|internal|home\.arpa|lan)$/.test(host);
}

function numberOf(address: string): number {
  return address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
}

function isPrivateV4(address: number): boolean {
  return PRIVATE_V4.some(([network, bits]) => {
    const size = 2 ** (32 - bits);
    return Math.floor(address / size) === Math.floor(numberOf(network) / size);
  });
}

/** The eight groups of an IPv6 address as a URL parser writes it. */
function groupsOf(address: string): number[] {
  const [head = "", tail] = address.split("::");
  const read = (part: string) => (part ? part.split(":").map((group) => parseInt(group, 16)) : []);
  const [first, last] = [read(head), read(tail ?? "")];
  return [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last];
}

function isPrivateV6(groups: number[]): boolean {
  const [a = 0, b = 0, , , , f = 0, g = 0, h = 0] = groups;
  const embedded = g * 65_536 + h;
  const zeros = (n: number) => groups.slice(0, n).every((group) => group === 0);
  // Mapped, compatible and translated IPv4 (::, ::1 too), NAT64, 6to4.
  if (zeros(5) && (f === 0 || f === 0xffff)) return f === 0 || isPrivateV4(embedded);
  if (zeros(4) && groups[4] === 0xffff && f === 0) return isPrivateV4(embedded);
  if (a === 0x64 && b === 0xff9b) return true;
  if (a === 0x2002) return isPrivateV4(b * 65_536 + (groups[2] ?? 0));
  // Only 2000::/3 is allocated; of it, Teredo and documentation addresses are not public.
  return a >> 13 !== 1 || (a === 0x2001 && (b === 0 || b === 0xdb8));
}
