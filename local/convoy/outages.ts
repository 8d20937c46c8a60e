// What the API answers while Redis or Postgres is down.
import type { MiddlewareHandler } from "hono";
import type { ConvoyVersion } from "./context.ts";
import { type ApiEnv, failure } from "./envelope.ts";

/** What 26.7 takes although the limiter fails: it "fails open" for what a sender would not send again. */
const INTAKE = /^\/api\/v1\/projects\/[^/]+\/events$/;

/**
 * With Redis down, refuses what the real limiter refuses: on 26.6 everything, with a Retry-After that is a Unix time;
 * on 26.7 everything but new events, with a Retry-After in seconds (both recorded).
 */
export function limiter(version: ConvoyVersion, now: () => number): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const takesEvents = version === "26.7" && c.req.method === "POST" && INTAKE.test(c.req.path);
    if (c.env?.trouble !== "redis_down" || takesEvents) return next();
    const waits: Record<string, string> =
      version === "26.6"
        ? { "Retry-After": `${Math.floor(now() / 1000)}`, "X-Ratelimit-Reset": "0.000000" }
        : { "Retry-After": "1", "X-Ratelimit-Reset": "1" };
    return failure(429, "exceeded rate limit", { ...waits, "X-Ratelimit-Remaining": "0" });
  };
}

const REFUSED =
  "failed to connect to `user=convoy database=convoy`: 127.0.0.1:5432 (127.0.0.1): " +
  "dial error: dial tcp 127.0.0.1:5432: connect: connection refused";

/** Method, path after the project, status and message; the first that fits. A missing endpoint looks the same. */
const ANSWERS: [string, RegExp, number, string][] = [
  ["GET", /^\/endpoints\/[^/]+$/, 404, "Resource not found"],
  ["GET", /^\/endpoints$/, 400, "Failed to load endpoints"],
  ["POST", /^\/endpoints$/, 400, "an error occurred while adding endpoint"],
  ["PUT", /^\/endpoints\/[^/]+\/pause$/, 400, "failed to find endpoint"],
  ["POST", /^\/endpoints\/[^/]+\/activate$/, 400, "failed to find endpoint"],
  ["GET", /^\/subscriptions$/, 500, "an error occurred while fetching subscriptions"],
  ["POST", /^\/subscriptions$/, 400, "failed to find endpoint by id"],
  ["GET", /^\/events$/, 500, "an error occurred while fetching app events"],
  ["GET", /^\/eventdeliveries$/, 500, "an error occurred while fetching event deliveries"],
  ["GET", /^\/(events|eventdeliveries)\/[^/]+$/, 404, REFUSED],
];

/**
 * With Postgres down, refuses every call but the project's own: key and project are cached (recorded). A look-up of
 * deliveries by key looks for the event first: 400.
 */
export const postgres: MiddlewareHandler<ApiEnv> = async (c, next) => {
  const path = c.req.path.replace(/^\/api\/v1\/projects\/[^/]+/, "");
  if (c.env?.trouble !== "postgres_down" || path === "") return next();
  if (path === "/eventdeliveries" && c.req.query("idempotencyKey")) return failure(400, REFUSED);
  const found = ANSWERS.find(([method, pattern]) => method === c.req.method && pattern.test(path));
  const [, , status, message] = found ?? ["", path, 400, REFUSED];
  return failure(status, message);
};
