// Convoy's rate limiter in front of its API, which fails without Redis.
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
