/** The Flask tutorial's curl commands against the built Worker, its local Convoy and a receiver. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createEndpoint } from "../support/client.ts";
import { type System, startSystem } from "../support/system.ts";
import { until } from "../support/until.ts";

/** Step 2 of "Publish Webhook Events", to the letter. */
const CREATE_ENDPOINT = `curl -X 'POST' \\
    'http://0.0.0.0:8080/endpoint' \\
    -H 'accept: application/json' \\
    -H 'Content-Type: application/json' \\
    -d ' {
            "name": "Todo endpoint",
            "description": "Endpoint for todo API.",
            "http_timeout": "10s",
            "url": "https://webhook.site/40984a4e-7b36-41fb-a234-9c2006bac8b5"
    }'`;

/** Step 3, to the letter; its endpoint id is that of the tutorial's own answer. */
const ADD_TODO = `curl -X 'POST' \\
    'http://0.0.0.0:8080/todo?endpoint=da6c42b5-2a51-478c-ad5e-53097c0f61cb' \\
    -H 'accept: application/json' \\
    -H 'Content-Type: application/json' \\
    -d '{
    "id": 1,
    "item": "Setup a convoy webhook project and publish my first webhook"
    }'`;

let system: System;
beforeAll(async () => {
  system = await startSystem();
});
afterAll(() => system?.close());

/** Sends what a curl command of the tutorial sends. */
function run(command: string) {
  const part = (pattern: RegExp) => pattern.exec(command)?.[1] ?? "";
  const [method, path] = [part(/-X '(\w+)'/), part(/'http:\/\/0\.0\.0\.0:8080([^']+)'/)];
  return system.call(method, path, part(/-d '([^']+)'/));
}

test("the tutorial's two commands end in one webhook with a valid signature, kept in the inbox", async () => {
  const endpoint = await run(CREATE_ENDPOINT);
  expect(endpoint).toMatchObject({ status: 201, body: { "Endpoint ID": expect.any(String) } });

  const unknown = await run(ADD_TODO);
  expect(unknown).toMatchObject({ status: 404, body: { error: expect.any(String) } });

  const id = String(endpoint.body["Endpoint ID"]);
  const added = await run(ADD_TODO.replace("da6c42b5-2a51-478c-ad5e-53097c0f61cb", id));
  expect(added).toMatchObject({ status: 201, body: { data: "Todo added" } });

  const [delivery] = await until("the delivery", async () => {
    const all = await system.convoy.deliveries();
    return all.some((one) => one.status === "Success") && all;
  });
  expect(delivery).toMatchObject({
    endpoint_id: id,
    url: "https://webhook.site/40984a4e-7b36-41fb-a234-9c2006bac8b5",
    event_type: "created",
    idempotency_key: `${added.headers.get("x-event-id")}.${id}`,
    signature: { valid: true },
    attempts: 1,
    kept: true,
  });
  expect(JSON.parse(delivery?.body ?? "")).toMatchObject({
    event: "created",
    description: "Todo created successfully",
    event_id: added.headers.get("x-event-id"),
    todo: { id: 1, item: "Setup a convoy webhook project and publish my first webhook" },
  });

  // A look at it shows what became of it, attempt by attempt.
  const path = `/delivery/${added.headers.get("x-event-id")}.${id}`;
  const shown = await until("its end", async () => {
    const { body } = await system.call("GET", path);
    return body.status === "delivered" && body;
  });
  expect(shown).toMatchObject({
    title: "Setup a convoy webhook project and publish my first webhook",
    body: JSON.parse(delivery?.body ?? ""),
    attempts_made: [{ http_status: 200 }],
  });
  const event = await system.call("GET", `/event/${added.headers.get("x-event-id")}`);
  expect(event.body).toMatchObject({ status: "delivered", deliveries: [{ endpoint_id: id }] });

  // Nothing was left undone: a sweep changes nothing.
  await system.letTimePass();
  await system.sweep();
  await system.convoy.idle();
  expect(await system.convoy.deliveries()).toHaveLength(1);
});

test("a receiver on this machine gets each kind of event once, signed with its endpoint's secret", async () => {
  const { call, convoy, receiver } = system;
  const endpoint = await createEndpoint(call, `${receiver.url}/hook`);
  receiver.trust(endpoint.secret);
  const elsewhere = async () =>
    (await convoy.deliveries()).filter((one) => one.endpoint_id !== endpoint.id).length;
  const before = await elsewhere();
  const at = (path: string) => `${path}?endpoint=${endpoint.id}`;

  const steps = [
    await call("POST", `/endpoint/${endpoint.id}/ping`),
    await call("POST", at("/todo"), { id: 7, item: "Receive it" }),
    await call("PUT", at("/todo/7"), { completed: true }),
    await call("GET", at("/todo/7")),
    await call("DELETE", at("/todo/7")),
    await call("DELETE", at("/todo/7")),
  ];
  expect(steps.map(({ status }) => status)).toEqual([202, 201, 200, 200, 200, 404]);

  await until("six webhooks", () => receiver.received.length >= steps.length);
  await system.letTimePass();
  await system.sweep();
  await convoy.idle();
  // An event for a named endpoint goes to that one alone.
  expect(await elsewhere()).toBe(before);
  expect(receiver.received.map(({ refused }) => refused)).toEqual(steps.map(() => undefined));
  const kinds = receiver.received.map(({ body }) => body.event).sort();
  expect(kinds).toEqual(["created", "deleted", "failure", "ping", "retrieved", "updated"]);
  const ids = receiver.received.map(({ body }) => body.event_id);
  expect(new Set(ids).size).toBe(steps.length);
  for (const { headers } of steps.filter(({ headers }) => headers.has("x-event-id"))) {
    expect(ids).toContain(headers.get("x-event-id"));
  }
});
