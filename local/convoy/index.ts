// A local Convoy in this process: a fetch handler with its own state. There may be any number at once.
import { Hono } from "hono";
import { apiApp } from "./api.ts";
import { type ConvoyOptions, createContext } from "./context.ts";
import { createEngine } from "./engine.ts";
import { failure } from "./envelope.ts";
import { isPage, pageRoutes } from "./page.ts";
import { inboxRoutes } from "./routes/inbox.ts";

export type { ConvoyOptions, ConvoyVersion } from "./context.ts";
export { ConnectionDropped, type Faults, type Strand } from "./faults.ts";

export type Convoy = ReturnType<typeof createConvoy>;

/** Starts a local Convoy with its own state. Throws SQLite's error if `file` cannot be used. */
export function createConvoy(options: ConvoyOptions = {}) {
  const context = createContext(options);
  const engine = createEngine(context);
  const api = apiApp(context, engine);
  const inbox = new Hono();
  inbox.route("/inbox", inboxRoutes(context, engine));
  const pages = pageRoutes();

  return {
    /** Answers a request to the API (`/api/…`) or the inbox. Rejects if a fault closes the connection. */
    async fetch(request: Request): Promise<Response> {
      const { pathname } = new URL(request.url);
      if (isPage(pathname)) return pages.fetch(request);
      if (pathname.startsWith("/inbox/")) return inbox.fetch(request);
      const outcome = await context.faults.pass("api", request.signal);
      if (outcome.kind === "answer") {
        await request.body?.cancel();
        return failure(outcome.status, outcome.message, outcome.headers);
      }
      if (outcome.kind === "go") return api.fetch(request, {});
      return api.fetch(request, { trouble: outcome.kind });
    },
    idle: engine.idle,
    /** Stops and closes the database. The next one on the same file resumes what is unfinished. */
    async close() {
      context.faults.set({});
      await engine.close();
      context.listeners.clear();
      context.db.close();
    },
  };
}
