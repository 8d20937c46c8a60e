/** Who is calling: the owner of everything a request touches (docs/design.md, section 8). */
import type { Context, MiddlewareHandler } from "hono";
import { isPortalOn, SettingError, TOKEN_MAX_CHARS } from "./config.ts";
import type { AppEnv } from "./http.ts";
import { problem } from "./http.ts";
import { openRefusal } from "./limits.ts";
import { type Caller, keysOf, verifyToken } from "./token.ts";

/** The owner while AUTH is "open". */
export const OPEN_OWNER = "default";

/** All that a portal token opens; a route that comes later is closed to it until it is named here. */
const PORTAL_PATHS = /^\/(endpoint|event)(\/|$)/;

/**
 * Puts the caller's owner into the context, and whether it operates the service. Answers 401 with
 * WWW-Authenticate to a missing or bad token, 403 to one that does not reach this far, 503 where no
 * way to check one is set.
 */
export const authenticate: MiddlewareHandler<AppEnv> = async (c, next) => {
  const { owner, operator, portal } = await callerOf(c);
  if (portal && !PORTAL_PATHS.test(c.req.path)) {
    throw problem(403, "A portal link opens /endpoint and /event, nothing else.", {
      headers: { "WWW-Authenticate": 'Bearer error="insufficient_scope"' },
    });
  }
  c.set("owner", owner);
  c.set("operator", operator);
  await next();
};

async function callerOf(c: Context<AppEnv>): Promise<Caller> {
  const mode = c.env.AUTH || "jwt";
  if (mode === "open") {
    const refusal = openRefusal(c.env, c.req.raw);
    if (refusal) throw problem(403, refusal);
    return { owner: OPEN_OWNER, operator: false, portal: false };
  }
  if (mode !== "jwt") throw new SettingError('AUTH must be "jwt" or "open".');
  keysOf(c.env);
  const checked = await verifyToken(c.env, bearer(c.req.header("Authorization")));
  if ("refused" in checked) throw unauthorized(checked.refused);
  if (checked.portal && !isPortalOn(c.env)) throw unauthorized("The portal is turned off here.");
  return checked;
}

function bearer(header: string | undefined): string {
  if (!header) throw unauthorized("Send a token: Authorization: Bearer TOKEN.", null);
  const token = /^Bearer +([^\s]+)$/i.exec(header)?.[1];
  if (!token) throw unauthorized("The Authorization header is not `Bearer TOKEN`.");
  if (token.length > TOKEN_MAX_CHARS) throw unauthorized("The token is too long.");
  return token;
}

// RFC 6750: no error code where no token was sent.
function unauthorized(reason: string, code: string | null = "invalid_token") {
  const detail = code ? ` error="${code}", error_description="${reason.replaceAll('"', "'")}"` : "";
  return problem(401, reason, { headers: { "WWW-Authenticate": `Bearer${detail}` } });
}
