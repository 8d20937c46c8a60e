/** What `npm run dev` runs: the Worker, the local Convoy and cron, in one process that leaves nothing behind. */
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { writeAssets } from "../../openapi/assets.ts";
import { devVars } from "../../scripts/dotenv.ts";
import { serveConvoy } from "../convoy/server.ts";
import { startCron } from "./cron.ts";
import { hiddenHost, serveFront } from "./front.ts";
import { endInOrder } from "./lifetime.ts";
import { HOST } from "./numbers.ts";
import { type DevOptions, parseOptions, USAGE } from "./options.ts";
import { portMessage, whyTaken } from "./ports.ts";
import { devSettings, devToken, usesLocalConvoy } from "./settings.ts";
import { claimState, sharedText } from "./sharing.ts";
import { welcome } from "./welcome.ts";
import { fireCron, migrate, serveWorker } from "./worker.ts";

/** When to say that the Worker is not up yet. */
const START_PATIENCE_MS = 20_000;
/** How often to ask again if a connection ended without an answer. */
const START_RETRY_MS = 200;
const SLOW = "The Worker does not answer yet: a mistake in its code, shown above, is waited for.";

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
  const other = claimState(state, port);
  if (other !== undefined) console.error(sharedText(state, other));
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
  const settings = devSettings(process.env, convoyUrl, devVars());
  const hostname = hiddenHost();
  hideLines(`Ready on http://${hostname}:`);
  const worker = await serveWorker({ root, hostname, port: 0, settings, state, interactive: true });
  closers.push(() => worker.close());
  claimSignals();
  closers.push(await serveFront(port, worker.url));
  const url = new URL(`http://${HOST}:${port}`);
  await Promise.race([firstAnswer(url), worker.failed]);
  const stopCron = startCron((at) => fireCron(url, at));
  closers.push(async () => stopCron());
  const inboxUrl = local ? `${convoyUrl}/` : undefined;
  console.log(welcome({ port, inboxUrl, token: await devToken(settings) }));
  worker.failed.catch((error: Error) => console.error(error.message));
}

/** wrangler names its own address, which is behind the front. */
function hideLines(text: string): void {
  const { log } = console;
  console.log = (...args) => {
    if (!String(args[0]).includes(text)) log(...args);
  };
}

/** Waits until the Worker answers, and says what is wrong with its settings. */
async function firstAnswer(url: URL): Promise<void> {
  const slow = setTimeout(() => console.log(SLOW), START_PATIENCE_MS);
  let health: Response | undefined;
  while (!health) {
    health = await fetch(new URL("/health", url)).catch(() => undefined);
    if (!health) await sleep(START_RETRY_MS);
  }
  clearTimeout(slow);
  if (!health.ok) console.error(`GET /health: ${health.status} ${await health.text()}`);
}

async function demandPort(what: string, port: number, flag: string): Promise<void> {
  const reason = await whyTaken(port);
  if (reason !== undefined) throw new Error(portMessage(what, port, flag, reason));
}

/** Whether parseArgs threw it, or our own check of a port. */
function isArgumentError(error: unknown): boolean {
  return error instanceof Error && /^(--|Unknown option|Option|Unexpected)/.test(error.message);
}
