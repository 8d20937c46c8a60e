// A server with the portal's files and an API in memory, of the real one's shapes: for sizes and texts that the real
// system would take minutes to come to.
import { existsSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import type { Delivery } from "../../../src/outbox/answers.ts";
import type { Attempt } from "../../../src/outbox/gateway.ts";

const PUBLIC = path.resolve(import.meta.dirname, "../../../public");
const FILE_TYPES: Record<string, string> = {
  html: "text/html; charset=utf-8",
  css: "text/css",
  js: "text/javascript",
  svg: "image/svg+xml",
};

/** Text that would run a script if it were taken for HTML. */
export const EVIL = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
/** Names of every awkward kind. */
export const HOSTILE = [
  EVIL,
  "\u202Egnihtemos\u202C left to right",
  "W".repeat(255),
  "שלום עולם",
  "a\u0301\u0302\u0303".repeat(40),
  "{{7*7}} ' \" ` \\",
];

/** An endpoint as the API shows it. */
export type FixtureEndpoint = {
  id: string;
  name: string;
  url: string;
  description: string;
  http_timeout: number;
  event_types: string[] | null;
  header_names: string[];
  rate_limit: { requests: number; per_s: number } | null;
  status: "active" | "paused" | "disabled" | "missing";
  pending?: true;
  error?: string;
  failing_since?: string;
  failing_error?: string;
  held?: number;
  created_at: string;
  updated_at: string;
};

type Query = URLSearchParams;
type Answer = [status: number, body: unknown];

/** The policy under which the Worker serves the portal. */
function policy(): string {
  const [, rules = ""] = readFileSync(path.join(PUBLIC, "_headers"), "utf8").split("/portal/*");
  return /Content-Security-Policy: (.*)/.exec(rules)?.[1] ?? "";
}

/** A running one. */
export type Fixture = Awaited<ReturnType<typeof startFixture>>;

/** Starts it, empty; what it holds may be changed at any time. */
export async function startFixture() {
  const world = {
    endpoints: [] as FixtureEndpoint[],
    /** Oldest first. */
    deliveries: [] as Delivery[],
    attempts: [] as Attempt[],
    gateway: "ok" as "ok" | "down",
    waiting: null as {
      deliveries: number;
      has_more: boolean;
      since: string;
      error: string | null;
    } | null,
  };
  const csp = policy();
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://fixture");
    if (pathname.startsWith("/portal/")) {
      const file = path.join(PUBLIC, pathname.endsWith("/") ? `${pathname}index.html` : pathname);
      const found = existsSync(file);
      response.writeHead(found ? 200 : 404, {
        "Content-Type": FILE_TYPES[file.split(".").at(-1) ?? ""] ?? "text/plain",
        "Content-Security-Policy": csp,
      });
      response.end(found ? readFileSync(file) : "");
      return;
    }
    const [status, body] = await answer(request, pathname, searchParams);
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(JSON.stringify(body));
  });

  async function answer(request: IncomingMessage, pathname: string, query: Query): Promise<Answer> {
    const parts = pathname.split("/").slice(1).map(decodeURIComponent);
    const [noun, id, verb] = parts;
    if (request.method === "POST" && noun === "delivery")
      return resend(await bodyOf(request), id, verb);
    if (noun === "endpoint") return [200, { data: world.endpoints }];
    if (noun === "delivery" && id === "poll") return [200, poll(query)];
    if (noun === "delivery" && id !== undefined) return detail(id);
    if (noun === "delivery") return [200, pageOf(world.deliveries.filter(matches(query)), query)];
    if (noun === "event" && id === "type") return [200, { data: TYPES }];
    if (noun === "event" && id === "summary")
      return [
        200,
        {
          pending: 0,
          sending: 0,
          held: 0,
          failed: 0,
          dead: 0,
          oldest_pending_ms: null,
          errors: [],
        },
      ];
    return [404, { error: `There is no ${pathname} here.` }];
  }

  function detail(id: string): Answer {
    const found = world.deliveries.find((one) => one.id === id);
    if (!found) return [404, { error: "Delivery not found" }];
    const body = { event: found.event_type, event_id: found.event_id, todo: { item: found.title } };
    return world.gateway === "ok"
      ? [200, { ...found, body, attempts_made: world.attempts }]
      : [200, { ...found, body, attempts_made: null, attempts_error: "Convoy answered 503" }];
  }

  function poll(query: Query) {
    const after = query.get("after");
    const places = (query.get("watch") ?? "").split(",").filter(Boolean);
    const isNew = (one: Delivery) => after !== null && one.sequence > Number(after);
    const lost = query.get("status") === "failed" || query.get("status") === "dead";
    const fresh = world.deliveries.filter((one) => (lost || isNew(one)) && matches(query)(one));
    const failing = world.endpoints.flatMap(({ failing_since: at }) => (at ? [at] : []));
    return {
      data: fresh.slice(-15).reverse(),
      has_more: !lost && fresh.length > 15,
      after: world.deliveries.at(-1)?.sequence ?? 0,
      watched: world.deliveries.filter((one) =>
        places.includes(`${one.sequence}.${one.endpoint_id}`),
      ),
      failing: { endpoints: failing.length, latest: failing.sort().at(-1) ?? null },
      waiting: world.waiting,
      gateway: world.gateway,
    };
  }

  function resend(body: Record<string, string>, id?: string, verb?: string): Answer {
    const query = new URLSearchParams(
      Object.entries(body).filter(([name]) => !/dry_run|cursor/.test(name)),
    );
    const below = Number(body.cursor ?? Number.MAX_SAFE_INTEGER);
    const found = world.deliveries
      .filter((one) => (verb ? one.id === id : matches(query)(one)) && one.sequence < below)
      .reverse();
    const page = found.slice(0, 1_000);
    if (!body.dry_run) {
      for (const one of page) Object.assign(one, { status: "delivered", resends: 1, error: null });
    }
    if (verb) return [202, { data: "Delivery queued", delivery: page[0] }];
    const cursor = found.length > 1_000 ? { cursor: String(page.at(-1)?.sequence) } : {};
    return [body.dry_run ? 200 : 202, { resent: page.length, ...cursor }];
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`),
    world,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const TYPES = ["created", "updated", "deleted", "ping"].map((type) => ({
  type,
  description: `A todo was ${type}.`,
  resource: "todo",
  body: { event: type, test: true, todo: { id: 1, item: "Buy milk", completed: false } },
}));

async function bodyOf(request: IncomingMessage): Promise<Record<string, string>> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return text === "" ? {} : (JSON.parse(text) as Record<string, string>);
}

function matches(query: Query) {
  const [status, endpoint, type, since, until] = [
    "status",
    "endpoint",
    "type",
    "since",
    "until",
  ].map((name) => query.get(name));
  return (one: Delivery) =>
    (!status || one.status === status) &&
    (!endpoint || one.endpoint_id === endpoint) &&
    (!type || one.event_type === type) &&
    (!since || one.created_at >= since) &&
    (!until || one.created_at < until);
}

function pageOf(all: Delivery[], query: Query) {
  const below = Number(query.get("cursor") ?? Number.MAX_SAFE_INTEGER);
  const limit = Number(query.get("limit"));
  const found = all.filter(({ sequence }) => sequence < below).reverse();
  const data = found.slice(0, limit);
  return { data, ...(found.length > limit ? { cursor: String(data.at(-1)?.sequence) } : {}) };
}

/** An endpoint with this number. */
export function fixtureEndpoint(at: number, more: Partial<FixtureEndpoint> = {}): FixtureEndpoint {
  const time = new Date(Date.now() - 86_400_000).toISOString();
  return {
    ...{
      id: `endpoint-${at}`,
      name: `Endpoint ${at}`,
      url: `https://example.com/${at}`,
      description: "",
    },
    ...{
      http_timeout: 10,
      event_types: null,
      header_names: [],
      rate_limit: null,
      status: "active",
    },
    ...{ created_at: time, updated_at: time },
    ...more,
  };
}

/** A delivery with this sequence. */
export function fixtureDelivery(sequence: number, more: Partial<Delivery> = {}): Delivery {
  const event_id = `0193f0a0-0000-7000-8000-${String(sequence).padStart(12, "0")}`;
  const endpoint_id = more.endpoint_id ?? "endpoint-0";
  const at = new Date(Date.now() - (20_000 - sequence) * 60_000).toISOString();
  return {
    ...{ id: `${event_id}.${endpoint_id}`, event_id, sequence, event_type: "created", endpoint_id },
    ...{ resource: "todo", resource_id: String(sequence), title: `Todo ${sequence}` },
    ...{ status: "delivered", attempts: 1, resends: 0, last_http_status: 200, error: null },
    ...{ created_at: at, next_try_at: null, finished_at: at },
    ...more,
  };
}
