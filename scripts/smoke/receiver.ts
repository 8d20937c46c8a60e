/** A receiver of its own for `npm run smoke`: keeps what arrives, and whether its signature is good. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { verifySignature } from "../../examples/receiver/verify.ts";

/** One webhook that arrived. */
export type Arrival = {
  event: string;
  eventId: string;
  sequence: number | null;
  /** Convoy's idempotency key: another one for a replay. */
  key: string;
  signed: boolean;
  /** ms since the receiver began. */
  atMs: number;
};

/** A running receiver. `secrets`: of the endpoints that it stands for. */
export type Receiver = {
  port: number;
  arrivals: Arrival[];
  secrets: string[];
  close: () => Promise<void>;
};

/** Listens on `port` of this machine, 0 for a free one; on every interface where `everywhere` says so. */
export async function startReceiver(port: number, everywhere: boolean): Promise<Receiver> {
  const begun = Date.now();
  const arrivals: Arrival[] = [];
  const secrets: string[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    if (request.method !== "POST") return void response.writeHead(200).end("ok");
    const header = (name: string) => String(request.headers[name] ?? "");
    const body = new Uint8Array(bytes).buffer;
    const signed = await verifySignature(body, header("x-convoy-signature"), secrets);
    const { event, event_id, sequence } = parse(bytes.toString());
    arrivals.push({
      event: String(event),
      eventId: String(event_id),
      sequence: typeof sequence === "number" ? sequence : null,
      key: header("x-convoy-idempotency-key"),
      signed,
      atMs: Date.now() - begun,
    });
    // Taken even if not signed well: the report says so, and Convoy need not repeat it.
    response.writeHead(200, { "Content-Type": "application/json" }).end('{"result":"received"}');
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, everywhere ? "0.0.0.0" : "127.0.0.1", () => resolve());
  });
  return {
    port: (server.address() as AddressInfo).port,
    arrivals,
    secrets,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}
