// The inbox page: plain files, read once and served under a policy that lets nothing else run.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { Hono } from "hono";

const FOLDER = path.resolve(import.meta.dirname, "../inbox");

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
  const files = new Map(
    readdirSync(FOLDER).map((name) => [name, readFileSync(path.join(FOLDER, name), "utf8")]),
  );
  const answer = (name: string): Response => {
    const text = files.get(name);
    if (text === undefined) return new Response("not found\n", { status: 404, headers: HEADERS });
    const type = TYPES[name.split(".").at(-1) ?? ""] ?? "text/plain; charset=utf-8";
    return new Response(text, { headers: { ...HEADERS, "Content-Type": type } });
  };
  const routes = new Hono();
  routes.get("/", () => answer("inbox.html"));
  routes.get("/inbox", () => answer("inbox.html"));
  routes.get("/assets/:name", (c) => answer(c.req.param("name")));
  return routes;
}
