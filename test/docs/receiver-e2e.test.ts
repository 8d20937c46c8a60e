// The example receiver in workerd, behind a Convoy that really signs and really delivers over HTTP.
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestHarness } from "wrangler";
import { type ServedConvoy, serveConvoy } from "../../local/convoy/server.ts";
import { type Source, toConvoyEvent } from "../../src/event/message.ts";
import { RECEIVER, SECRET } from "../support/receiver.ts";

const harness = createTestHarness({
  workers: [
    { configPath: path.join(RECEIVER, "wrangler.toml"), secrets: { WEBHOOK_SECRET: SECRET } },
  ],
});
let convoy: ServedConvoy;
let receiver: URL;

beforeAll(async () => {
  convoy = await serveConvoy({ port: 0, retry: { intervalMs: 50 } });
  ({ url: receiver } = await harness.listen());
  await harness.getWorker().applyD1Migrations("DB");
});

afterAll(async () => {
  await convoy?.close();
  await harness.close();
});

/** Calls Convoy's API; the `data` of its answer. */
async function api(method: string, route: string, body: unknown): Promise<Record<string, string>> {
  const answer = await fetch(`${convoy.url}/api/v1/projects/local${route}`, {
    method,
    headers: { Authorization: "Bearer local", "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const { message, data } = (await answer.json()) as {
    message: string;
    data: Record<string, string>;
  };
  if (!answer.ok) throw new Error(`${answer.status} ${message}`);
  return data;
}

/** Makes the receiver an endpoint with a subscription to everything; its id. */
async function subscribe(fields: object = {}): Promise<string> {
  const endpoint = {
    name: "receiver",
    url: receiver.href,
    http_timeout: 10,
    secret: SECRET,
    ...fields,
  };
  const { uid } = await api("POST", "/endpoints", endpoint);
  const filter_config = { event_types: ["*"] };
  await api("POST", "/subscriptions", { name: "receiver", endpoint_id: uid, filter_config });
  return uid!;
}

/** Posts an event as the product words it, and what the receiver answered once it was delivered. */
async function send(
  endpoint: string,
  source: Partial<Source> & Pick<Source, "id">,
): Promise<string> {
  const event = toConvoyEvent({
    owner: "o",
    type: "created",
    endpoint_id: endpoint,
    occurred_at: 1_795_519_572_000,
    todo_id: null,
    todo: null,
    ...source,
  });
  await api("POST", "/events", {
    endpoint_id: endpoint,
    event_type: event.type,
    data: event.data,
    idempotency_key: event.key,
  });
  await convoy.convoy.idle();
  const inbox = await fetch(`${convoy.url}/inbox/deliveries?limit=1`);
  const { data } = (await inbox.json()) as { data: { idempotency_key: string; status: string }[] };
  expect(data[0]).toMatchObject({ idempotency_key: event.key });
  return data[0]!.status;
}

async function list(): Promise<unknown> {
  return ((await (await fetch(new URL("/todo", receiver))).json()) as { data: unknown }).data;
}

const milk = { id: 1, item: "Buy <b>milk</b> é 😀\u2028", completed: false };

test("a delivery is verified, stored, and its replay dropped", async () => {
  const endpoint = await subscribe();
  const event = { id: "e-1", seq: 1, todo: JSON.stringify(milk), todo_id: 1 };
  expect(await send(endpoint, event)).toBe("Success");
  expect(await list()).toEqual([milk]);
  expect(
    await send(endpoint, { ...event, replays: 1, todo: JSON.stringify({ ...milk, item: "no" }) }),
  ).toBe("Success");
  expect(await list()).toEqual([milk]);
});

test.each<[string, object]>([
  ["simple", { advanced_signatures: false }],
  ["advanced", { advanced_signatures: true }],
])(
  "an endpoint that signs the %s way is verified, with a rotated secret in its overlap too",
  async (kind, fields) => {
    const endpoint = await subscribe(fields);
    const done = { id: 2, item: kind, completed: true };
    const event = { type: "updated", todo: JSON.stringify(done), todo_id: 2 } as const;
    const seq = kind === "simple" ? 10 : 20;
    expect(await send(endpoint, { ...event, id: `${kind}-1`, seq })).toBe("Success");
    expect(await list()).toContainEqual(done);
    if (kind === "simple") return; // recorded only for the advanced kind
    await api("PUT", `/endpoints/${endpoint}/expire_secret`, {
      secret: "whsec_after",
      expiration: 1,
    });
    expect(await send(endpoint, { type: "deleted", id: `${kind}-2`, seq: 21, todo_id: 2 })).toBe(
      "Success",
    );
    expect(await list()).toEqual([milk]);
  },
);

test("a ping and a read are taken and change nothing", async () => {
  const endpoint = await subscribe();
  expect(await send(endpoint, { type: "ping", id: "p-1", seq: 30 })).toBe("Success");
  const read = { type: "retrieved", id: "r-1", todo: JSON.stringify(milk), todo_id: 1 } as const;
  expect(await send(endpoint, read)).toBe("Success");
  expect(await list()).toEqual([milk]);
});

test("an endpoint with another secret gets nothing in", async () => {
  const endpoint = await subscribe({ secret: "whsec_other" });
  const event = { id: "x-1", seq: 40, todo: JSON.stringify({ ...milk, id: 4 }), todo_id: 4 };
  expect(await send(endpoint, event)).not.toBe("Success");
  expect(await list()).toEqual([milk]);
});
