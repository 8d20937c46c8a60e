/**
 * npm run smoke [-- --receiver-url URL] [--listen PORT] [--patience SECONDS]: tries a Convoy end to end with its
 * own Worker, owner and receiver, prints what arrived, and removes what it created. CONVOY_BASE_URL, CONVOY_API_KEY
 * and CONVOY_PROJECT_ID name the Convoy; without them it is the local one (LOCAL_CONVOY_VERSION=26.6 or 26.7).
 */
import { serveConvoy } from "../local/convoy/server.ts";
import { argumentsOf, command } from "./command.ts";
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

await command(async () => {
  const given = options();
  const { CONVOY_BASE_URL = "", CONVOY_API_KEY = "", CONVOY_PROJECT_ID = "" } = process.env;
  const local = CONVOY_BASE_URL ? null : await serveConvoy({ port: 0 });
  const receiver = await startReceiver(given.port ?? 0, given.port !== undefined);
  const interrupted = new AbortController();
  process.once("SIGINT", () => interrupted.abort());
  try {
    console.log(`Trying ${local ? "the local Convoy" : CONVOY_BASE_URL} …`);
    await smoke({
      convoy: local
        ? {
            CONVOY_BASE_URL: `${local.url}/api`,
            CONVOY_API_KEY: "local",
            CONVOY_PROJECT_ID: "local",
          }
        : { CONVOY_BASE_URL, CONVOY_API_KEY, CONVOY_PROJECT_ID },
      receiver,
      receiverUrl: given.receiverUrl ?? `http://127.0.0.1:${receiver.port}/hook`,
      patienceMs: (given.patienceS ?? (local ? LOCAL_PATIENCE_S : PATIENCE_S)) * 1_000,
      walkDelayS: local ? 1 : WALK_DELAY_S,
      say: (line) => console.log(line),
      signal: interrupted.signal,
    }).finally(() => print(receiver));
    console.log("All is well.");
  } catch (error) {
    const unreached = !local && receiver.arrivals.length === 0 && !given.receiverUrl;
    if (unreached) console.error("Convoy must reach the receiver: see --receiver-url.");
    throw error;
  } finally {
    await receiver.close();
    await local?.close();
  }
});

function options() {
  const text = { type: "string" } as const;
  const { values } = argumentsOf(USAGE, {
    options: { "receiver-url": text, listen: text, patience: text },
  });
  const numberOf = (value?: string) => (value === undefined ? undefined : Number(value));
  const { "receiver-url": receiverUrl } = values;
  const [port, patienceS] = [numberOf(values.listen), numberOf(values.patience)];
  const right = (port ?? 0) >= 0 && (port ?? 0) < 65_536 && (patienceS ?? 1) > 0;
  const leadsHere = !receiverUrl || (URL.canParse(receiverUrl) && port !== undefined);
  if (!right || !leadsHere) throw new Error(USAGE);
  return { port, patienceS, receiverUrl };
}

function print({ arrivals }: Receiver): void {
  console.log(`\n${arrivals.length} webhooks arrived:`);
  const row = (cells: string[]) =>
    console.log(
      `  ${cells.map((cell, at) => cell.padEnd([8, 10, 38, 9, 11][at] ?? 0)).join("")}`.trimEnd(),
    );
  row(["after", "event", "event_id", "sequence", "signature"]);
  for (const { atMs, event, eventId, sequence, signed } of arrivals) {
    const seconds = `${(atMs / 1_000).toFixed(1)} s`;
    row([seconds, event, eventId, String(sequence ?? "-"), signed ? "valid" : "WRONG"]);
  }
  console.log();
}
