/** Whatever is missing or broken is a 503 that names the fix; no secret is ever shown. */
import { describe, expect, test, vi } from "vitest";
import type { Bindings } from "../../src/settings.ts";
import { failing, type Operation } from "../support/operations.ts";
import {
  accepted,
  call,
  cron,
  letTimePass,
  log,
  logged,
  newEndpoint,
  newEnv,
  state,
} from "../support/worker.ts";

const HOOK = { name: "Hook", url: "https://receiver.example/" };
/** The path of a delivery that nobody has. */
const DELIVERY = "/delivery/0193f0a0-0000-7000-8000-000000000000.x";
const changes: [string, string, unknown][] = [
  ["POST", "/todo", { item: "x" }],
  ["POST", "/todo", { id: 2, item: "x" }],
  ["PUT", "/todo/1", { item: "x" }],
  ["DELETE", "/todo/1", undefined],
];

const WITHOUT_TABLES: [string, string, unknown][] = [
  ...changes,
  ["GET", "/endpoint", undefined],
  ["GET", "/endpoint/x", undefined],
  ["POST", "/endpoint", HOOK],
  ["POST", "/endpoint/x/ping", undefined],
  ["POST", "/endpoint/x/test", { type: "created" }],
  ["GET", "/event", undefined],
  ["GET", "/event/x", undefined],
  ["GET", "/event/summary", undefined],
  ["POST", "/event/x/replay", undefined],
  ["GET", "/delivery", undefined],
  ["GET", "/delivery/poll", undefined],
  ["GET", DELIVERY, undefined],
  ["POST", `${DELIVERY}/resend`, undefined],
  ["POST", "/delivery/resend", {}],
];
test("without tables every route is a 503 that names the command to run", async () => {
  const env = newEnv();
  await env.DB.exec(
    "DROP VIEW outbox_endpoint; DROP TABLE event; DROP TABLE delivery; DROP TABLE endpoint",
  );
  for (const [method, path, sent] of WITHOUT_TABLES) {
    const { status, body, headers } = await call(env, method, path, sent);
    expect({ method, path, status, body }).toMatchObject({
      ...{ method, path, status: 503 },
      body: { error: expect.stringContaining("npx wrangler d1 migrations apply DB --local") },
    });
    expect(headers.get("Retry-After")).toMatch(/^\d+$/);
    expect(headers.get("X-Request-Id")).toBeTruthy();
  }
  expect((await env.KV.list()).keys).toEqual([]);
  expect(await accepted(env)).toEqual([]);
});

describe("a missing or wrong setting is a 503 that names it", () => {
  const cases: [string, Record<string, string | undefined>, string, string, RegExp][] = [
    ["no way to check tokens", { AUTH: "jwt" }, "GET", "/todo", /AUTH_SECRET/],
    ["AUTH empty", { AUTH: "" }, "GET", "/todo", /AUTH_SECRET/],
    ["AUTH misspelt", { AUTH: "opne" }, "GET", "/todo", /AUTH must be/],
    ["no key", { CONVOY_API_KEY: undefined }, "POST", "/endpoint", /CONVOY_API_KEY/],
    ["no project", { CONVOY_PROJECT_ID: "" }, "POST", "/endpoint", /CONVOY_PROJECT_ID/],
    ["no URL", { CONVOY_BASE_URL: "nonsense" }, "POST", "/endpoint", /CONVOY_BASE_URL/],
    ["KV not bound", { KV: undefined }, "GET", "/todo", /KV namespace "KV"/],
    ["D1 not bound", { DB: undefined }, "GET", "/todo", /D1 database "DB"/],
  ];
  test.each(cases)("%s", async (_, settings, method, path, says) => {
    const env = { ...newEnv(), ...settings } as Bindings;
    const reply = await call(env, method, path, method === "POST" ? HOOK : undefined);
    expect(reply).toMatchObject({ status: 503, body: { error: expect.stringMatching(says) } });
    expect(reply.headers.get("Retry-After")).toMatch(/^\d+$/);
    expect((await newEnv().DB.prepare("SELECT * FROM endpoint").all()).results).toEqual([]);
  });
});

