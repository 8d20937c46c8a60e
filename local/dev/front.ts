/**
 * The port that `npm run dev` shows. It passes requests on as they came, but for Miniflare's own headers:
 * Miniflare takes a request's address from MF-Original-URL, whoever sends it, and rewrites Host to match, so
 * that a page under a foreign name (DNS rebinding) could look like one of this machine.
 */
import { randomInt } from "node:crypto";
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { end, HOST, listen } from "../listen.ts";

/** Serves `target` on `port`. @returns a function that ends it */
export async function serveFront(port: number, target: URL): Promise<() => Promise<void>> {
  // A connection each: workerd closes idle ones, just when they might be used again.
  const agent = new Agent({ keepAlive: false });
  const server = createServer((incoming, outgoing) => pass(incoming, outgoing, target, agent));
  // Nothing here is slow on purpose, and wrangler has no limit of its own.
  server.requestTimeout = 0;
  await listen(server, port);
  return async () => {
    agent.destroy();
    await end(server);
  };
}

function pass(incoming: IncomingMessage, outgoing: ServerResponse, to: URL, agent: Agent): void {
  const { method = "GET", url: path = "/" } = incoming;
  const headers = withoutMiniflares(incoming.rawHeaders);
  const { hostname: host, port } = to;
  const onward = request({ host, port, method, path, headers, agent, setHost: false });
  onward.on("response", (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.statusMessage, answer.rawHeaders);
    answer.pipe(outgoing);
    answer.on("error", () => outgoing.destroy());
  });
  // As without us: the connection ends.
  onward.on("error", () => outgoing.destroy());
  outgoing.on("close", () => onward.destroy());
  incoming.pipe(onward);
}

/** Names and values in turn, as Node gives and takes them. */
function withoutMiniflares(raw: string[]): string[] {
  return raw.filter((_, at) => !/^mf-/i.test(raw[at - (at % 2)] ?? ""));
}

/**
 * An address of this machine that a web page cannot guess, for what the front stands before. Only Linux and
 * Windows have all of 127.0.0.0/8.
 */
export function hiddenHost(): string {
  if (process.platform === "darwin") return HOST;
  return `127.${randomInt(1, 255)}.${randomInt(256)}.${randomInt(1, 255)}`;
}
