// Whole: the built Worker, the local Convoy and the example receiver, over HTTP. What the API holds, the copy holds.
import path from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createTestHarness } from "wrangler";
import { type ServedConvoy, serveConvoy } from "../../local/convoy/server.ts";
import { RECEIVER, SECRET } from "../support/receiver.ts";

const root = path.resolve(import.meta.dirname, "../..");
const receiver = createTestHarness({
  workers: [
    { configPath: path.join(RECEIVER, "wrangler.toml"), secrets: { WEBHOOK_SECRET: SECRET } },
  ],
});
const product = createTestHarness();
let convoy: ServedConvoy;
let copyUrl: URL;
let endpoint: string;

beforeAll(async () => {
  convoy = await serveConvoy({ port: 0, retry: { intervalMs: 50 } });
  ({ url: copyUrl } = await receiver.listen());
  await receiver.getWorker().applyD1Migrations("DB");
  await product.update({
    workers: [
      {
        configPath: path.join(root, "wrangler.toml"),
        vars: { AUTH: "open", CONVOY_BASE_URL: `${convoy.url}/api` },
        secrets: { CONVOY_API_KEY: "local", CONVOY_PROJECT_ID: "local" },
      },
    ],
  });
  await product.listen();
  await product.getWorker().applyD1Migrations("DB");
  const made = await call("POST", "/endpoint", {
    name: "receiver",
    url: copyUrl.href,
    secret: SECRET,
  });
  expect(made.status).toBe(201);
  endpoint = made.json["Endpoint ID"] as string;
});

afterAll(async () => {
  await product.close();
  await convoy?.close();
  await receiver.close();
});

type Answer = { status: number; eventId: string | null; json: Record<string, unknown> };

/** Calls the product. */
async function call(method: string, route: string, body?: unknown): Promise<Answer> {
  const answer = await product.fetch(route, {
    method,
    ...(body === undefined
      ? {}
      : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
  });
  const json = (await answer.json()) as Record<string, unknown>;
  return { status: answer.status, eventId: answer.headers.get("X-Event-Id"), json };
}

const todos = async () => (await call("GET", "/todo")).json.data;
const copy = async () =>
  ((await (await fetch(new URL("/todo", copyUrl))).json()) as { data: unknown }).data;

/** The copy, once it has what the API has; what is missing otherwise. */
const converged = () =>
  vi.waitFor(async () => expect(await copy()).toEqual(await todos()), {
    timeout: 20_000,
    interval: 50,
  });

/** What Convoy says of its deliveries, newest first. */
async function deliveries(): Promise<
  { idempotency_key: string; status: string; body: string; attempts: number }[]
> {
  const answer = await fetch(`${convoy.url}/inbox/deliveries?limit=10000`);
  return ((await answer.json()) as { data: Awaited<ReturnType<typeof deliveries>> }).data;
}

async function faults(set: object): Promise<void> {
  const answer = await fetch(`${convoy.url}/inbox/faults`, {
    method: "PUT",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(set),
  });
  expect(answer.ok).toBe(true);
  await answer.body?.cancel();
}

/** Eight todos made, changed and partly removed, all at once. */
async function change(from: number): Promise<void> {
  const ids = Array.from({ length: 8 }, (_, i) => from + i);
  await Promise.all(ids.map((id) => call("POST", "/todo", { id, item: `todo ${id} é 😀` })));
  await Promise.all(
    ids.flatMap((id) => [
      call("PUT", `/todo/${id}`, { completed: true }),
      call("PUT", `/todo/${id}`, { item: `changed ${id}` }),
      ...(id % 2 === 0 ? [call("DELETE", `/todo/${id}`)] : []),
    ]),
  );
}

test("what is made, changed and removed at once arrives in the copy", async () => {
  await change(100);
  await converged();
  expect(await copy()).toHaveLength(4);
});

test("a receiver that fails half of the time comes to hold the list all the same", async () => {
  await faults({ deliveries: { status: 500, rate: 0.5 } });
  await change(200);
  await converged();
  await faults({});
  expect((await deliveries()).some(({ attempts }) => attempts > 1)).toBe(true);
});

test("a replay arrives again with another key and changes nothing", async () => {
  const made = await call("POST", "/todo", { id: 300, item: "replayed" });
  await call("PUT", "/todo/300", { item: "later" });
  await converged();
  const before = await copy();
  const arrived = async () =>
    (await deliveries()).filter(({ body }) => body.includes(made.eventId!));
  await vi.waitFor(async () => expect(await arrived()).toHaveLength(1));
  await vi.waitFor(async () => {
    expect((await call("POST", `/event/${made.eventId}/replay`)).status).toBe(202);
  });
  await vi.waitFor(async () => expect((await arrived()).length).toBeGreaterThan(1), {
    timeout: 10_000,
  });
  await vi.waitFor(async () => {
    for (const { status } of await arrived()) expect(status).toBe("Success");
  });
  expect(new Set((await arrived()).map(({ idempotency_key }) => idempotency_key)).size).toBe(2);
  expect(await copy()).toEqual(before);
});

test("a ping and reads arrive and change nothing", async () => {
  const before = await copy();
  expect((await call("POST", `/endpoint/${endpoint}/ping`)).status).toBe(202);
  await call("GET", `/todo?endpoint=${endpoint}`);
  await call("GET", `/todo/424242?endpoint=${endpoint}`);
  await vi.waitFor(
    async () => {
      const events = (await deliveries())
        .filter(({ status }) => status === "Success")
        .map(({ body }) => JSON.parse(body).event);
      expect(events).toEqual(expect.arrayContaining(["ping", "retrieved", "failure"]));
    },
    { timeout: 10_000 },
  );
  expect(await copy()).toEqual(before);
});

test("what happens during a pause arrives after it", async () => {
  expect((await call("POST", `/endpoint/${endpoint}/pause`)).status).toBe(200);
  const before = await copy();
  await change(400);
  const discarded = async () =>
    (await deliveries()).filter(({ status }) => status === "Discarded").length;
  await vi.waitFor(async () => expect(await discarded()).toBeGreaterThanOrEqual(20), {
    timeout: 10_000,
  });
  // 8 creates, 8 updates and 4 deletes at least; an update that comes after a delete is a 404.
  expect(await copy()).toEqual(before);
  expect((await call("POST", `/endpoint/${endpoint}/activate`)).status).toBe(200);
  const cron = { cron: "* * * * *", scheduledTime: new Date() };
  await product.getWorker().scheduled(cron);
  await converged();
});

test("a receiver that has the old secret alone goes on while a rotated one overlaps", async () => {
  const rotated = await call("POST", `/endpoint/${endpoint}/rotate-secret`);
  expect(rotated.status).toBe(200);
  expect(rotated.json.secret).not.toBe(SECRET);
  await change(500);
  await converged();
});