describe("while KV is down", () => {
  const isRead = ({ on, what }: Operation) => on === "KV" && /get|list/.test(what);
  const isWrite = ({ on, what }: Operation) => on === "KV" && /put|delete/.test(what);
  const error = new Error("KV GET failed: 500 Internal Server Error");

  test.each([
    ["GET", "/todo", undefined],
    ["GET", "/todo/1", undefined],
    ["POST", "/todo", { id: 2, item: "x" }],
    ["PUT", "/todo/1", { item: "x" }],
    ["DELETE", "/todo/1", undefined],
  ])("%s %s is a 503 and changes nothing", async (method, path, body) => {
    const env = newEnv();
    await call(env, "POST", "/todo", { id: 1, item: "x" });
    const before = await state(env);
    const reply = await call(failing(env, isRead, { error }), method, path, body);
    expect(reply).toMatchObject({ status: 503, body: { error: expect.stringContaining("KV") } });
    expect(reply.headers.get("Retry-After")).toMatch(/^\d+$/);
    expect(reply.body.error).not.toContain("500");
    expect(await state(env)).toEqual(before);
  });

  test.each(changes)(
    "%s %s succeeds if only the put fails, and KV catches up later",
    async (method, path, body) => {
      const env = newEnv();
      await newEndpoint(env);
      await call(env, "POST", "/todo", { id: 1, item: "old" });
      const reply = await call(failing(env, isWrite, { error }), method, path, body);
      expect(reply.status).toBeLessThan(300);
      expect((await log(env)).at(-1)).toMatchObject({ projected: 0 });
      // Whether KV has it is nothing to the receivers.
      expect((await logged(env)).at(-1)).toMatchObject({ status: "sending" });
      await letTimePass(env);
      await cron(env);
      const row = (await log(env)).at(-1);
      expect(row).toMatchObject({ projected: 1, id: reply.headers.get("X-Event-Id") });
      const read = await call(env, "GET", `/todo/${row?.resource_id}`);
      expect(read.status).toBe(method === "DELETE" ? 404 : 200);
      if (row?.data) expect(read.body).toEqual(JSON.parse(row.data));
    },
  );

  test("a put that fails once is retried without waiting for the cron", async () => {
    const env = newEnv();
    let puts = 0;
    const once = failing(env, (one) => isWrite(one) && ++puts === 1, {
      error: new Error("KV PUT failed: 429 Too Many Requests"),
    });
    await call(once, "POST", "/todo", { id: 1, item: "x" });
    expect(puts).toBe(2);
    expect(await log(env)).toMatchObject([{ projected: 1 }]);
    expect((await call(env, "GET", "/todo/1")).status).toBe(200);
  });
});

describe("while D1 is down", () => {
  const down = (env: Bindings) => failing(env, ({ on }) => on === "D1");
  test.each([
    ["GET", "/endpoint", undefined],
    ["POST", "/endpoint", HOOK],
    ["POST", "/endpoint/x/ping", undefined],
    ["GET", "/event", undefined],
    ["GET", "/delivery", undefined],
    ["GET", "/delivery/poll", undefined],
    ["POST", "/delivery/resend", {}],
    ["POST", "/todo", { item: "x" }],
  ])("%s %s is a 503", async (method, path, body) => {
    const reply = await call(down(newEnv()), method, path, body);
    expect(reply).toMatchObject({
      status: 503,
      body: { error: expect.stringMatching(/database/) },
    });
  });

  test("todos can still be read, even with ?endpoint", async () => {
    const env = newEnv();
    await call(env, "POST", "/todo", { id: 1, item: "x" });
    expect((await call(down(env), "GET", "/todo/1?endpoint=x")).status).toBe(200);
    expect((await call(down(env), "GET", "/todo?endpoint=x")).body.data).toHaveLength(1);
  });
});

test("an unforeseen error is a 500 that shows no internals, and is logged with its path", async () => {
  const said = vi.spyOn(console, "error").mockImplementation(() => {});
  const KV = { get: () => "not json", list: () => null } as unknown as KVNamespace;
  const reply = await call({ ...newEnv(), KV }, "GET", "/todo");
  expect(reply.status).toBe(500);
  expect(Object.keys(reply.body)).toEqual(["error"]);
  expect(reply.body.error).not.toMatch(/TypeError|null|list/);
  expect(reply.headers.get("X-Request-Id")).toBeTruthy();
  expect(JSON.parse(String(said.mock.calls[0]?.[0]))).toMatchObject({
    level: "error",
    path: "/todo",
    request_id: reply.headers.get("X-Request-Id"),
  });
});

test("an endpoint's secret is in the answer to its creation and nowhere else", async () => {
  const lines: unknown[] = [];
  for (const level of ["log", "info", "warn", "error", "debug"] as const) {
    vi.spyOn(console, level).mockImplementation((...line) => void lines.push(line));
  }
  const env = newEnv();
  const secret = "whsec_never_to_be_seen_again";
  const reply = await call(env, "POST", "/endpoint", { ...HOOK, secret });
  expect(reply.body.secret).toBe(secret);
  const made = await call(env, "POST", "/endpoint", HOOK);
  expect(made.body.secret.length).toBeGreaterThan(10);
  const id = reply.body["Endpoint ID"];
  await call(env, "POST", `/todo?endpoint=${id}`, { id: 1, item: "x" });
  const seen = [
    await call(env, "GET", "/endpoint"),
    await call(env, "GET", `/endpoint/${id}`),
    await call(env, "PUT", `/endpoint/${id}`, { name: "y" }),
    await call(env, "GET", "/delivery"),
    await call(env, "GET", "/event"),
    await call(env, "POST", "/endpoint", { ...HOOK, secret, url: 7 }),
  ].map(({ body }) => body);
  await cron(env);
  const everything = JSON.stringify([seen, lines, await state(env)]);
  expect(everything).not.toContain(secret);
  expect(everything).not.toContain(made.body.secret);
});
