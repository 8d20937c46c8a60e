/** Who is calling: the owner of everything a request touches (docs/security.md). */
import type { Context, MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { problem } from "./errors.ts";
import type { AppEnv } from "./http.ts";
import { isLoopback } from "./loopback.ts";
import { originsOf, type Settings, settingsOf } from "./settings.ts";
import { type Caller, verifyToken } from "./token.ts";

/** Most characters of a token; RS256 tokens with many claims stay far below. */
export const TOKEN_MAX_CHARS = 8_192;
/** Period of the rate limit in wrangler.toml, in seconds: the platform takes 10 or 60. */
export const RATE_LIMIT_PERIOD_S = 10;

/** The owner while AUTH is "open". */
export const OPEN_OWNER = "default";

/** All paths that a portal token opens; a new route stays closed to it until it is listed here. */
const PORTAL_PATHS = /^\/(endpoint|event|delivery)(\/|$)/;

/**
 * Sets `owner` and `operator` in the context. Responds 401 with WWW-Authenticate to a missing or
 * invalid token, 403 to one without access to the path, 503 if there is no way to check tokens.
 */
export async function authenticate(c: Context<AppEnv>): Promise<void> {
  const { owner, operator, portal } = await callerOf(c);
  if (portal && !PORTAL_PATHS.test(c.req.path)) {
    throw problem(403, "A portal link opens /endpoint, /event and /delivery, nothing else.", {
      headers: { "WWW-Authenticate": 'Bearer error="insufficient_scope"' },
    });
  }
  c.set("owner", owner);
  c.set("operator", operator);
}

async function callerOf(c: Context<AppEnv>): Promise<Caller> {
  const settings = settingsOf(c.env);
  if (settings.auth.mode === "open") {
    const refusal = openRefusal(settings, c.req.raw);
    if (refusal) throw problem(403, refusal);
    return { owner: OPEN_OWNER, operator: false, portal: false };
  }
  const checked = await verifyToken(settings.auth, bearer(c.req.header("Authorization")));
  if ("refused" in checked) throw unauthorized(checked.refused);
  if (checked.portal && !settings.portal) throw unauthorized("The portal is turned off here.");
  return checked;
}

function bearer(header: string | undefined): string {
  if (!header) throw unauthorized("Send a token: Authorization: Bearer TOKEN.", null);
  const token = /^Bearer +([^\s]+)$/i.exec(header)?.[1];
  if (!token) throw unauthorized("The Authorization header is not `Bearer TOKEN`.");
  if (token.length > TOKEN_MAX_CHARS) throw unauthorized("The token is too long.");
  return token;
}

// RFC 6750: no error code if no token was sent.
function unauthorized(reason: string, code: string | null = "invalid_token") {
  const detail = code ? ` error="${code}", error_description="${reason.replaceAll('"', "'")}"` : "";
  return problem(401, reason, { headers: { "WWW-Authenticate": `Bearer${detail}` } });
}

/** 429 with Retry-After once an owner exceeds the Workers rate-limit binding; no binding, no limit. */
export async function limitRate({ env, get }: Context<AppEnv>): Promise<void> {
  if (!env.RATE_LIMIT || (await env.RATE_LIMIT.limit({ key: get("owner") })).success) return;
  throw problem(429, `Too many requests. Try again in ${RATE_LIMIT_PERIOD_S} seconds.`, {
    headers: { "Retry-After": String(RATE_LIMIT_PERIOD_S) },
  });
}

const forNamedOrigins = cors({
  origin: (origin, c) => (originsOf(c.env).includes(origin) ? origin : null),
  allowMethods: ["GET", "POST", "PUT", "DELETE"],
  allowHeaders: ["Authorization", "Content-Type", "X-Request-Id"],
  exposeHeaders: ["X-Event-Id", "X-Request-Id", "Location", "Retry-After"],
  maxAge: 86_400,
});

/** CORS for the origins in CORS_ORIGINS; without any, no CORS headers. */
export const crossOrigin: MiddlewareHandler<AppEnv> = (c, next) =>
  originsOf(c.env).length === 0 ? next() : forNamedOrigins(c, next);

/**
 * Why a request may not use AUTH=open; undefined if it may. Without tokens, only the browser's headers
 * keep other sites out: a foreign Host is DNS rebinding, a foreign Origin another site's page. Programs
 * send no Origin.
 */
export function openRefusal(settings: Settings, { url, headers }: Request): string | undefined {
  const hosts = settings.auth.mode === "open" ? settings.auth.hosts : [];
  const isNamed = (hostname = "") => isLoopback(hostname) || hosts.includes(hostname);
  const asked = URL.parse(url);
  const host = headers.get("Host") ?? asked?.host;
  if (!isNamed(asked?.hostname) || (host !== asked?.host && !isNamed(hostnameOf(host ?? "")))) {
    return 'AUTH is "open": only localhost is allowed. Set AUTH="jwt" and AUTH_SECRET, or name this host in OPEN_HOSTS.';
  }
  const origin = headers.get("Origin");
  if (origin !== null && settings.origins.includes(origin)) return undefined;
  const foreign = origin !== null && !isNamed(URL.parse(origin)?.hostname);
  return foreign || headers.get("Sec-Fetch-Site") === "cross-site"
    ? 'AUTH is "open": requests from other sites are refused. Name the origin in CORS_ORIGINS to let it in.'
    : undefined;
}

function hostnameOf(host: string): string | undefined {
  return URL.parse(`http://${host}`)?.hostname;
}
