/**
 * npm run smoke [-- --receiver-url URL] [--listen PORT] [--patience SECONDS]: tries a Convoy end to end with its
 * own Worker, owner and receiver, prints what arrived, and removes what it created. CONVOY_BASE_URL, CONVOY_API_KEY
 * and CONVOY_PROJECT_ID name the Convoy; without them it is the local one (LOCAL_CONVOY_VERSION=26.6 or 26.7).
 */
import { parseArgs } from "node:util";
import { serveConvoy } from "../local/convoy/server.ts";
import { type Receiver, startReceiver } from "./smoke/receiver.ts";
import { smoke } from "./smoke/run.ts";

const USAGE = `Usage: npm run smoke [-- --receiver-url URL] [--listen PORT] [--patience SECONDS]
  --receiver-url  where Convoy reaches this machine, such as a tunnel's https address leading to --listen
  --listen        the receiver's port, on every interface (default: a free one on 127.0.0.1)
  --patience      longest wait for one webhook, in seconds (180; 30 for the local Convoy)`;
/** A Convoy before v26.7.3 may take two minutes to act on a change to an endpoint. */
const PATIENCE_S = 180;
const LOCAL_PATIENCE_S = 30;
/** Convoy lists a delivery within seconds. */
const WALK_DELAY_S = 5;

process.exitCode = await main(process.argv.slice(2));

async function main(argv: string[]): Promise<number> {
  const given = options(argv);
  if (!given) return 1;
  const local = process.env.CONVOY_BASE_URL ? null : await serveConvoy({ port: 0 });
  const receiver = await startReceiver(given.port ?? 0, given.port !== undefined);
  const interrupted = new AbortController();
  process.once("SIGINT", () => interrupted.abort());
  try {
    const { CONVOY_BASE_URL = "", CONVOY_API_KEY = "", CONVOY_PROJECT_ID = "" } = process.env;
    const convoy = local
      ? { CONVOY_BASE_URL: `${local.url}/api`, CONVOY_API_KEY: "local", CONVOY_PROJECT_ID: "local" }
      : { CONVOY_BASE_URL, CONVOY_API_KEY, CONVOY_PROJECT_ID };
    console.log(`Trying ${local ? "the local Convoy" : CONVOY_BASE_URL} …`);
    const patienceS = given.patienceS ?? (local ? LOCAL_PATIENCE_S : PATIENCE_S);
    await smoke({
      convoy,
      receiver,
      receiverUrl: given.receiverUrl ?? `http://127.0.0.1:${receiver.port}/hook`,
      patienceMs: patienceS * 1_000,
      walkDelayS: local ? 1 : WALK_DELAY_S,
      say: (line) => console.log(line),
      signal: interrupted.signal,
    });
    print(receiver);
    console.log("All is well.");
    return 0;
  } catch (error) {
    print(receiver);
    console.error(error instanceof Error ? error.message : String(error));
    if (!local && receiver.arrivals.length === 0 && !given.receiverUrl) {
      console.error("Convoy must reach the receiver: see --receiver-url.");
    }
    return 1;
  } finally {
    await receiver.close();
    await local?.close();
  }
}

type Given = { port?: number; receiverUrl?: string; patienceS?: number };

function options(argv: string[]): Given | null {
  try {
    const types = { type: "string" } as const;
    const { values } = parseArgs({
      args: argv,
      options: { "receiver-url": types, listen: types, patience: types },
    });
    const [port, patienceS] = [Number(values.listen ?? 0), Number(values.patience ?? 1)];
    const url = values["receiver-url"];
    const right = port >= 0 && port < 65_536 && patienceS > 0 && (!url || URL.canParse(url));
    if (!right || (url && !values.listen)) throw new Error("");
    return {
      ...(values.listen ? { port } : {}),
      ...(values.patience ? { patienceS } : {}),
      ...(url ? { receiverUrl: url } : {}),
    };
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`.trim());
    return null;
  }
}

function print({ arrivals }: Receiver): void {
  console.log(`\n${arrivals.length} webhooks arrived:`);
  const row = (cells: string[]) =>
    `  ${cells.map((cell, at) => cell.padEnd([8, 10, 38, 9, 11][at] ?? 0)).join("")}`.trimEnd();
  console.log(row(["after", "event", "event_id", "sequence", "signature"]));
  for (const { atMs, event, eventId, sequence, signed } of arrivals) {
    const seconds = `${(atMs / 1_000).toFixed(1)} s`;
    console.log(
      row([seconds, event, eventId, String(sequence ?? "-"), signed ? "valid" : "WRONG"]),
    );
  }
  console.log();
}
