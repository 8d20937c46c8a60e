/** Table of contents: middleware and routes. */

import { methodNotAllowed } from "hono/method-not-allowed";
import { authenticate, crossOrigin, limitRate } from "./auth.ts";
import { checkBindings } from "./config.ts";
import { endpoint, portalLink } from "./endpoint/routes.ts";
import { event, rebuild } from "./event/routes.ts";
import { health, isShallowHealth } from "./health.ts";
import { completeAnswer, limitBody, newApp, onError, problem } from "./http.ts";
import { todo } from "./todo/routes.ts";

const app = newApp();

app.use(completeAnswer);
app.use(
  methodNotAllowed({
    app,
    onMethodNotAllowed: (_, methods) => {
      const allow = methods.join(", ");
      throw problem(405, `This path takes ${allow}.`, { headers: { Allow: allow } });
    },
  }),
);
app.use((c, next) => {
  checkBindings(c.env);
  return next();
});
app.use(crossOrigin);
app.use(limitBody);
// Every path not excepted here requires an owner, including routes added later.
app.use((c, next) => (isShallowHealth(c) ? next() : authenticate(c, () => limitRate(c, next))));

const routes = app
  .route("/health", health)
  .route("/todo", todo)
  .route("/endpoint", endpoint)
  .route("/event", event)
  .route("/portal-link", portalLink)
  .route("/rebuild", rebuild);

app.notFound((c) =>
  c.json({ error: `There is no ${c.req.path} here. See README.md for the routes.` }, 404),
);
app.onError(onError);

/** The whole API, for Hono's typed client `hc<AppType>(url)`. */
export type AppType = typeof routes;
export { app };
