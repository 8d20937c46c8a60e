/** The Worker: what the platform calls. */
import { WorkerEntrypoint } from "cloudflare:workers";
import { app, cronTasks, outbox } from "./app.ts";
import { runCron } from "./outbox/cron.ts";
import { type HandTask, lendHand } from "./outbox/hand.ts";
import type { Bindings } from "./settings.ts";

/** A further invocation, with subrequests of its own: a part of a backlog. */
export class Hand extends WorkerEntrypoint<Bindings> {
  /** Posts what is due. */
  post(task: HandTask) {
    return lendHand(this.env, outbox, task);
  }
}

type Exports = { Hand?: { post: Hand["post"] } };

export default {
  fetch: app.fetch,
  async scheduled(_controller, env, ctx) {
    const { Hand: hand } = (ctx.exports ?? {}) as Exports;
    await runCron(env, outbox, {
      tasks: cronTasks,
      ...(hand ? { ask: (task: HandTask) => hand.post(task) } : {}),
    });
  },
} satisfies ExportedHandler<Bindings>;
