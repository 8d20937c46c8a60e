/** The Worker: what the platform calls. */
import { app } from "./app.ts";
import { runCron } from "./cron.ts";
import type { Bindings } from "./settings.ts";

export default {
  fetch: app.fetch,
  async scheduled(_controller, env) {
    await runCron(env);
  },
} satisfies ExportedHandler<Bindings>;
