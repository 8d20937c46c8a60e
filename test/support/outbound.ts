// The tests' network: only *.convoy.test answers, each host a local Convoy in memory.
import { type Convoy, createConvoy } from "../../local/convoy/index.ts";

const convoys = new Map<string, Convoy>();

/** The local Convoy that answers for `host`, created on first use. */
export function convoyAt(host: string): Convoy {
  const known = convoys.get(host);
  if (known) return known;
  const made = createConvoy();
  convoys.set(host, made);
  return made;
}

/** What the Request classes of Miniflare, undici and Node have in common. */
type AnyRequest = {
  url: string;
  method: string;
  headers: Iterable<[string, string]>;
  arrayBuffer(): Promise<ArrayBuffer>;
  signal?: AbortSignal | null;
};

/** Answers a Worker's outbound request; for any host but *.convoy.test, with a 502 that names it. */
export async function outbound(request: AnyRequest): Promise<Response> {
  const { hostname } = new URL(request.url);
  if (!hostname.endsWith(".convoy.test")) {
    await request.arrayBuffer();
    return new Response(`no network in tests: ${request.method} ${hostname}`, { status: 502 });
  }
  const hasBody = request.method !== "GET" && request.method !== "HEAD";
  const body = await request.arrayBuffer();
  return convoyAt(hostname).fetch(
    new Request(request.url, {
      method: request.method,
      headers: [...request.headers],
      body: hasBody ? body : null,
      signal: request.signal ?? null,
    }),
  );
}
