/** Table of contents: middleware and routes. */
import { methodNotAllowed } from "hono/method-not-allowed";
import { authenticate, crossOrigin, limitRate } from "./auth.ts";
import { limitBody } from "./body.ts";
import { connect } from "./convoy/gateway.ts";
import { endpointHooks } from "./endpoint/hooks.ts";
import { endpoint } from "./endpoint/routes.ts";
import { endpointTasks } from "./endpoint/tasks.ts";
import { onError, problem } from "./errors.ts";
import { health, isShallowHealth } from "./health.ts";
import { identify, newApp, safeHeaders } from "./http.ts";
import { delivery, event, type Outbox, type Registry, rebuild } from "./outbox/outbox.ts";
import { portalLink } from "./portal-link.ts";
import { resources } from "./resources.ts";
import { settingsOf } from "./settings.ts";
import { todoRoutes } from "./todo/routes.ts";
import { refuseUncheckedQuery } from "./validate.ts";

/** The outbox of these nouns, with Convoy as its gateway. */
export function createOutbox(nouns: Registry): Outbox {
  return { resources: nouns, connect, endpoints: endpointHooks };
}

/** All but the nouns' own routes: mount those on it. */
export function createApp(outbox: Outbox) {
  const app = newApp();
  app.use(identify);
  app.use(safeHeaders);
  app.use(
    methodNotAllowed({
      app,
      onMethodNotAllowed: (_, methods) => {
        const allow = methods.join(", ");
        throw problem(405, `This path takes ${allow}.`, { headers: { Allow: allow } });
      },
    }),
  );
  app.use(crossOrigin);
  app.use(async (c, next) => {
    // A wrong setting is a 503 everywhere: half a service would be noticed too late.
    settingsOf(c.env);
    c.set("outbox", outbox);
    await limitBody(c);
    // Every path not excepted here requires an owner, including routes added later.
    if (c.req.path !== "/" && !isShallowHealth(c)) {
      await authenticate(c);
      await limitRate(c);
    }
    refuseUncheckedQuery(c);
    await next();
  });
  app.notFound((c) =>
    c.json({ error: `There is no ${c.req.path} here. See README.md for the routes.` }, 404),
  );
  app.onError(onError);
  return app
    .get("/", (c) => {
      const portal = settingsOf(c.env).portal ? { portal: "/portal/" } : {};
      return c.json({ docs: "/docs", openapi: "/openapi.json", ...portal, health: "/health" }, 200);
    })
    .route("/health", health)
    .route("/endpoint", endpoint)
    .route("/event", event)
    .route("/delivery", delivery)
    .route("/portal-link", portalLink)
    .route("/rebuild", rebuild);
}

const outbox = createOutbox(resources);
const app = createApp(outbox).route("/todo", todoRoutes);

/** The whole API, for Hono's typed client `hc<AppType>(url)`. */
export type AppType = typeof app;
export { app, endpointTasks as cronTasks, outbox };
