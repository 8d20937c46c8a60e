/** What `npm run dev` runs: the Worker, the local Convoy and cron, in one process that leaves nothing behind. */
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { writeAssets } from "../../openapi/assets.ts";
import { devVars } from "../../scripts/dotenv.ts";
import { busy } from "../../scripts/install.mjs";
import { serveConvoy } from "../convoy/server.ts";
import { freePort, HOST } from "../listen.ts";
import { runCron } from "./cron.ts";
import { hiddenHost, serveFront } from "./front.ts";
import { endInOrder } from "./lifetime.ts";
import { type DevOptions, parseOptions, USAGE } from "./options.ts";
import { devSettings, devToken, usesLocalConvoy } from "./settings.ts";
import { claimState, sharedText } from "./sharing.ts";
import { welcome } from "./welcome.ts";
import { fireCron, migrate, serveWorker } from "./worker.ts";

/** How often to ask again if a connection ended without an answer. */
const START_RETRY_MS = 200;
const SLOW = ": if there is a mistake in its code, shown above, this waits until it is mended";

const say = (line: string) => console.log(line);

const root = path.resolve(import.meta.dirname, "../..");

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === "help") console.log(USAGE);
  else await run(options);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
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
  const other = claimState(state, port);
  if (other !== undefined) console.error(sharedText(state, other));
  writeAssets();
  const migrated = busy("Applying the migrations", { say });
  await migrate(root, state).finally(migrated);
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
  const built = busy("Building the Worker", { hint: SLOW, say });
  const hostname = hiddenHost();
  hideLines(`Ready on http://${hostname}:`);
  const worker = await serveWorker({ root, hostname, port: 0, settings, state, interactive: true });
  closers.push(() => worker.close());
  claimSignals();
  closers.push(await serveFront(port, worker.url));
  const url = new URL(`http://${HOST}:${port}`);
  await Promise.race([firstAnswer(url), worker.failed]).finally(built);
  const stop = new AbortController();
  void runCron((at) => fireCron(url, at), stop);
  closers.push(async () => stop.abort());
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
  let health: Response | undefined;
  while (!health) {
    health = await fetch(new URL("/health", url)).catch(() => undefined);
    if (!health) await sleep(START_RETRY_MS);
  }
  if (!health.ok) console.error(`GET /health: ${health.status} ${await health.text()}`);
}

/** Before anything is started, so that a "no" leaves nothing behind. */
async function demandPort(what: string, port: number, flag: string): Promise<void> {
  await freePort(port).catch(({ code, message }: NodeJS.ErrnoException) => {
    const taken = code === "EADDRINUSE";
    const why = taken ? "is taken by another program" : `cannot be used (${code ?? message})`;
    throw new Error(
      `Port ${port} for ${what} ${why}: end that program or choose another port with npm run dev -- ${flag} ${port + 10}`,
    );
  });
}
