/** Calls the Worker's handlers directly in workerd, with its own Convoy. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env as testEnv } from "cloudflare:workers";
import { vi } from "vitest";
import type { Faults } from "../../local/convoy/faults.ts";
import type { InboxDelivery } from "../../local/convoy/inbox.ts";
import ownWorker from "../../src/index.ts";
import type { DeliveryRow, EventRow } from "../../src/outbox/rows.ts";
import type { Bindings, SettingName } from "../../src/settings.ts";
import { type Checker, demandDocumented } from "./documented.ts";

/** An answer whose waitUntil work may go on; `done` waits for it, and rejects if it does. */
export type Reply = {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: any JSON; tests compare it whole
  body: any;
  done: () => Promise<void>;
};

/** A test's bindings: empty stores, no rate limit, and a local Convoy that nobody else uses. */
export function newEnv(settings: { [name in SettingName]?: string } = {}): Bindings {
  const { RATE_LIMIT: _, ...rest } = testEnv as unknown as Bindings;
  const CONVOY_BASE_URL = `http://${crypto.randomUUID()}.convoy.test/api`;
  return { ...rest, CONVOY_BASE_URL, ...settings };
}

/** Like `newEnv`, for a test in which Convoy misbehaves: what the Worker logs of that is not printed. */
export function quietEnv(): Bindings {
  for (const method of ["log", "warn", "error"] as const) {
    vi.spyOn(console, method).mockImplementation(() => {});
  }
  return newEnv();
}

/** What is called: by default the Worker, whose answers are as its document says. */
export type Service = { worker: Pick<typeof ownWorker, "fetch">; demand: Checker["demand"] };

const OWN: Service = { worker: ownWorker, demand: demandDocumented };

/** `at`: the origin that is called. */
type Sent = { headers?: Record<string, string>; json?: boolean; at?: string; service?: Service };

/** Calls the Worker and does not wait for its waitUntil. A string or stream is sent as is, anything else as JSON. */
export async function begin(
  env: Bindings,
  method: string,
  path: string,
  body?: unknown,
  { headers = {}, json = true, at = "http://localhost", service = OWN }: Sent = {},
): Promise<Reply> {
  const ctx = createExecutionContext();
  const raw = body === undefined || typeof body === "string" || body instanceof ReadableStream;
  const request = new Request<unknown, IncomingRequestCfProperties>(`${at}${path}`, {
    method,
    headers: {
      ...(body === undefined || !json ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    body: raw ? (body ?? null) : JSON.stringify(body),
  });
  const response = await service.worker.fetch(request as never, env as never, ctx);
  const text = await response.text();
  const answer = {
    status: response.status,
    headers: response.headers,
    body: text === "" ? undefined : JSON.parse(text),
  };
  service.demand({ method, path, ...answer });
  return {
    ...answer,
    done: () => waitOnExecutionContext(ctx),
  };
}

/** Calls the Worker and waits for its waitUntil. */
export async function call(...given: Parameters<typeof begin>): Promise<Reply> {
  const reply = await begin(...given);
  await reply.done();
  return reply;
}

/** Runs the cron once, without further hands. */
export async function cron(env: Bindings): Promise<void> {
  const scheduledTime = Date.UTC(2026, 10, 24, 12, 1);
  const ctx = { waitUntil() {}, passThroughOnException() {}, props: {} } as never;
  await ownWorker.scheduled({ scheduledTime, cron: "* * * * *", noRetry() {} }, env, ctx);
}

/** Creates an endpoint of the caller, at Convoy and in D1. @returns its id */
export async function newEndpoint(
  env: Bindings,
  url = "https://receiver.example/hook",
  sent: Sent = {},
) {
  const reply = await call(env, "POST", "/endpoint", { name: "Receiver", url }, sent);
  if (reply.status !== 201) throw new Error(`${reply.status} ${JSON.stringify(reply.body)}`);
  return String(reply.body["Endpoint ID"]);
}

/** Creates an endpoint that belongs to another owner. @returns its id */
export async function foreignEndpoint(env: Bindings): Promise<string> {
  const id = await newEndpoint(env);
  await env.DB.prepare("UPDATE endpoint SET owner = 'somebody else' WHERE id = ?").bind(id).run();
  return id;
}

/** The log's events, in order. */
export async function log(env: Bindings): Promise<EventRow[]> {
  return (await env.DB.prepare("SELECT * FROM event ORDER BY seq").all<EventRow>()).results;
}

/** The log's deliveries, in order, with their events' ids. */
export async function logged(env: Bindings): Promise<(DeliveryRow & { event_id: string })[]> {
  const sql = `SELECT delivery.*, event.id AS event_id FROM delivery JOIN event ON seq = event_seq
    ORDER BY event_seq, endpoint_id`;
  return (await env.DB.prepare(sql).all<DeliveryRow & { event_id: string }>()).results;
}

/** Makes due what must still be posted or put into KV, as if leases, waits and Retry-After had run out. */
export async function letTimePass(env: Bindings): Promise<void> {
  await env.DB.batch([
    env.DB.prepare("UPDATE event SET due_at = 0 WHERE due_at IS NOT NULL"),
    env.DB.prepare("UPDATE delivery SET due_at = 0 WHERE status = 'pending'"),
    env.DB.prepare("UPDATE cron_state SET breaker_until = 0"),
  ]);
}

/** All of KV, and D1's events, deliveries and endpoints: what a refused request must not change. */
export async function state(env: Bindings) {
  const { keys } = await env.KV.list();
  const values = await Promise.all(keys.map(async ({ name }) => [name, await env.KV.get(name)]));
  const { results } = await env.DB.prepare("SELECT * FROM endpoint ORDER BY id").all();
  const [events, delivered] = [await log(env), await logged(env)];
  return { kv: keys, values, events, deliveries: delivered, endpoints: results };
}

/** An event that Convoy took, as its inbox lists it. */
export type InboxEvent = {
  kind: "endpoint" | "owner";
  endpoint_id: string | null;
  owner_id: string | null;
  event_type: string;
  idempotency_key: string;
  is_duplicate: boolean;
  body: string;
};

async function inbox<T>(env: Bindings, what: string, init?: RequestInit): Promise<T> {
  const url = new URL(`/inbox/${what}`, env.CONVOY_BASE_URL);
  const response = await fetch(url.href, init);
  const text = await response.text();
  if (!response.ok) throw new Error(`${what}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}

/** What the test's Convoy accepted, oldest first. */
export async function accepted(env: Bindings): Promise<InboxEvent[]> {
  return (await inbox<{ data: InboxEvent[] }>(env, "events?limit=5000")).data.reverse();
}

/** What the test's Convoy delivered, oldest first. */
export async function deliveries(env: Bindings): Promise<InboxDelivery[]> {
  return (await inbox<{ data: InboxDelivery[] }>(env, "deliveries?limit=5000")).data.reverse();
}

/** Sets the faults of the test's Convoy. */
export async function setFaults(env: Bindings, faults: Faults): Promise<void> {
  await inbox(env, "faults", { method: "PUT", body: JSON.stringify(faults) });
}
