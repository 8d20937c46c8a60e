/** Who is calling: the owner of everything a request touches (docs/design.md, section 8). */
import type { Context, MiddlewareHandler } from "hono";
import { verify, verifyWithJwks } from "hono/jwt";
import {
  type Bindings,
  CLOCK_LEEWAY_S,
  OWNER_MAX_BYTES,
  SettingError,
  TOKEN_MAX_CHARS,
} from "./config.ts";
import type { AppEnv } from "./http.ts";
import { problem } from "./http.ts";
import { JWKS_ALGORITHMS, keysFor } from "./jwks.ts";

/** The owner while AUTH is "open". */
export const OPEN_OWNER = "default";

/**
 * Puts the caller's owner into the context.
 * Answers 401 with WWW-Authenticate to a missing or bad token, 503 where no way to check one is set.
 */
export const authenticate: MiddlewareHandler<AppEnv> = async (c, next) => {
  c.set("owner", await ownerOf(c));
  await next();
};

async function ownerOf(c: Context<AppEnv>): Promise<string> {
  const env = c.env;
  const mode = env.AUTH || "jwt";
  if (mode === "open") return OPEN_OWNER;
  if (mode !== "jwt") throw new SettingError('AUTH must be "jwt" or "open".');
  if (!env.AUTH_SECRET && !env.AUTH_JWKS_URL) {
    throw new SettingError(
      'No way to check tokens: set AUTH_SECRET or AUTH_JWKS_URL (or AUTH="open" for a private test) in .dev.vars, or run `npx wrangler secret put AUTH_SECRET`.',
    );
  }
  const token = bearer(c.req.header("Authorization"));
  return subject(check(await payloadOf(token, env), env));
}

function bearer(header: string | undefined): string {
  if (!header) throw unauthorized("Send a token: Authorization: Bearer TOKEN.", null);
  const token = /^Bearer +([^\s]+)$/i.exec(header)?.[1];
  if (!token) throw unauthorized("The Authorization header is not `Bearer TOKEN`.");
  if (token.length > TOKEN_MAX_CHARS) throw unauthorized("The token is too long.");
  return token;
}

type Payload = Record<string, unknown>;

// Times are checked below, with leeway, which hono/jwt has not.
const UNTIMED = { exp: false, nbf: false, iat: false };

async function payloadOf(token: string, env: Bindings): Promise<Payload> {
  try {
    if (env.AUTH_SECRET) return await verify(token, env.AUTH_SECRET, { alg: "HS256", ...UNTIMED });
    const keys = await keysFor(env.AUTH_JWKS_URL ?? "", token);
    return await verifyWithJwks(token, {
      keys,
      allowedAlgorithms: JWKS_ALGORITHMS,
      verification: UNTIMED,
    });
  } catch (error) {
    if (error instanceof SettingError) throw error;
    throw unauthorized(reasonOf(error));
  }
}

// Hono's error names, told in words that help an honest caller and hold nothing of the token.
function reasonOf(error: unknown): string {
  const name = error instanceof Error ? error.name : "";
  if (name === "JwtTokenSignatureMismatched")
    return "The token's signature does not match our key.";
  if (/Algorithm/.test(name)) return "The token's algorithm is not one that we take.";
  if (name === "JwtHeaderRequiresKid") return "The token's header has no kid.";
  return "The token is malformed, or signed with a key that we do not know.";
}

function check(payload: Payload, env: Bindings): Payload {
  const nowS = Date.now() / 1_000;
  // JSON that is well signed but no object: `null` has no fields to read.
  if (!payload) throw unauthorized("The token has no claims.");
  const { exp, nbf, iat, iss, aud } = payload;
  if (typeof exp !== "number" || !Number.isFinite(exp)) throw unauthorized("The token has no exp.");
  if (exp + CLOCK_LEEWAY_S <= nowS) throw unauthorized("The token has expired.");
  for (const time of [nbf, iat]) {
    if (time === undefined) continue;
    if (typeof time !== "number" || !(time - CLOCK_LEEWAY_S <= nowS)) {
      throw unauthorized("The token is not valid yet.");
    }
  }
  if (env.AUTH_ISSUER && iss !== env.AUTH_ISSUER)
    throw unauthorized("The token has another issuer.");
  if (env.AUTH_AUDIENCE && ![aud].flat().includes(env.AUTH_AUDIENCE)) {
    throw unauthorized("The token is for another audience.");
  }
  return payload;
}

// A lone surrogate has no UTF-8: two such owners would share a key.
function subject({ sub }: Payload): string {
  const fits =
    typeof sub === "string" &&
    sub !== "" &&
    sub.isWellFormed() &&
    new TextEncoder().encode(sub).length <= OWNER_MAX_BYTES;
  if (!fits) throw unauthorized(`The token's sub must be 1 to ${OWNER_MAX_BYTES} bytes of UTF-8.`);
  return sub;
}

// RFC 6750: no error code where no token was sent.
function unauthorized(reason: string, code: string | null = "invalid_token") {
  const detail = code ? ` error="${code}", error_description="${reason.replaceAll('"', "'")}"` : "";
  return problem(401, reason, { headers: { "WWW-Authenticate": `Bearer${detail}` } });
}
