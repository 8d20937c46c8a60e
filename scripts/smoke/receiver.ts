/** The receiver of `npm run smoke`: records what arrives and whether its signature is valid. */
import { createServer } from "node:http";
import { arrayBuffer } from "node:stream/consumers";
import { verifySignature } from "../../examples/receiver/verify.ts";
import { end, HOST, listen } from "../../local/listen.ts";

export const SMOKE_HEADER = "X-Smoke";

export type Arrival = {
  event: string;
  eventId: string;
  sequence: number | null;
  /** Convoy's idempotency key: what is sent again has a different one. */
  key: string;
  /** Whether it says that it is a test. */
  test: boolean;
  /** The request's path, and its header SMOKE_HEADER; empty for none. */
  path: string;
  header: string;
  signed: boolean;
  /** ms since the receiver started. */
  atMs: number;
};

export type Receiver = Awaited<ReturnType<typeof startReceiver>>;

/** Listens on `port` (0: a free one) of this machine, on every interface if `everywhere`. */
export async function startReceiver(port: number, everywhere: boolean) {
  const begun = Date.now();
  const arrivals: Arrival[] = [];
  /** Those of the endpoints that lead here. */
  const secrets: string[] = [];
  const server = createServer(async (request, response) => {
    const bytes = await arrayBuffer(request);
    if (request.method !== "POST") return void response.writeHead(200).end("ok");
    const header = (name: string) => String(request.headers[name] ?? "");
    const signed = await verifySignature(bytes, header("x-convoy-signature"), secrets);
    const { event, event_id, sequence, test } = parse(new TextDecoder().decode(bytes));
    arrivals.push({
      event: String(event),
      eventId: String(event_id),
      sequence: typeof sequence === "number" ? sequence : null,
      key: header("x-convoy-idempotency-key"),
      test: test === true,
      path: request.url ?? "",
      header: header(SMOKE_HEADER.toLowerCase()),
      signed,
      atMs: Date.now() - begun,
    });
    // Accepted even with a wrong signature: the report says so, and Convoy need not repeat it.
    response.writeHead(200, { "Content-Type": "application/json" }).end('{"result":"received"}');
  });
  const bound = await listen(server, port, everywhere ? "0.0.0.0" : HOST);
  return { port: bound, arrivals, secrets, close: () => end(server) };
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}
