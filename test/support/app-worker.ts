/** The whole Worker in Node: src/index.ts, but for its further hands, which are a class of the platform. */
import { app, cronTasks, outbox } from "../../src/app.ts";
import { runCron } from "../../src/outbox/cron.ts";
import type { WorkerCode } from "./log-worker.ts";

/** What the platform calls. */
export const appWorker: WorkerCode = {
  fetch: (request, env, ctx) => app.fetch(request, env, ctx),
  scheduled: (_controller, env) => runCron(env, outbox, { tasks: cronTasks }),
};
