/**
 * The built Worker with a local Convoy and a receiver, over HTTP: the Flask tutorial's curl commands, a Convoy that hangs,
 * many concurrent callers.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { allTodos, createEndpoint } from "../support/client.ts";
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
beforeEach(() => system.clear());
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

test("every /todo route answers while Convoy hangs, and each event arrives once when it is back", async () => {
  const { call, convoy, receiver } = system;
  const endpoint = await createEndpoint(call, receiver.url);
  receiver.trust(endpoint.secret);

  // A hanging call is answered only once the faults change, which is after the answers below.
  await convoy.setFaults({ hang: true });
  const changes = [
    await call("POST", `/todo?endpoint=${endpoint.id}`, { id: 1, item: "Named" }),
    await call("POST", "/todo", { id: 2, item: "To all" }),
    await call("PUT", "/todo/1", { item: "Changed" }),
    await call("DELETE", "/todo/2"),
  ];
  const reads = [await call("GET", "/todo/1"), await call("GET", "/todo")];
  expect(changes.map(({ status }) => status)).toEqual([201, 201, 200, 200]);
  expect(reads.map(({ status }) => status)).toEqual([200, 200]);
  expect(await allTodos(call)).toMatchObject([{ id: 1, item: "Changed" }]);
  expect(await convoy.events()).toEqual([]);
  expect(receiver.received).toEqual([]);

  await convoy.setFaults({});
  const ids = changes.map(({ headers }) => headers.get("x-event-id"));
  await until("all events", async () => {
    await system.letTimePass();
    await system.sweep();
    return receiver.received.length >= ids.length;
  });
  await system.letTimePass();
  await system.sweep();
  await convoy.idle();
  const got = receiver.received.map(({ body }) => body.event_id);
  expect(got.sort()).toEqual(ids.sort());
  expect(receiver.received.every(({ refused }) => refused === undefined)).toBe(true);
});

/** Calls `make` n times at once. */
const times = <T>(n: number, make: (index: number) => Promise<T>) =>
  Promise.all(Array.from({ length: n }, (_, index) => make(index)));

/** Waits until everything is posted, by the requests or by the cron, and delivered. */
async function settled(events: number): Promise<void> {
  await until(`${events} events at Convoy`, async () => {
    const accepted = (await system.convoy.events()).length;
    if (accepted < events) await system.sweep();
    return accepted >= events;
  });
  await system.convoy.idle();
}

describe("many callers", () => {
  beforeEach(async () => {
    const { secret } = await createEndpoint(system.call, system.receiver.url);
    system.receiver.trust(secret);
  });

  test("100 concurrent creates leave 100 todos in the list and 100 deliveries", async () => {
    const answers = await times(100, (n) =>
      system.call("POST", "/todo", { id: n, item: `No. ${n}` }),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201));
    expect((await allTodos(system.call)).map(({ id }) => id)).toEqual(answers.map((_, n) => n));
    await settled(100);
    expect(await system.convoy.deliveries()).toHaveLength(100);
    const ids = new Set(system.receiver.received.map(({ body }) => body.event_id));
    expect(ids).toEqual(new Set(answers.map(({ headers }) => headers.get("x-event-id"))));
    expect(system.receiver.received.filter(({ refused }) => refused)).toEqual([]);
  });

  test("50 concurrent creates of one id: one 201, 49 times 409, one webhook", async () => {
    const before = (await system.convoy.events()).length;
    const answers = await times(50, (n) =>
      system.call("POST", "/todo", { id: 1_000, item: `Try ${n}` }),
    );
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([201, ...Array.from({ length: 49 }, () => 409)]);
    await settled(before + 1);
    const created = system.receiver.received.filter(({ body }) => body.todo?.id === 1_000);
    expect(created.map(({ body }) => body.event)).toEqual(["created"]);
  });

  test("concurrent updates of item and of completed lose neither", async () => {
    const id = 2_000;
    await system.call("POST", "/todo", { id, item: "Before" });
    const answers = await times(10, (n) =>
      system.call("PUT", `/todo/${id}`, n % 2 === 0 ? { item: "After" } : { completed: true }),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    // Ten updates in one second are more than KV takes for one key; the last one is put later.
    const todo = await until("both fields in KV", async () => {
      const { body } = await system.call("GET", `/todo/${id}`);
      return body.item === "After" && body.completed === true && body;
    });
    expect(todo).toEqual({ id, item: "After", completed: true });
    // The merge itself is in the log, and its last row holds both.
    const last = await system.db
      .prepare("SELECT data FROM event WHERE resource_id = ? ORDER BY seq DESC LIMIT 1")
      .bind(String(id))
      .first<{ data: string }>();
    expect(JSON.parse(last?.data ?? "")).toEqual({ id, item: "After", completed: true });
  });
});
