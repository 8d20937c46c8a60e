/** Headers that every answer has: the request's id, and those that keep it safe in browsers and caches. */
import type { MiddlewareHandler, TypedResponse } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";

/** What hono/secure-headers sets without options (a test holds them against it), and no place in a cache. */
export const SAFE_HEADERS: Readonly<Record<string, string>> = {
  "Cache-Control": "no-store",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Origin-Agent-Cluster": "?1",
  "Referrer-Policy": "no-referrer",
  "Strict-Transport-Security": "max-age=15552000; includeSubDomains",
  "X-Content-Type-Options": "nosniff",
  "X-DNS-Prefetch-Control": "off",
  "X-Download-Options": "noopen",
  "X-Frame-Options": "SAMEORIGIN",
  "X-Permitted-Cross-Domain-Policies": "none",
  "X-XSS-Protection": "0",
};

const JSON_HEADERS = new Headers({ ...SAFE_HEADERS, "Content-Type": "application/json" });

/** `body` as JSON with the safe headers, for the routes that are asked most; c.json() does for the others. */
export function json<T, S extends ContentfulStatusCode>(
  body: T,
  status: S,
  headers?: Record<string, string>,
) {
  return jsonText<T, S>(JSON.stringify(body), status, headers);
}

/** As json(), of a `T` that is JSON already. */
export function jsonText<T, S extends ContentfulStatusCode>(
  text: string,
  status: S,
  headers: Record<string, string> = {},
) {
  const response = new Response(text, { status, headers: JSON_HEADERS });
  for (const name in headers) response.headers.set(name, headers[name] ?? "");
  return response as Response & TypedResponse<T, S, "json">;
}

// As hono/request-id takes them.
const REQUEST_ID = /^[\w\-=]{1,255}$/;

/**
 * Gives every answer the safe headers, and X-Request-Id: the caller's, or a new one. In place of
 * hono/request-id and hono/secure-headers, which make a second Headers and set one header after the
 * other: with them a GET took 6 µs more of the 290 µs that workerd needs for it.
 */
export const completeAnswer: MiddlewareHandler = async (c, next) => {
  const given = c.req.header("X-Request-Id");
  const id = given && REQUEST_ID.test(given) ? given : crypto.randomUUID();
  await next();
  const { headers } = c.res;
  headers.set("X-Request-Id", id);
  // json() has set them.
  if (headers.has("X-Frame-Options")) return;
  for (const name in SAFE_HEADERS) headers.set(name, SAFE_HEADERS[name] ?? "");
};
