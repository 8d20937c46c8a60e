/** Who may call from where, and how often. */
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { RATE_LIMIT_PERIOD_S } from "./config.ts";
import type { AppEnv } from "./http.ts";
import { problem } from "./http.ts";

/** 429 with Retry-After once an owner has used up the Workers rate-limit binding; no binding, no limit. */
export const limitRate: MiddlewareHandler<AppEnv> = async (c, next) => {
  const allowed = await c.env.RATE_LIMIT?.limit({ key: c.get("owner") });
  if (allowed && !allowed.success) {
    throw problem(429, `Too many requests. Try again in ${RATE_LIMIT_PERIOD_S} seconds.`, {
      headers: { "Retry-After": String(RATE_LIMIT_PERIOD_S) },
    });
  }
  await next();
};

const EXPOSED = ["X-Event-Id", "X-Request-Id", "Location", "Retry-After"];

/** CORS for the origins named in CORS_ORIGINS (comma-separated); none named, no header at all. */
export const crossOrigin: MiddlewareHandler<AppEnv> = (c, next) => {
  const named = c.env.CORS_ORIGINS?.split(",").map((origin) => origin.trim());
  if (!named) return next();
  return cors({
    origin: (origin) => (named.includes(origin) ? origin : null),
    allowMethods: ["GET", "POST", "PUT", "DELETE"],
    allowHeaders: ["Authorization", "Content-Type", "X-Request-Id"],
    exposeHeaders: EXPOSED,
    maxAge: 86_400,
  })(c, next);
};
