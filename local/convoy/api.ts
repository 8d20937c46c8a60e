// The part of Convoy's API that the Worker uses; everything else under /api answers 501 and says so.
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { CONVOY_VERSION } from "./attempt.ts";
import { type Context, LOCAL_CREDENTIAL } from "./context.ts";
import type { Engine } from "./engine.ts";
import { type ApiEnv, failure, Refusal } from "./envelope.ts";
import { limiter, postgres } from "./outages.ts";
import { deliveryRoutes } from "./routes/deliveries.ts";
import { endpointRoutes } from "./routes/endpoints.ts";
import { eventTypeRoutes } from "./routes/event-types.ts";
import { eventRoutes } from "./routes/events.ts";
import { projectRoutes } from "./routes/project.ts";
import { subscriptionRoutes } from "./routes/subscriptions.ts";

/** Largest request body accepted by API and inbox: far above the Worker's own 64 KiB, far below memory. */
export const MAX_BODY_BYTES = 1024 * 1024;
export const TOO_LARGE = `the body is larger than ${MAX_BODY_BYTES} bytes`;

/** Convoy's API as a Hono app. The project in the path is ignored: the key's own is used (recorded). */
export function apiApp(context: Context, engine: Engine): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>();
  app.onError((error) => {
    if (error instanceof Refusal) return failure(error.status, error.message);
    console.error("local Convoy:", error);
    return failure(500, "the local Convoy failed; its log says why");
  });
  // It has no version header (recorded).
  app.get("/health", (c) =>
    c.json({ status: true, message: `Convoy ${CONVOY_VERSION}`, data: null }),
  );

  app.use("/api/*", async (c, next) => {
    if (c.req.header("Authorization") !== `Bearer ${LOCAL_CREDENTIAL}`)
      return failure(401, "authorization failed");
    return next();
  });
  app.use("/api/v1/projects/*", limiter(context.options.version, context.options.now), postgres);
  app.use(
    "/api/*",
    bodyLimit({
      maxSize: MAX_BODY_BYTES,
      // The rest of the body is not read, so the connection cannot be reused.
      onError: () => failure(413, TOO_LARGE, { Connection: "close" }),
    }),
  );

  const project = "/api/v1/projects/:project";
  const missing = (c: { req: { method: string; path: string } }) =>
    failure(501, `${c.req.method} ${c.req.path} is not part of the local Convoy`);
  // Listed here so that they are not mistaken for an endpoint's or event's id.
  app.get(`${project}/endpoints/period-failure-rates`, missing);
  app.get(`${project}/events/countbatchreplayevents`, missing);
  app.route(`${project}/endpoints`, endpointRoutes(context));
  app.route(`${project}/subscriptions`, subscriptionRoutes(context));
  app.route(`${project}/events`, eventRoutes(context, engine));
  app.route(`${project}/eventdeliveries`, deliveryRoutes(context, engine));
  app.route(`${project}/event-types`, eventTypeRoutes(context));
  app.route(project, projectRoutes(context));
  app.all("/api/*", missing);
  app.notFound((c) => failure(404, `nothing at ${c.req.method} ${c.req.path}`));
  return app;
}
