/** The routes under /endpoint, with Convoy well: what is created, shown, changed, sent and removed. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Bindings } from "../../../src/settings.ts";
import { atConvoy, differencesOf, listAtConvoy, records } from "../../support/cut-worker.ts";
import { recording, withConvoy } from "../../support/operations.ts";
import {
  call,
  cron,
  deliveries,
  foreignEndpoint,
  logged,
  newEndpoint,
  newEnv,
  state,
} from "../../support/worker.ts";

const HOOK = {
  name: "Todo endpoint",
  description: "Endpoint for todo API.",
  http_timeout: "10s",
  url: "https://webhook.site/40984a4e-7b36-41fb-a234-9c2006bac8b5",
};
const KEY = "a value that nobody may see";

let env: Bindings;
beforeEach(() => {
  for (const method of ["log", "warn", "error"] as const) {
    vi.spyOn(console, method).mockImplementation(() => {});
  }
  env = newEnv();
});

const create = (more: object = {}) => call(env, "POST", "/endpoint", { ...HOOK, ...more });
const made = async (more: object = {}) => String((await create(more)).body["Endpoint ID"]);
const there = (id: string) => atConvoy<Record<string, unknown>>(env, "GET", `/endpoints/${id}`);

test("the tutorial's POST makes endpoint, subscription and record, and returns the secret this once", async () => {
  const { status, headers, body } = await create();
  const id = body["Endpoint ID"];
  expect(status).toBe(201);
  expect(headers.get("Location")).toBe(`/endpoint/${id}`);
  expect(body).toEqual({
    "Endpoint ID": expect.any(String),
    endpoint: {
      ...{ id, name: HOOK.name, url: HOOK.url, description: HOOK.description, http_timeout: 10 },
      ...{ event_types: null, header_names: [], rate_limit: null, status: "active" },
      ...{ created_at: expect.any(String), updated_at: expect.any(String) },
    },
    secret: expect.stringMatching(/^whsec_.{20}/),
  });
  expect(await differencesOf(env)).toEqual([]);
  expect(await there(id)).toMatchObject({ owner_id: "default", secrets: [{ value: body.secret }] });
  expect(JSON.stringify(await records(env))).not.toContain(body.secret);
  expect((await call(env, "GET", `/endpoint/${id}`)).body).toEqual(body.endpoint);
  expect((await call(env, "GET", "/endpoint")).body).toEqual({ data: [body.endpoint] });
});

test.each([
  ["1", 1],
  [1, 1],
  ["10s", 10],
  ["1m", 60],
  [undefined, 10],
])(
  "http_timeout %j is sent as %d seconds; shown is what Convoy makes of it",
  async (http_timeout, seconds) => {
    const sent: unknown[] = [];
    env = withConvoy(env, async (request) => {
      if (/\/endpoints$/.test(request.url)) sent.push(await request.clone().json());
      return fetch(request);
    });
    const { body } = await create({ http_timeout });
    expect(sent).toMatchObject([{ http_timeout: seconds }]);
    expect(body.endpoint).toMatchObject({ http_timeout: 10 });
    expect(body.endpoint.pending).toBeUndefined();
  },
);

test.each([
  [{ http_timeout: "61s" }, "http_timeout"],
  [{ http_timeout: 1.5 }, "http_timeout"],
  [{ event_types: [] }, "event_types"],
  [{ event_types: ["created", "created"] }, "event_types"],
  [{ event_types: ["unheard-of"] }, "event_types"],
  [{ headers: { A: "1", B: "2" } }, "headers"],
  [{ headers: { Host: "x" } }, "headers"],
  [{ headers: { "content-type": "x" } }, "headers"],
  [{ headers: { "X-Convoy-Signature": "x" } }, "headers"],
  [{ headers: { "Transfer-Encoding": "x" } }, "headers"],
  [{ headers: { "X\nY": "x" } }, "headers"],
  [{ headers: { "X-Key": "a\r\nb" } }, "headers"],
  [{ headers: { "X-Key": "" } }, "headers"],
  [{ rate_limit: { requests: 0, per_s: 1 } }, "rate_limit.requests"],
  [{ rate_limit: { requests: 1, per_s: 3_601 } }, "rate_limit.per_s"],
  [{ rate_limit: { requests: 1 } }, "rate_limit.per_s"],
  [{ status: "paused" }, ""],
])(
  "%j is a 400 that names the field, in POST and in PUT, without a call to Convoy",
  async (bad, path) => {
    const id = await made();
    const watched = recording(env);
    for (const [method, url] of [
      ["POST", "/endpoint"],
      ["PUT", `/endpoint/${id}`],
    ] as const) {
      const reply = await call(watched.env, method, url, { ...HOOK, ...bad });
      expect(reply).toMatchObject({ status: 400, body: { details: [{ path }] } });
    }
    expect(watched.operations.filter(({ on }) => on === "Convoy")).toEqual([]);
  },
);

describe("event_types", () => {
  test("are applied when an event is committed", async () => {
    const id = await made({ event_types: ["deleted"] });
    const { body } = await call(env, "POST", "/todo", { item: "x" });
    await call(env, "DELETE", `/todo/${body.todo.id}`);
    expect((await logged(env)).map(({ type }) => type)).toEqual(["deleted"]);
    await call(env, "PUT", `/endpoint/${id}`, { event_types: null });
    await call(env, "POST", "/todo", { item: "y" });
    expect((await logged(env)).map(({ type }) => type)).toEqual(["deleted", "created"]);
  });

  test("do not concern ping, test and an endpoint that is named", async () => {
    const id = await made({ event_types: ["deleted"] });
    expect((await call(env, "POST", `/endpoint/${id}/ping`)).status).toBe(202);
    expect((await call(env, "POST", `/endpoint/${id}/test`, { type: "updated" })).status).toBe(202);
    expect((await call(env, "POST", `/todo?endpoint=${id}`, { item: "x" })).status).toBe(201);
    expect((await logged(env)).map(({ type }) => type)).toEqual(["ping", "updated", "created"]);
  });

  test("are only here: Convoy's subscription takes all, and is not asked for a change", async () => {
    const id = await made({ event_types: ["deleted"] });
    const [{ filter_config } = { filter_config: null }] = (await listAtConvoy(
      env,
      "subscriptions",
    )) as unknown as { filter_config: unknown }[];
    expect(filter_config).toMatchObject({ event_types: ["*"] });
    const reply = await call(env, "PUT", `/endpoint/${id}`, { event_types: ["created"] });
    expect(reply).toMatchObject({ status: 200, body: { event_types: ["created"] } });
  });
});

describe("headers", () => {
  test("are sent with each delivery; the value is in no answer, no line of the log, not in D1", async () => {
    const said: unknown[] = [];
    for (const method of ["log", "warn", "error"] as const) {
      vi.spyOn(console, method).mockImplementation((...line) => void said.push(line));
    }
    const answers: unknown[] = [];
    const ask = async (...given: [string, string, unknown?]) => {
      const reply = await call(env, ...given);
      answers.push(reply.body);
      return reply;
    };
    const { body } = await ask("POST", "/endpoint", { ...HOOK, headers: { "X-Api-Key": KEY } });
    const id = body["Endpoint ID"];
    expect(body.endpoint.header_names).toEqual(["X-Api-Key"]);
    await ask("POST", "/todo", { item: "x" });
    await vi.waitFor(async () => {
      const [delivery] = await deliveries(env);
      expect(delivery).toMatchObject({ status: "Success" });
      expect(JSON.stringify(delivery)).toContain(KEY);
    });
    const [row] = await logged(env);
    await ask("GET", `/delivery/${row?.event_id}.${id}`);
    await ask("GET", "/delivery");
    await ask("GET", "/endpoint");
    await ask("PUT", `/endpoint/${id}`, { headers: { "X-Api-Key": KEY }, name: "n" });
    await ask("POST", `/endpoint/${id}/rotate-secret`);
    await ask("POST", "/endpoint/sync");
    await cron(env);
    for (const shown of [answers, said, await state(env)]) {
      expect(JSON.stringify(shown)).not.toContain(KEY);
    }
  });

  test("that a PUT does not mention stay, {} removes them", async () => {
    const id = await made({ headers: { "X-Api-Key": KEY } });
    await call(env, "PUT", `/endpoint/${id}`, { name: "n" });
    expect(await there(id)).toMatchObject({ authentication: { api_key: { header_value: KEY } } });
    const other = { headers: { "X-Other": "o" } };
    const changed = await call(env, "PUT", `/endpoint/${id}`, other);
    expect(changed).toMatchObject({ status: 200, body: { header_names: ["X-Other"] } });
    const removed = await call(env, "PUT", `/endpoint/${id}`, { headers: {} });
    expect(removed).toMatchObject({ status: 200, body: { header_names: [] } });
    expect((await there(id)).authentication).not.toHaveProperty("type");
  });
});

test("rate_limit is Convoy's and the record's; null removes it", async () => {
  const rate_limit = { requests: 5, per_s: 60 };
  const { body } = await create({ rate_limit });
  const id = body["Endpoint ID"];
  expect(body.endpoint.rate_limit).toEqual(rate_limit);
  expect(await there(id)).toMatchObject({ rate_limit: 5, rate_limit_duration: 60 });
  await call(env, "PUT", `/endpoint/${id}`, { name: "n" });
  expect(await there(id)).toMatchObject({ rate_limit: 5, rate_limit_duration: 60 });
  const reply = await call(env, "PUT", `/endpoint/${id}`, { rate_limit: null });
  expect(reply).toMatchObject({ status: 200, body: { rate_limit: null } });
  expect(await there(id)).toMatchObject({ rate_limit: 0, rate_limit_duration: 0 });
});

test.each(["ping", "test"])(
  "%s of an endpoint that is not active is a 409, and writes nothing",
  async (what) => {
    const id = await made();
    await call(env, "POST", `/endpoint/${id}/pause`);
    const reply = await call(env, "POST", `/endpoint/${id}/${what}`, { type: "created" });
    expect(reply).toMatchObject({
      status: 409,
      body: { error: expect.stringMatching(/not active/) },
    });
    expect((await state(env)).events).toEqual([]);
  },
);

test("a test of a type that is not declared is a 400", async () => {
  const reply = await call(env, "POST", `/endpoint/${await made()}/test`, { type: "unheard-of" });
  expect(reply).toMatchObject({ status: 400, body: { details: [{ path: "type" }] } });
});

describe("DELETE", () => {
  test("is 200 at once, also in an outage: not found, not counted, what it has not got is dead", async () => {
    env = { ...env, ENDPOINTS_MAX: "1" };
    const id = await made();
    await call(env, "POST", `/endpoint/${id}/pause`);
    await call(env, "POST", "/todo", { item: "x" });
    const down = withConvoy(env, () => Promise.reject(new TypeError("fetch failed")));
    const reply = await call(down, "DELETE", `/endpoint/${id}`);
    expect(reply).toMatchObject({ status: 200, body: { data: "Endpoint ID has been removed." } });
    expect((await call(env, "GET", `/endpoint/${id}`)).status).toBe(404);
    expect((await call(env, "DELETE", `/endpoint/${id}`)).status).toBe(404);
    expect(await logged(env)).toMatchObject([
      { status: "dead", error: expect.stringMatching(/removed/) },
    ]);
    expect((await create()).status).toBe(201);
  });

  test("is carried out at Convoy in the background", async () => {
    const id = await made();
    await call(env, "DELETE", `/endpoint/${id}`);
    expect(await listAtConvoy(env, "endpoints")).toEqual([]);
    expect(await records(env)).toMatchObject([{ id, wanted: "removed", due_at: null }]);
  });

  test("of an endpoint that Convoy no longer has succeeds", async () => {
    const id = await made();
    await atConvoy(env, "DELETE", `/endpoints/${id}`);
    expect((await call(env, "DELETE", `/endpoint/${id}`)).status).toBe(200);
    expect(await records(env)).toMatchObject([{ wanted: "removed", due_at: null, error: null }]);
  });
});

test("another owner's endpoint is a 404 on every route", async () => {
  const id = await foreignEndpoint(env);
  const before = await state(env);
  for (const [method, rest, body] of [
    ["GET", ""],
    ["PUT", "", { name: "n" }],
    ["DELETE", ""],
    ["POST", "/pause"],
    ["POST", "/activate"],
    ["POST", "/ping"],
    ["POST", "/test", { type: "created" }],
    ["POST", "/rotate-secret"],
  ] as const) {
    expect((await call(env, method, `/endpoint/${id}${rest}`, body)).status).toBe(404);
  }
  expect(await state(env)).toEqual(before);
});

test("health: since when deliveries fail, with the last answer; how many are held", async () => {
  const id = await newEndpoint(env);
  await env.DB.prepare(
    "UPDATE endpoint SET failing_since = 1000, failing_error = 'It answered 500.'",
  ).run();
  await call(env, "POST", `/endpoint/${id}/pause`);
  await call(env, "POST", "/todo", { item: "x" });
  expect((await call(env, "GET", `/endpoint/${id}`)).body).toMatchObject({
    ...{ status: "paused", failing_since: "1970-01-01T00:00:01.000Z" },
    ...{ failing_error: "It answered 500.", held: 1 },
  });
});
