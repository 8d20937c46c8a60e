/** A Worker of endpoints and of todos for them, whose caller is whoever `X-Owner` says: for tests in Node. */
import { createOutbox } from "../../src/app.ts";
import { endpoint } from "../../src/endpoint/routes.ts";
import { endpointTasks } from "../../src/endpoint/tasks.ts";
import { onError } from "../../src/errors.ts";
import { newApp } from "../../src/http.ts";
import { runCron } from "../../src/outbox/cron.ts";
import { delivery } from "../../src/outbox/outbox.ts";
import { resources } from "../../src/resources.ts";
import { todoRoutes } from "../../src/todo/routes.ts";
import type { WorkerCode } from "./log-worker.ts";

const outbox = createOutbox(resources);
const app = newApp();
app.use((c, next) => {
  c.set("owner", c.req.header("X-Owner") ?? "default");
  c.set("operator", false);
  c.set("outbox", outbox);
  return next();
});
app.onError(onError);
const routed = app
  .route("/todo", todoRoutes)
  .route("/endpoint", endpoint)
  .route("/delivery", delivery);

/** The Worker. */
export const endpointWorker: WorkerCode = {
  fetch: (request, env, ctx) => routed.fetch(request, env, ctx),
  scheduled: (_controller, env) => runCron(env, outbox, { tasks: endpointTasks }),
};
