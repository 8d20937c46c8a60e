// The whole system behind the portal, with a receiver whose answers are chosen by path, and owners with links.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { sign } from "hono/jwt";
import { callerOf } from "../../support/client.ts";
import { startSystem } from "../../support/system.ts";
import { until } from "../../support/until.ts";

/** Signs every token here. */
export const SECRET = "portal-scene-secret-of-32-bytes-and-more";

/** A receiver's answer that would run a script if it were taken for HTML. */
export const EVIL = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;

/** One webhook as it arrived; header names in lower case. */
export type Arrival = { url: string; signature: string; body: string };

/** A running system with a portal. */
export type PortalScene = Awaited<ReturnType<typeof startPortalScene>>;

/** Starts it. Retries of deliveries come at once, three tries in all. */
export async function startPortalScene() {
  const arrivals: Arrival[] = [];
  /** Paths that answer 500 instead of 200. */
  const failing = new Set(["/fail"]);
  /** What those paths answer. */
  const refusal = { body: EVIL };
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (chunk: string) => (body += chunk));
    request.on("end", () => {
      const url = request.url ?? "";
      arrivals.push({ url, signature: String(request.headers["x-convoy-signature"]), body });
      response.writeHead(failing.has(url) ? 500 : 200, { "Content-Type": "text/html" });
      response.end(failing.has(url) ? refusal.body : "stored");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const receiverUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const system = await startSystem(
    { AUTH: "jwt", AUTH_SECRET: SECRET, PRIVATE_ADDRESSES: "allow" },
    { retry: { intervalMs: 1, limit: 3 } },
  );

  let owners = 0;
  /** A new owner who has nothing yet: API calls as that owner, and a link into its portal. */
  async function newcomer(name = `owner-${++owners}`) {
    const exp = Math.floor(Date.now() / 1_000) + 600;
    const call = callerOf(system.url, await sign({ sub: name, exp }, SECRET, "HS256"));
    const { status, body } = await call<{ url: string }>("POST", "/portal-link", {});
    if (status !== 201) throw new Error(JSON.stringify(body));
    return {
      owner: { name, call, link: body.url },
      /** Creates an endpoint for the owner. */
      async endpoint(to = "/ok", title = "Shop backend", more = {}) {
        const made = await call<{ endpoint: { id: string }; secret: string }>("POST", "/endpoint", {
          name: title,
          url: receiverUrl + to,
          ...more,
        });
        return { id: made.body.endpoint.id, secret: made.body.secret };
      },
      /** Adds a todo outside the portal; its event goes to that endpoint. @returns the event's id */
      async todo(endpointId: string, item: string) {
        const added = await call("POST", `/todo?endpoint=${endpointId}`, { item });
        if (added.status !== 201) throw new Error(JSON.stringify(added.body));
        return added.headers.get("X-Event-Id") ?? "";
      },
    };
  }

  return {
    ...system,
    receiverUrl,
    arrivals,
    failing,
    refusal,
    newcomer,
    /** A link of an operator. */
    async operatorLink() {
      const exp = Math.floor(Date.now() / 1_000) + 600;
      const token = await sign({ sub: "support", exp, scope: "operator" }, SECRET, "HS256");
      return `${system.url}portal/#token=${token}`;
    },
    /** Makes everything due that waits. */
    letTimePass: () =>
      system.db.prepare("UPDATE delivery SET due_at = 0 WHERE due_at IS NOT NULL").run(),
    /** Waits until `count` webhooks have arrived at this path, and Convoy knows what became of them. */
    async arrived(url: string, count = 1) {
      const all = () => arrivals.filter((one) => one.url === url).length >= count;
      await until(`${count} at ${url}`, all);
      await system.convoy.idle();
    },
    async close() {
      await system.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
