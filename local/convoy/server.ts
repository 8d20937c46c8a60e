// A local Convoy over HTTP, on this machine only.
import type { ServerResponse } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import { failure } from "./envelope.ts";
import { refusalOf } from "./guard.ts";
import { ConnectionDropped, type Convoy, type ConvoyOptions, createConvoy } from "./index.ts";

/** A local Convoy that listens. */
export type ServedConvoy = { url: string; convoy: Convoy; close(): Promise<void> };

/**
 * Starts a local Convoy on 127.0.0.1; port 0 takes a free one. Rejects with EADDRINUSE where the port is taken.
 * LOCAL_CONVOY_PORTAL=1 in the environment licenses portal links.
 * `allowedHosts` are the host names it answers to; this machine's own by default.
 */
export async function serveConvoy(
  options: ConvoyOptions & { port: number; allowedHosts?: ReadonlySet<string> },
): Promise<ServedConvoy> {
  const convoy = createConvoy({
    portal: process.env.LOCAL_CONVOY_PORTAL === "1",
    ...options,
  });
  const server = createAdaptorServer({
    async fetch(request, env) {
      const refused = refusalOf(request.headers, options.allowedHosts);
      if (refused !== undefined) return failure(403, refused);
      try {
        return await convoy.fetch(request);
      } catch (error) {
        const dropped = error instanceof ConnectionDropped || request.signal.aborted;
        if (!dropped) throw error;
        (env.outgoing as ServerResponse).destroy();
        return new Response(null, { headers: { "x-hono-already-sent": "true" } });
      }
    },
  });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(options.port, "127.0.0.1", () => resolve());
    });
  } catch (error) {
    await convoy.close();
    throw error;
  }
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  return {
    url: `http://127.0.0.1:${port}`,
    convoy,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await convoy.close();
      if ("closeAllConnections" in server) server.closeAllConnections();
      await closed;
    },
  };
}
