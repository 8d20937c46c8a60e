// The one shape of Convoy's answers, and the two ways to end a request.
import { API_VERSION } from "../config.ts";

/** A refusal with Convoy's status and message; thrown by store and routes, answered in one place. */
export class Refusal extends Error {
  readonly status: number;
  /** `status` is the HTTP status, `message` what the envelope says. */
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** What a fault makes of a call that reaches the API's routes all the same. */
export type ApiEnv = { Bindings: { trouble?: "swallow" | "redis_down" } };

/** What a call that needs Redis says without it (recorded for a fan-out). */
export const REDIS_REFUSED =
  "UNKNOWN: redis eval error: dial tcp 127.0.0.1:6379: connect: connection refused";

/** The headers of an answer of the API. */
export const API_HEADERS = { "Content-Type": "application/json", "X-Convoy-Version": API_VERSION };

/** An answer that worked: `{status: true, message, data}`. */
export function success(status: number, message: string, data: unknown): Response {
  return new Response(JSON.stringify({ status: true, message, data }), {
    status,
    headers: API_HEADERS,
  });
}

/** The same with `data` given as JSON text, which goes out byte by byte. */
export function successRaw(status: number, message: string, data: string): Response {
  const body = `{"status":true,"message":${JSON.stringify(message)},"data":${data}}`;
  return new Response(body, { status, headers: API_HEADERS });
}

/** An answer that refuses: `{status: false, message}`. */
export function failure(
  status: number,
  message: string,
  headers: Record<string, string> = {},
): Response {
  // A fault may ask for a status that has no body.
  const body =
    status === 204 || status === 205 || status === 304 ? null : { status: false, message };
  return new Response(body && JSON.stringify(body), {
    status,
    headers: { ...API_HEADERS, ...headers },
  });
}
