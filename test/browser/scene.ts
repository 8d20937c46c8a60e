// A local Convoy with its own receiver, and shorthands to make things happen in it.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { serveConvoy } from "../../local/convoy/server.ts";

/** One webhook as it arrived; header names in lower case. */
export type Arrival = { url: string; headers: Record<string, unknown>; body: string };

/** The secret of every endpoint here. */
export const SECRET = "whsec_scene";

/** A served local Convoy: its address, what its receiver got, and ways to use it. */
export type Scene = Awaited<ReturnType<typeof startScene>>;

/** Starts it on free ports. The receiver answers 500 at /fail, 200 elsewhere. Retries come at once, three tries in all. */
export async function startScene() {
  const arrivals: Arrival[] = [];
  const receiver = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (chunk: string) => (body += chunk));
    request.on("end", () => {
      arrivals.push({ url: request.url ?? "", headers: request.headers, body });
      const failing = request.url === "/fail";
      response.writeHead(failing ? 500 : 200, { "Content-Type": "application/json" });
      response.end(failing ? '{"error":"the database is down"}' : '{"ok":true}');
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const receiverUrl = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  const { url, convoy, close } = await serveConvoy({
    port: 0,
    retry: { intervalMs: 1, limit: 3 },
  });

  /** Calls Convoy's API; an object is sent minified, a string as is. */
  const call = async (method: string, path: string, body?: unknown): Promise<Response> =>
    fetch(`${url}/api/v1/projects/local${path}`, {
      method,
      headers: { Authorization: "Bearer local" },
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });

  /** Creates an endpoint with its subscription. @returns its id */
  const endpoint = async (target = `${receiverUrl}/hook`, name = "Todo endpoint") => {
    const made = await call("POST", "/endpoints", {
      name,
      url: target,
      owner_id: "default",
      secret: SECRET,
    });
    const { data } = (await made.json()) as { data: { uid: string } };
    await call("POST", "/subscriptions", { name, endpoint_id: data.uid });
    return data.uid;
  };

  let sequence = 0;
  /** Posts an event about a todo, as the Worker does. */
  const event = async (
    endpointId: string,
    type: string,
    todo?: { id: number; item: string },
    eventId?: string,
  ) => {
    sequence++;
    const id = eventId ?? `019b2c11-7a3e-7c3e-8a56-${String(sequence).padStart(12, "0")}`;
    return call("POST", "/events", {
      endpoint_id: endpointId,
      event_type: type,
      idempotency_key: `${id}:${sequence}`,
      data: {
        event: type,
        description: `Todo ${type} successfully`,
        event_id: id,
        sequence,
        ...(todo ? { todo } : {}),
      },
    });
  };

  /** Empties everything: endpoints, events, deliveries, faults. */
  const reset = async () => {
    await fetch(`${url}/inbox/reset`, { method: "POST" });
    arrivals.length = 0;
  };

  return {
    url,
    receiverUrl,
    convoy,
    arrivals,
    call,
    endpoint,
    event,
    reset,
    async close() {
      await close();
      receiver.closeAllConnections();
      await new Promise((resolve) => receiver.close(resolve));
    },
  };
}
