/** The webhooks of each kind of event, byte for byte, and who gets them. */
import { expect, test } from "vitest";
import { around } from "../../support/operations.ts";
import {
  accepted,
  call,
  deliveries,
  foreignEndpoint,
  log,
  newEndpoint,
  newEnv,
} from "../../support/worker.ts";

const ISO = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;

/** The exact text of a webhook but for its time; a read's event has no sequence. */
function bodyOf(words: string, eventId: string, sequence: number | null, todo: string | null) {
  const escaped = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const numbered = sequence === null ? "" : `"sequence":${sequence},`;
  const head = escaped(`{${words},"event_id":"${eventId}",${numbered}"occurred_at":"`);
  return new RegExp(`^${head}${ISO}${escaped(`"${todo === null ? "" : `,"todo":${todo}`}}`)}$`);
}

test("each kind of event is one minified webhook, with the tutorial's texts, its id and its sequence", async () => {
  const env = newEnv();
  const endpoint = await newEndpoint(env);
  const at = (path: string) => `${path}?endpoint=${endpoint}`;
  const replies = [
    await call(env, "POST", `/endpoint/${endpoint}/ping`),
    await call(env, "POST", at("/todo"), { id: 7, item: "a  b" }),
    await call(env, "GET", at("/todo/7")),
    await call(env, "GET", at("/todo")),
    await call(env, "PUT", at("/todo/7"), { completed: true }),
    await call(env, "DELETE", at("/todo/7")),
    await call(env, "PUT", at("/todo/7"), { completed: true }),
    await call(env, "GET", at("/todo/7")),
  ];
  expect(replies.map(({ status }) => status)).toEqual([202, 201, 200, 200, 200, 200, 404, 404]);

  const events = await accepted(env);
  const todo = '{"id":7,"item":"a  b","completed":false}';
  const failed = '"event":"failure","description":"Todo not found."';
  const expected: [string, string, number | null, string | null][] = [
    ["ping", '"event":"ping","description":"Webhook test from application."', 1, null],
    ["created", '"event":"created","description":"Todo created successfully"', 2, todo],
    ["retrieved", '"event":"retrieved","description":"Todo retrieved successfully"', null, todo],
    ["retrieved", '"event":"retrieved","description":"Todo retrieved successfully"', null, null],
    [
      "updated",
      '"event":"updated","description":"Todo updated successfully"',
      3,
      todo.replace("false", "true"),
    ],
    ["deleted", '"event":"deleted","description":"Todo deleted successfully"', 4, '{"id":7}'],
    ["failed", failed, 5, '{"id":7}'],
    ["failed", failed, null, '{"id":7}'],
  ];
  expect(events.map((event) => event.event_type)).toEqual(expected.map(([type]) => type));
  for (const [index, [, words, sequence, what]] of expected.entries()) {
    const event = events[index];
    expect(event?.body).toMatch(bodyOf(words, event?.idempotency_key ?? "", sequence, what));
    expect(event).toMatchObject({ kind: "endpoint", endpoint_id: endpoint });
    // Reads have no row in the log, and so no id to ask for.
    expect(replies[index]?.headers.get("X-Event-Id") ?? null).toBe(
      sequence === null ? null : event?.idempotency_key,
    );
  }
  expect(new Set(events.map((event) => event.idempotency_key)).size).toBe(events.length);
  expect((await log(env)).map(({ type }) => type)).toEqual([
    "ping",
    "created",
    "updated",
    "deleted",
    "failed",
  ]);
});

test("a change without an endpoint fans out to all of the owner's endpoints and nobody else's", async () => {
  const env = newEnv();
  const mine = [await newEndpoint(env), await newEndpoint(env)];
  const other = env.CONVOY_BASE_URL ?? "";
  await fetch(`${other}/v1/projects/local/endpoints`, {
    method: "POST",
    headers: { authorization: "Bearer local", "content-type": "application/json" },
    body: JSON.stringify({ name: "x", url: "https://receiver.example/", owner_id: "other" }),
  });
  const { headers } = await call(env, "POST", "/todo", { id: 1, item: "x" });
  expect(await accepted(env)).toMatchObject([
    { kind: "owner", owner_id: "default", idempotency_key: headers.get("X-Event-Id") },
  ]);
  await expect.poll(() => deliveries(env)).toHaveLength(2);
  const sent = await deliveries(env);
  expect(sent.map(({ endpoint_id }) => endpoint_id).sort()).toEqual(mine.sort());
  expect(sent.map(({ signature }) => signature.valid)).toEqual([true, true]);
});

test("a read without an endpoint uses only KV and publishes nothing", async () => {
  const env = newEnv();
  await newEndpoint(env);
  const silent = around(env, async ({ on, what }, run) => {
    if (on !== "KV") throw new Error(`a read must not do ${on} ${what}`);
    return run();
  });
  expect((await call(silent, "GET", "/todo")).status).toBe(200);
  expect((await call(silent, "GET", "/todo/1")).status).toBe(404);
  expect(await accepted(env)).toEqual([]);
});

test.each([
  ["another owner's", foreignEndpoint],
  ["an unknown", async () => "01UNKNOWN"],
])("a read with %s endpoint gets the same answer, and publishes nothing", async (_, make) => {
  const env = newEnv();
  await call(env, "POST", "/todo", { id: 1, item: "x" });
  const endpoint = await make(env);
  const before = await accepted(env);
  for (const path of ["/todo", "/todo/1", "/todo/2"]) {
    const plain = await call(env, "GET", path);
    const named = await call(env, "GET", `${path}?endpoint=${endpoint}`);
    expect([named.status, named.body]).toEqual([plain.status, plain.body]);
  }
  expect(await accepted(env)).toEqual(before);
});
