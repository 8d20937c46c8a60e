/** The whole service with notes and invoices beside todos: what src/resources.ts, app.ts and index.ts would say. */
import { createApp, createOutbox, cronTasks } from "../../src/app.ts";
import { runCron } from "../../src/outbox/cron.ts";
import { registryOf } from "../../src/outbox/outbox.ts";
import type { Bindings } from "../../src/settings.ts";
import { todo } from "../../src/todo/resource.ts";
import { todoRoutes } from "../../src/todo/routes.ts";
import { invoice } from "./invoice/resource.ts";
import { invoiceRoutes } from "./invoice/routes.ts";
import { note } from "./note/resource.ts";
import { noteRoutes } from "./note/routes.ts";

/** The nouns, a line each. */
export const resources = registryOf([todo, note, invoice]);

const outbox = createOutbox(resources);
export const app = createApp(outbox)
  .route("/todo", todoRoutes)
  .route("/note", noteRoutes)
  .route("/invoice", invoiceRoutes);

/** The whole API, for Hono's typed client `hc<AppType>(url)`. */
export type AppType = typeof app;

export default {
  fetch: app.fetch,
  scheduled: (_controller, env) => runCron(env, outbox, { tasks: cronTasks }),
} satisfies ExportedHandler<Bindings>;
