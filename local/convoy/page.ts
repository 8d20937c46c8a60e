// The inbox page: plain files, served under a policy that lets nothing else run.
import path from "node:path";
import { serveStatic } from "@hono/node-server/serve-static";
import { Hono } from "hono";
import { secureHeaders } from "hono/secure-headers";

const ROOT = path.resolve(import.meta.dirname, "../..");

/** Nothing inline, nothing from elsewhere: whatever a webhook's body contains stays text. */
const POLICY = secureHeaders({
  contentSecurityPolicy: {
    ...{ defaultSrc: ["'none'"], scriptSrc: ["'self'"], styleSrc: ["'self'"], imgSrc: ["'self'"] },
    ...{ connectSrc: ["'self'"], baseUri: ["'none'"], formAction: ["'none'"] },
    frameAncestors: ["'none'"],
  },
  strictTransportSecurity: false,
});

/** Whether a URL's path is the page or one of its files. */
export function isPage(pathname: string): boolean {
  return pathname === "/" || pathname === "/inbox" || pathname.startsWith("/assets/");
}

export function pageRoutes(): Hono {
  const routes = new Hono();
  routes.use(POLICY, async (c, next) => {
    await next();
    // An old page must not run against a newer checkout.
    c.header("Cache-Control", "no-cache");
  });
  const folder = (name: string) =>
    serveStatic({
      root: path.join(ROOT, name),
      rewriteRequestPath: (at) => at.slice("/assets".length),
    });
  const page = serveStatic({ path: path.join(ROOT, "local/inbox/inbox.html") });
  routes.get("/", page).get("/inbox", page);
  // Shared with the portal, and the library that draws both.
  for (const name of ["base.css", "format.js"])
    routes.get(`/assets/${name}`, folder("public/portal"));
  routes.get("/assets/lit-html/*", folder("node_modules"));
  return routes.get("/assets/*", folder("local/inbox"));
}
