// The inbox page: plain files, read once and served under a policy that lets nothing else run.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { Hono } from "hono";

const ROOT = path.resolve(import.meta.dirname, "../..");
const FOLDER = path.join(ROOT, "local/inbox");

/** What the page shares with the portal, and the library that draws both. */
const SHARED: Record<string, string> = {
  "base.css": "public/portal/base.css",
  "format.js": "public/portal/format.js",
  "lit-html/lit-html.js": "node_modules/lit-html/lit-html.js",
  "lit-html/directive.js": "node_modules/lit-html/directive.js",
  "lit-html/directive-helpers.js": "node_modules/lit-html/directive-helpers.js",
  "lit-html/directives/repeat.js": "node_modules/lit-html/directives/repeat.js",
};

const TYPES: Record<string, string> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

/** Nothing inline, nothing from elsewhere: whatever a webhook's body contains stays text. */
const HEADERS = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  // An old page must not run against a newer checkout.
  "Cache-Control": "no-cache",
};

/** Whether a URL's path is the page or one of its files. */
export function isPage(pathname: string): boolean {
  return pathname === "/" || pathname === "/inbox" || pathname.startsWith("/assets/");
}

/** The page at / and /inbox, its files under /assets. */
export function pageRoutes(): Hono {
  const own = readdirSync(FOLDER).map((name) => [name, path.join(FOLDER, name)] as const);
  const shared = Object.entries(SHARED).map(([name, at]) => [name, path.join(ROOT, at)] as const);
  const files = new Map([...own, ...shared].map(([name, at]) => [name, readFileSync(at, "utf8")]));
  const answer = (name: string): Response => {
    const text = files.get(name);
    if (text === undefined) return new Response("not found\n", { status: 404, headers: HEADERS });
    const type = TYPES[name.split(".").at(-1) ?? ""] ?? "text/plain; charset=utf-8";
    return new Response(text, { headers: { ...HEADERS, "Content-Type": type } });
  };
  const routes = new Hono();
  routes.get("/", () => answer("inbox.html"));
  routes.get("/inbox", () => answer("inbox.html"));
  routes.get("/assets/:name{.+}", (c) => answer(c.req.param("name")));
  return routes;
}
