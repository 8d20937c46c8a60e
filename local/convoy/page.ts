// The inbox page: three plain files, served under a policy that lets nothing else run.
import { readFileSync } from "node:fs";
import { Hono } from "hono";

const FILES = {
  "/": ["inbox.html", "text/html; charset=utf-8"],
  "/inbox": ["inbox.html", "text/html; charset=utf-8"],
} as const;

/** The page and its files. */
export function pageRoutes(): Hono {
  const routes = new Hono();
  for (const [path, [name, type]] of Object.entries(FILES)) {
    routes.get(path, (c) => {
      const text = readFileSync(new URL(`../inbox/${name}`, import.meta.url), "utf8");
      return c.body(text, 200, { "Content-Type": type });
    });
  }
  return routes;
}
