/** Many concurrent callers of the built Worker. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { allTodos, createEndpoint } from "../support/client.ts";
import { type System, startSystem } from "../support/system.ts";
import { until } from "../support/until.ts";

let system: System;
beforeAll(async () => {
  system = await startSystem();
  const { id, secret } = await createEndpoint(system.call, system.receiver.url);
  system.receiver.trust(secret);
  expect(id).not.toBe("");
});
afterAll(() => system?.close());

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
