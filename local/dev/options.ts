/** The command-line options of `npm run dev`. */
import path from "node:path";
import { argumentsOf } from "../../scripts/command.ts";

/** The Worker's port, as in the tutorial's curl commands. */
const WORKER_PORT = 8080;
/** The port of the local Convoy and its inbox: next to the Worker's. */
export const CONVOY_PORT = 8081;

/** The ports of the two servers, and the directory that holds the state of both. */
export type DevOptions = { port: number; convoyPort: number; state: string };

/** The usage, printed for --help and after a wrong argument. */
export const USAGE = `Usage: npm run dev [-- --port ${WORKER_PORT} --convoy-port ${CONVOY_PORT} --state .wrangler/state]`;

/**
 * Reads the arguments.
 * @returns the options, or "help" for --help
 * @throws Error whose message names the wrong argument
 */
export function parseOptions(args: string[]): DevOptions | "help" {
  const { values } = argumentsOf(USAGE, {
    args,
    options: {
      port: { type: "string", default: String(WORKER_PORT) },
      "convoy-port": { type: "string", default: String(CONVOY_PORT) },
      state: { type: "string", default: ".wrangler/state" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return "help";
  const port = toPort("--port", values.port);
  const convoyPort = toPort("--convoy-port", values["convoy-port"]);
  if (port === convoyPort) throw new Error(`--port and --convoy-port are both ${port}.`);
  return { port, convoyPort, state: path.resolve(values.state) };
}

function toPort(name: string, text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw new Error(`${name} must be a number from 1 to 65535, not "${text}".`);
}
