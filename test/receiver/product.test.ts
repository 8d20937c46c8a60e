// End to end: the built Worker, the local Convoy and the example receiver, over HTTP. The copy follows the API.
import http from "node:http";
import { text } from "node:stream/consumers";
import { createGunzip } from "node:zlib";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createTestHarness } from "wrangler";
import { type ServedConvoy, serveConvoy } from "../../local/convoy/server.ts";
import { type Call, callerOf } from "../support/client.ts";
import { localSettings } from "../support/convoy-inbox.ts";
import { RECEIVER, SECRET } from "../support/receiver.ts";
import { advanced } from "../support/sign.ts";
import { ROOT } from "../support/system.ts";

const receiver = createTestHarness({
  root: RECEIVER,
  workers: [{ configPath: "wrangler.toml", secrets: { WEBHOOK_SECRET: SECRET } }],
});
const product = createTestHarness();
let convoy: ServedConvoy;
let receiverUrl: URL;
let call: Call;
let endpoint: string;

beforeAll(async () => {
  // As often as it takes: once in a thousand, ten tries are too few for a receiver that fails half the time.
  convoy = await serveConvoy({ port: 0, retry: { intervalMs: 50, limit: 100 } });
  ({ url: receiverUrl } = await receiver.listen());
  await receiver.getWorker().applyD1Migrations("DB");
  const settings = { ...localSettings(`${convoy.url}/api`), WALK_DELAY_S: "0" };
  await product.update({
    root: ROOT,
    workers: [{ configPath: "wrangler.toml", secrets: settings }],
  });
  call = callerOf((await product.listen()).url);
  await product.getWorker().applyD1Migrations("DB");
  const fields = { name: "receiver", url: receiverUrl.href, secret: SECRET };
  const made = await call("POST", "/endpoint", fields);
  expect(made.status).toBe(201);
  endpoint = String(made.body["Endpoint ID"]);
});

afterAll(async () => {
  await product.close();
  await convoy?.close();
  await receiver.close();
});

const todos = async () => (await call("GET", "/todo")).body.data;
const copy = async () => (await callerOf(receiverUrl)("GET", "/todo")).body.data;

/** Waits until the copy has what the API has. */
const converged = () =>
  vi.waitFor(async () => expect(await copy()).toEqual(await todos()), {
    timeout: 20_000,
    interval: 50,
  });

type Delivery = { idempotency_key: string; status: string; body: string; attempts: number };

/** Convoy's deliveries, newest first. */
async function deliveries(): Promise<Delivery[]> {
  const inbox = await callerOf(convoy.url)("GET", "/inbox/deliveries?limit=10000");
  return inbox.body.data as Delivery[];
}

/** Creates eight todos, then changes all and removes half of them, all at once. */
async function change(from: number): Promise<void> {
  const ids = Array.from({ length: 8 }, (_, i) => from + i);
  const item = "Buy <b>milk</b> é 😀\u2028";
  await Promise.all(ids.map((id) => call("POST", "/todo", { id, item })));
  await Promise.all(
    ids.flatMap((id) => [
      call("PUT", `/todo/${id}`, { completed: true }),
      call("PUT", `/todo/${id}`, { item: `${item} ${id}` }),
      ...(id % 2 === 0 ? [call("DELETE", `/todo/${id}`)] : []),
    ]),
  );
}

test("concurrent creates, changes and removals arrive in the copy", async () => {
  await change(100);
  await converged();
  expect(await copy()).toHaveLength(4);
});

test("a receiver that fails half the time still ends up with the list", async () => {
  const faults = (set: object) => callerOf(convoy.url)("PUT", "/inbox/faults", set);
  await faults({ deliveries: { status: 500, rate: 0.5 } });
  await change(200);
  await converged();
  await faults({});
  expect((await deliveries()).some(({ attempts }) => attempts > 1)).toBe(true);
});

test("what is sent again arrives with another key and changes nothing", async () => {
  const made = await call("POST", "/todo", { id: 300, item: "sent again" });
  const id = made.headers.get("X-Event-Id")!;
  await call("PUT", "/todo/300", { item: "later" });
  await converged();
  const before = await copy();
  const path = `/delivery/${id}.${endpoint}`;
  const isDelivered = async () =>
    expect((await call("GET", path)).body).toMatchObject({ status: "delivered" });
  await vi.waitFor(isDelivered, { timeout: 10_000 });
  expect(await call("POST", `${path}/resend`)).toMatchObject({ status: 202 });
  const arrived = async () =>
    (await deliveries()).filter(({ body, status }) => body.includes(id) && status === "Success");
  await vi.waitFor(async () => expect(await arrived()).toHaveLength(2), { timeout: 10_000 });
  expect((await arrived()).map(({ idempotency_key }) => idempotency_key)).toEqual([
    `${id}.${endpoint}.1`,
    `${id}.${endpoint}`,
  ]);
  expect(await copy()).toEqual(before);
});

test("a ping, a test and reads arrive and change nothing", async () => {
  const before = await copy();
  expect((await call("POST", `/endpoint/${endpoint}/ping`)).status).toBe(202);
  // The example's todo is not there, and must not be after it.
  const example = await call("POST", `/endpoint/${endpoint}/test`, { type: "created" });
  expect(example.status).toBe(202);
  await call("GET", `/todo?endpoint=${endpoint}`);
  await call("GET", `/todo/424242?endpoint=${endpoint}`);
  const arrived = async () =>
    (await deliveries())
      .filter(({ status }) => status === "Success")
      .map(({ body }) => JSON.parse(body) as { event: string; test?: true });
  const expected = expect.arrayContaining(
    [{ event: "ping" }, { event: "retrieved" }, { event: "failure" }]
      .concat([{ event: "created", test: true } as never])
      .map((one) => expect.objectContaining(one)),
  );
  await vi.waitFor(async () => expect(await arrived()).toEqual(expected), { timeout: 10_000 });
  expect(await copy()).toEqual(before);
});

test("the answer to a ping can be read by a client that accepts gzip, as Convoy does", async () => {
  const body = JSON.stringify({ event: "ping", event_id: "p" });
  const headers = { "Accept-Encoding": "gzip", "X-Convoy-Signature": advanced([SECRET], body) };
  const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
    http
      .request(receiverUrl.href, { method: "POST", headers }, resolve)
      .on("error", reject)
      .end(body);
  });
  const zipped = answer.headers["content-encoding"] === "gzip";
  // An empty body with this header, as a 204 gets here, ends in an error.
  const read = await text(zipped ? answer.pipe(createGunzip()) : answer);
  expect([answer.statusCode, read]).toEqual([200, '{"result":"ignored"}']);
});

test("changes during a pause are held, and arrive after it", async () => {
  expect((await call("POST", `/endpoint/${endpoint}/pause`)).status).toBe(200);
  const before = await copy();
  await change(400);
  const held = await call<{ data: unknown[] }>("GET", "/delivery?status=held");
  // 8 creates, 8 updates and 4 deletes at least; an update that comes after a delete is a 404.
  expect(held.body.data.length).toBeGreaterThanOrEqual(20);
  expect(await copy()).toEqual(before);
  expect((await call("POST", `/endpoint/${endpoint}/activate`)).status).toBe(200);
  await product.getWorker().scheduled({ cron: "* * * * *", scheduledTime: new Date() });
  await converged();
});

test("a receiver with the old secret alone keeps up while a rotation overlaps", async () => {
  const rotated = await call("POST", `/endpoint/${endpoint}/rotate-secret`);
  expect(rotated.status).toBe(200);
  expect(rotated.body.secret).not.toBe(SECRET);
  await change(500);
  await converged();
});
