/** What `npm run dev` runs: the Worker, the local Convoy and cron, in one process that leaves nothing behind. */
import path from "node:path";
import { writeAssets } from "../../openapi/assets.ts";
import { serveConvoy } from "../convoy/server.ts";
import { startCron } from "./cron.ts";
import { endInOrder } from "./lifetime.ts";
import { HOST } from "./numbers.ts";
import { type DevOptions, parseOptions, USAGE } from "./options.ts";
import { portMessage, whyTaken } from "./ports.ts";
import { devSettings, usesLocalConvoy } from "./settings.ts";
import { welcome } from "./welcome.ts";
import { migrate, serveWorker } from "./worker.ts";

const root = path.resolve(import.meta.dirname, "../..");

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === "help") console.log(USAGE);
  else await run(options);
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  console.error(isArgumentError(error) ? `${message}\n${USAGE}` : message);
  process.exit(1);
}

/** Starts everything, in the order in which each needs the one before. */
async function run({ port, convoyPort, state }: DevOptions): Promise<void> {
  const local = usesLocalConvoy(process.env);
  await demandPort("the Worker", port, "--port");
  if (local) await demandPort("the local Convoy", convoyPort, "--convoy-port");

  const closers: (() => Promise<void>)[] = [];
  const claimSignals = endInOrder(async () => {
    for (const close of closers.reverse()) await close();
  });
  console.log("Starting …");
  writeAssets();
  await migrate(root, state);
  if (local) {
    const convoy = await serveConvoy({
      port: convoyPort,
      file: path.join(state, "convoy.sqlite"),
      // The address in the tutorial's commands, which the inbox shows.
      workerUrl: `http://0.0.0.0:${port}`,
    });
    closers.push(() => convoy.close());
  }
  const convoyUrl = `http://${HOST}:${convoyPort}`;
  const settings = devSettings(process.env, convoyUrl);
  const worker = await serveWorker({ root, port, settings, state, interactive: true });
  closers.push(() => worker.close());
  claimSignals();
  const stopCron = startCron((at) => worker.scheduled(at));
  closers.push(async () => stopCron());
  console.log(welcome(port, local ? `${convoyUrl}/` : undefined));
}

async function demandPort(what: string, port: number, flag: string): Promise<void> {
  const reason = await whyTaken(port);
  if (reason !== undefined) throw new Error(portMessage(what, port, flag, reason));
}

/** Whether parseArgs threw it, or our own check of a port. */
function isArgumentError(error: unknown): boolean {
  return error instanceof Error && /^(--|Unknown option|Option|Unexpected)/.test(error.message);
}
