/** HTTP for every noun: what a handler has, and what every answer has. */
import type { Context, MiddlewareHandler, TypedResponse } from "hono";
import { HonoBase } from "hono/hono-base";
import { requestId } from "hono/request-id";
import { TrieRouter } from "hono/router/trie-router";
import { secureHeaders } from "hono/secure-headers";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { Bindings } from "./settings.ts";

/** What every handler has: the bindings and, once authenticated, the owner and whether it is an operator. */
export type AppEnv = {
  Bindings: Bindings;
  Variables: { owner: string; operator: boolean; requestId: string };
};

/** An empty Hono app with the router that method-not-allowed imports anyway: Hono's presets add others. */
export function newApp() {
  return new HonoBase<AppEnv>({ router: new TrieRouter() });
}

/** Gives every answer X-Request-Id: the caller's, or a new one. */
export const identify = requestId();

// Answers are JSON: what is only about pages is left out.
const ofJson = {
  crossOriginOpenerPolicy: false,
  originAgentCluster: false,
  xDnsPrefetchControl: false,
  xDownloadOptions: false,
  xPermittedCrossDomainPolicies: false,
  xXssProtection: false,
};
const overHttps = secureHeaders(ofJson);
// A browser that once took it over http would no longer reach http://localhost:8080.
const overHttp = secureHeaders({ ...ofJson, strictTransportSecurity: false });

/** The browser's safety headers, and no caching, for every answer. */
export const safeHeaders: MiddlewareHandler = async (c, next) => {
  await (c.req.url.startsWith("https:") ? overHttps : overHttp)(c, next);
  c.res.headers.set("Cache-Control", "no-store");
};

/** Answers with a `T` that is already JSON. */
export function jsonText<T, S extends ContentfulStatusCode>(c: Context, text: string, status: S) {
  const response = c.body(text, status, { "Content-Type": "application/json" });
  return response as Response as Response & TypedResponse<T, S, "json">;
}
