// The whole system behind the portal, with a receiver whose answers are chosen by path, and owners with links.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { sign } from "hono/jwt";
import type { Browser, Page } from "playwright-core";
import { type Answer, callerOf } from "../support/client.ts";
import { startSystem } from "../support/system.ts";

/** Signs every token here. */
export const SECRET = "portal-scene-secret-of-32-bytes-and-more";

/** A receiver's answer whose text would be a script, were it taken for HTML. */
export const EVIL = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;

/** One webhook as it arrived; header names in lower case. */
export type Arrival = { url: string; signature: string; body: string };

/** An owner: calls to the API in its name, and a link into its portal. */
export type Owner = {
  name: string;
  call: <T = Record<string, unknown>>(m: string, p: string, body?: unknown) => Promise<Answer<T>>;
  link: string;
};

/** A running system with a portal. */
export type PortalScene = Awaited<ReturnType<typeof startPortalScene>>;

/** Starts it. Retries of deliveries come at once, three tries in all; what
 * Convoy accepts is taken for done, so that it can be replayed at once. */
export async function startPortalScene() {
  const arrivals: Arrival[] = [];
  /** Paths that answer 500 instead of 200. */
  const failing = new Set(["/fail"]);
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
    { AUTH: "jwt", AUTH_SECRET: SECRET, AUDIT: "off" },
    { retry: { intervalMs: 1, limit: 3 } },
  );

  let owners = 0;
  return {
    ...system,
    receiverUrl,
    arrivals,
    failing,
    /** What those answer. */
    refusal,
    /** Somebody new, who has nothing yet. */
    async owner(name = `owner-${++owners}`): Promise<Owner> {
      const exp = Math.floor(Date.now() / 1_000) + 600;
      const call = callerOf(system.url, await sign({ sub: name, exp }, SECRET, "HS256"));
      const answer = await call<{ url: string }>("POST", "/portal-link", {});
      if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
      return { name, call, link: answer.body.url };
    },
    async close() {
      await system.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A page at this address. What it complains of, failed requests apart, and what it asks for is collected. */
export async function openPortal(
  browser: Browser,
  url: string,
  options: { width?: number; height?: number; dark?: boolean; clock?: boolean } = {},
): Promise<{ page: Page; complaints: string[]; requests: string[] }> {
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1280, height: options.height ?? 800 },
    colorScheme: options.dark ? "dark" : "light",
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  if (options.clock) await page.clock.install();
  const complaints: string[] = [];
  const requests: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    // The browser says this of each answer that is an error; the page says it in words.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
      complaints.push(message.text());
  });
  await page.goto(url);
  return { page, complaints, requests };
}
