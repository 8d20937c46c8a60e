/** Convoy hangs: no /todo answer waits for it, and nothing is lost. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { allTodos, createEndpoint } from "../support/client.ts";
import { type System, startSystem } from "../support/system.ts";
import { until } from "../support/until.ts";

let system: System;
beforeAll(async () => {
  system = await startSystem();
});
afterAll(() => system?.close());

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
