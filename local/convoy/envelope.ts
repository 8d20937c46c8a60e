// The one shape of Convoy's answers: success and failure.

/** The API version in the X-Convoy-Version header of its answers. */
const API_VERSION = "2025-11-24";
const HEADERS = { "Content-Type": "application/json", "X-Convoy-Version": API_VERSION };

/** A refusal with Convoy's status and message; thrown by store and routes, turned into an answer in one place. */
export class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** How a fault affects a call that still reaches the API's routes. */
export type ApiEnv = { Bindings: { trouble?: "swallow" | "redis_down" | "postgres_down" } };

export function success(status: number, message: string, data: unknown): Response {
  return successRaw(status, message, JSON.stringify(data));
}

/** A success with `data` given as JSON text, which is sent unchanged. */
export function successRaw(status: number, message: string, data: string): Response {
  const body = `{"status":true,"message":${JSON.stringify(message)},"data":${data}}`;
  return new Response(body, { status, headers: HEADERS });
}

/** A refusal: `{status: false, message}`. */
export function failure(status: number, message: string, headers: Record<string, string> = {}) {
  // A fault may request a status that has no body.
  const hasBody = status !== 204 && status !== 205 && status !== 304;
  const body = hasBody ? JSON.stringify({ status: false, message }) : null;
  return new Response(body, { status, headers: { ...HEADERS, ...headers } });
}
