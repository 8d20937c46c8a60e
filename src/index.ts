/** The Worker: what the platform calls. */
import { app } from "./app.ts";
import type { Bindings } from "./config.ts";
import { runCron } from "./cron.ts";

export default {
  fetch: app.fetch,
  async scheduled(controller, env) {
    await runCron(env, controller.scheduledTime);
  },
} satisfies ExportedHandler<Bindings>;
