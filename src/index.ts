/** The Worker: what the platform calls. */
import { app } from "./app.ts";
import type { Bindings } from "./config.ts";
import { runCron } from "./cron.ts";

export default {
  fetch: app.fetch,
  async scheduled(_controller, env) {
    await runCron(env);
  },
} satisfies ExportedHandler<Bindings>;
