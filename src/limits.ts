/** Who may call from where, and how often. */
import type { Context, MiddlewareHandler, Next } from "hono";
import { cors } from "hono/cors";
import { RATE_LIMIT_PERIOD_S, type Settings } from "./config.ts";
import type { AppEnv } from "./http.ts";
import { problem } from "./http.ts";
import { isLoopback } from "./loopback.ts";

/** 429 with Retry-After once an owner has used up the Workers rate-limit binding; no binding, no limit. */
export function limitRate(c: Context<AppEnv>, next: Next): Promise<void> {
  return c.env.RATE_LIMIT ? limit(c.env.RATE_LIMIT, c.get("owner"), next) : next();
}

async function limit(binding: RateLimit, key: string, next: Next): Promise<void> {
  if (!(await binding.limit({ key })).success) {
    throw problem(429, `Too many requests. Try again in ${RATE_LIMIT_PERIOD_S} seconds.`, {
      headers: { "Retry-After": String(RATE_LIMIT_PERIOD_S) },
    });
  }
  await next();
}

const EXPOSED = ["X-Event-Id", "X-Request-Id", "Location", "Retry-After"];

/** CORS for the origins named in CORS_ORIGINS (comma-separated); none named, no header at all. */
export const crossOrigin: MiddlewareHandler<AppEnv> = (c, next) => {
  const named = listOf(c.env.CORS_ORIGINS);
  if (named.length === 0) return next();
  return cors({
    origin: (origin) => (named.includes(origin) ? origin : null),
    allowMethods: ["GET", "POST", "PUT", "DELETE"],
    allowHeaders: ["Authorization", "Content-Type", "X-Request-Id"],
    exposeHeaders: EXPOSED,
    maxAge: 86_400,
  })(c, next);
};

/**
 * Why a request may not use AUTH=open; undefined where it may. Without tokens, what a browser says of a
 * request is all that keeps other sites out: a foreign Host is DNS rebinding, a foreign Origin a page
 * that asks on its own account. Programs send no Origin.
 */
export function openRefusal(settings: Settings, { url, headers }: Request): string | undefined {
  const hosts = listOf(settings.OPEN_HOSTS).map(hostnameOf);
  const isNamed = (hostname = "") => isLoopback(hostname) || hosts.includes(hostname);
  const asked = URL.parse(url);
  const host = headers.get("Host") ?? asked?.host;
  if (!isNamed(asked?.hostname) || (host !== asked?.host && !isNamed(hostnameOf(host ?? "")))) {
    return 'AUTH is "open": only localhost is answered. Set AUTH="jwt" and AUTH_SECRET, or name this host in OPEN_HOSTS.';
  }
  const origin = headers.get("Origin");
  if (origin !== null && listOf(settings.CORS_ORIGINS).includes(origin)) return undefined;
  const foreign = origin !== null && !isNamed(URL.parse(origin)?.hostname);
  return foreign || headers.get("Sec-Fetch-Site") === "cross-site"
    ? 'AUTH is "open": requests from other sites are refused. Name the origin in CORS_ORIGINS to let it in.'
    : undefined;
}

function listOf(setting = ""): string[] {
  return setting.split(",").flatMap((entry) => entry.trim() || []);
}

function hostnameOf(host: string): string | undefined {
  return URL.parse(`http://${host}`)?.hostname;
}
