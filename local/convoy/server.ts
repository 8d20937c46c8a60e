// A local Convoy over HTTP, on this machine only.
import type { Server, ServerResponse } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import { end, HOST, listen } from "../listen.ts";
import { VERSIONS } from "./context.ts";
import { failure } from "./envelope.ts";
import { refusalOf } from "./guard.ts";
import { ConnectionDropped, type ConvoyOptions, createConvoy } from "./index.ts";

export type ServedConvoy = Awaited<ReturnType<typeof serveConvoy>>;

/** The version that LOCAL_CONVOY_VERSION names, as an option. */
function versionOf({ LOCAL_CONVOY_VERSION: value = "" }: NodeJS.ProcessEnv): ConvoyOptions {
  const version = VERSIONS.find((one) => one === value);
  if (version) return { version };
  if (value === "") return {};
  throw new Error(`LOCAL_CONVOY_VERSION must be ${VERSIONS.join(" or ")}, not "${value}".`);
}

/**
 * Starts a local Convoy on 127.0.0.1; port 0 takes a free one. Rejects with EADDRINUSE if the port is taken.
 * LOCAL_CONVOY_VERSION in the environment (26.6 or 26.7) is the version to imitate; throws if it is anything else.
 */
export async function serveConvoy(options: ConvoyOptions & { port: number }) {
  const convoy = createConvoy({ ...versionOf(process.env), ...options });
  const server = createAdaptorServer({
    async fetch(request, env) {
      const refused = refusalOf(request.headers);
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
  }) as Server;
  const port = await listen(server, options.port).catch(async (error) => {
    await convoy.close();
    throw error;
  });
  return {
    url: `http://${HOST}:${port}`,
    convoy,
    async close() {
      await convoy.close();
      await end(server);
    },
  };
}
