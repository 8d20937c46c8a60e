/** Bad input: always an error of the same shape, and nothing changes. */
import { expect, test } from "vitest";
import { recording } from "../support/operations.ts";
import { call, newEndpoint, newEnv, type Reply, state } from "../support/worker.ts";

type Case = {
  name: string;
  method: string;
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
  status?: number;
  /** Paths of the fields that the details name. */
  fields?: string[];
  /** Part of the error's text. */
  says?: string | RegExp;
};

const post = (name: string, body: unknown, more: Partial<Case> = {}): Case => ({
  name,
  method: "POST",
  path: "/todo",
  body,
  ...more,
});
const get = (path: string, fields: string[]): Case => ({ name: path, method: "GET", path, fields });
const ITEM = { item: "x" };
const ROCKET = "🚀"; // one code point, two UTF-16 units

const bodies: Case[] = [
  ...["{", "", "{'item':'x'}", '{"item":"x"}}', "\u0000", "undefined"].map((text) =>
    post(`the body ${JSON.stringify(text)}`, text, { says: /JSON/ }),
  ),
  ...["[]", "null", "1", '"x"', "true"].map((text) =>
    post(`the body ${text}`, text, { fields: [""] }),
  ),
  post("no item", {}, { fields: ["item"] }),
  ...[null, 1, true, [], {}].map((item) =>
    post(`item ${JSON.stringify(item)}`, { item }, { fields: ["item"] }),
  ),
  post("an empty item", { item: "" }, { fields: ["item"] }),
  post("an item of 2,001 characters", { item: "x".repeat(2_001) }, { fields: ["item"] }),
  post("an item of 2,001 code points", { item: ROCKET.repeat(2_001) }, { fields: ["item"] }),
  ...[-1, 1.5, 2 ** 53, 1e300, "1", null, true, [1]].map((id) =>
    post(`the id ${JSON.stringify(id)}`, { id, ...ITEM }, { fields: ["id"] }),
  ),
  ...["true", 1, 0, null].map((completed) =>
    post(
      `completed ${JSON.stringify(completed)}`,
      { ...ITEM, completed },
      { fields: ["completed"] },
    ),
  ),
  post("an unknown field", { ...ITEM, owner: "x" }, { fields: [""], says: '"owner"' }),
  post("__proto__", '{"item":"x","__proto__":{"a":1}}', { fields: [""] }),
  post("two bad fields", { id: -1, item: "" }, { fields: ["id", "item"] }),
];

const patches: Case[] = [
  { name: "an empty patch", body: {}, fields: [""], says: "send item, completed or both" },
  { name: "a null item", body: { item: null }, fields: ["item"] },
  { name: "another id", body: { id: 2 }, fields: [""] },
  { name: "an unknown field", body: { item: "x", done: true }, fields: [""] },
  { name: "a list", body: "[]", fields: [""] },
  { name: "bad JSON", body: "{", says: /JSON/ },
].map((one) => ({ ...one, name: `PUT with ${one.name}`, method: "PUT", path: "/todo/1" }));

const WRONG_IDS = ["-1", "1.5", "01", "1e3", "abc", "9007199254740992", "99999999999999999", "%20"];
const paths: Case[] = WRONG_IDS.flatMap((id) => [
  get(`/todo/${id}`, ["id"]),
  {
    name: `PUT /todo/${id}`,
    method: "PUT",
    path: `/todo/${id}`,
    body: ITEM,
    fields: ["id"],
  },
  { name: `DELETE /todo/${id}`, method: "DELETE", path: `/todo/${id}`, fields: ["id"] },
]);

const LIMITS = ["0", "-1", "1001", "1.5", "x", ""];
const queries: Case[] = [
  ...LIMITS.map((limit) => get(`/todo?limit=${limit}`, ["limit"])),
  ...LIMITS.map((limit) => get(`/endpoint?limit=${limit}`, ["limit"])),
  get("/todo?cursor=", ["cursor"]),
  get(`/todo?cursor=${"x".repeat(1_025)}`, ["cursor"]),
  get("/todo?endpoint=", ["endpoint"]),
  get(`/todo/1?endpoint=${"x".repeat(256)}`, ["endpoint"]),
  post("POST with an empty endpoint", ITEM, { path: "/todo?endpoint=", fields: ["endpoint"] }),
  ...["/event", "/delivery"].flatMap((list) => [
    ...LIMITS.map((limit) => get(`${list}?limit=${limit}`, ["limit"])),
    get(`${list}?status=done`, ["status"]),
    get(`${list}?state=dead`, [""]),
    get(`${list}?type=`, ["type"]),
    get(`${list}?endpoint=`, ["endpoint"]),
    get(`${list}?owner=alice`, ["owner"]),
    ...["x", "0", "1e3", "-1", "1.", "9".repeat(17)].map((cursor) =>
      get(`${list}?cursor=${cursor}`, ["cursor"]),
    ),
    ...["yesterday", "2026-01-31", "2026-01-31T12:00:00", "1700000000000"].flatMap((time) => [
      get(`${list}?since=${time}`, ["since"]),
      get(`${list}?until=${time}`, ["until"]),
    ]),
  ]),
  get("/delivery/poll?after=-1", ["after"]),
  ...["", "x", "1,", ",1", "1.e,x", "0", "1e3", "1,,2"].map((watch) =>
    get(`/delivery/poll?watch=${watch}`, ["watch"]),
  ),
  get("/delivery/poll?status=done", ["status"]),
  get("/endpoint?failing=yes", ["failing"]),
  get("/endpoint?owner=alice", ["owner"]),
];

const JSON_TYPE = "application/json";
const TYPES = ["", "text/plain", "text/json", "application/x-www-form-urlencoded", "json"];
const types: Case[] = [
  ...TYPES.flatMap((type) =>
    [
      { method: "POST", path: "/todo" },
      { method: "PUT", path: "/todo/1" },
      { method: "POST", path: "/endpoint" },
    ].map((one) => ({
      ...one,
      name: `${one.method} ${one.path} with content type "${type}"`,
      body: '{"item":"x"}',
      headers: { "content-type": type },
      status: 415,
      says: JSON_TYPE,
    })),
  ),
];

const routes: Case[] = [
  ...["/todos", "/todo/1/2", "/favicon.ico"].map((path) => ({
    name: `GET ${path}`,
    method: "GET",
    path,
    status: 404,
    says: path,
  })),
];

const URLS = [
  "ftp://receiver.example/",
  "receiver.example",
  "javascript:alert(1)",
  "https://",
  "https://user:password@receiver.example/",
  "https://receiver.example/#part",
  `https://receiver.example/${"x".repeat(2_048)}`,
  7,
  null,
];
const TIMEOUTS = [0, -1, 1.5, 3_601, "0s", "10", "1.5s", "10 s", "s", "-1s", "61m", "2h", null, []];
const HOOK = { name: "Hook", url: "https://receiver.example/" };
const endpoint = (name: string, body: unknown, fields: string[]): Case[] => [
  { name: `POST /endpoint with ${name}`, method: "POST", path: "/endpoint", body, fields },
];
const endpoints: Case[] = [
  ...URLS.flatMap((url) => endpoint(`url ${String(url).slice(0, 40)}`, { ...HOOK, url }, ["url"])),
  ...TIMEOUTS.filter((timeout) => timeout !== "10").flatMap((http_timeout) =>
    endpoint(`http_timeout ${JSON.stringify(http_timeout)}`, { ...HOOK, http_timeout }, [
      "http_timeout",
    ]),
  ),
  ...endpoint("no name", { url: HOOK.url }, ["name"]),
  ...endpoint("no url", { name: "x" }, ["url"]),
  ...endpoint("an empty name", { ...HOOK, name: "" }, ["name"]),
  ...endpoint("a long name", { ...HOOK, name: "x".repeat(256) }, ["name"]),
  ...endpoint("a long description", { ...HOOK, description: "x".repeat(1_001) }, ["description"]),
  ...endpoint("an empty secret", { ...HOOK, secret: "" }, ["secret"]),
  ...endpoint("an unknown field", { ...HOOK, owner_id: "x" }, [""]),
  ...[[], "created", ["created", "created"], [7], [""], {}].flatMap((event_types) =>
    endpoint(`event_types ${JSON.stringify(event_types)}`, { ...HOOK, event_types }, [
      "event_types",
    ]),
  ),
  ...endpoint("an unknown event type", { ...HOOK, event_types: ["creatd"] }, ["event_types"]),
  ...[
    [],
    "X-A: v",
    { "X-A": "v", "X-B": "v" },
    { Host: "v" },
    { "content-type": "v" },
    { "X-Convoy-Signature": "v" },
    { "Transfer-Encoding": "v" },
    { "X A": "v" },
    { "": "v" },
    { "X-A": "" },
    { "X-A": "a\r\nB: c" },
    { "X-A": "é" },
    { "X-A": 7 },
  ].flatMap((headers) =>
    endpoint(`headers ${JSON.stringify(headers)}`, { ...HOOK, headers }, ["headers"]),
  ),
  ...[{}, { requests: 0, per_s: 1 }, { requests: 1, per_s: 3_601 }, { requests: 10_001, per_s: 1 }]
    .concat([{ requests: 1.5, per_s: 1 }, { requests: 1, per_s: 1, burst: 1 } as never])
    .flatMap((rate_limit) =>
      endpoint(`rate_limit ${JSON.stringify(rate_limit)}`, { ...HOOK, rate_limit }, ["rate_limit"]),
    ),
];

const resends: Case[] = [
  { name: "an unknown field", body: { state: "dead" }, fields: [""] },
  { name: "a status that is not lost", body: { status: "delivered" }, fields: ["status"] },
  { name: "a time without a zone", body: { since: "2026-01-31T12:00:00" }, fields: ["since"] },
  { name: "a number for a time", body: { until: 1_700_000_000 }, fields: ["until"] },
  { name: "a cursor of another list", body: { cursor: "x" }, fields: ["cursor"] },
  { name: "an endpoint that is no text", body: { endpoint: 7 }, fields: ["endpoint"] },
  { name: "a dry run that is no boolean", body: { dry_run: "yes" }, fields: ["dry_run"] },
  { name: "a list", body: "[]", fields: [""] },
].map((one) => ({
  ...{ ...one, name: `POST /delivery/resend with ${one.name}` },
  ...{ method: "POST", path: "/delivery/resend" },
}));

/** The shape that every error has. */
function expectError(reply: Reply, status: number) {
  const { error, details, data, ...rest } = reply.body;
  expect({ status: reply.status, rest }).toEqual({ status, rest: {} });
  expect(error).toEqual(expect.any(String));
  expect(error.length).toBeGreaterThan(5);
  if (data !== undefined) expect(data).toEqual(expect.any(String));
  for (const detail of details ?? []) {
    expect(detail).toEqual({ path: expect.any(String), message: expect.any(String) });
  }
  expect(reply.headers.get("X-Request-Id")).toMatch(/^[\w-]{8,}$/);
  expect(reply.headers.get("Content-Type")).toMatch(/^application\/json/);
}

/** Each is refused before Convoy is asked, and nothing changes. */
async function expectRefused(cases: Case[]) {
  const env = newEnv();
  await call(env, "POST", "/todo", { id: 1, item: "kept" });
  const before = await state(env);
  const watched = recording(env);
  for (const one of cases) {
    const { name, method, path, body, headers } = one;
    const reply = await call(watched.env, method, path, body, headers ? { headers } : {});
    expect({ name, status: reply.status }).toEqual({ name, status: one.status ?? 400 });
    expectError(reply, one.status ?? 400);
    if (one.says) expect(reply.body.error, name).toMatch(one.says);
    if (one.fields) {
      const named: string[] = reply.body.details.map((detail: { path: string }) => detail.path);
      const fields = new Set(named.map((field) => field.split(".")[0] ?? ""));
      expect({ name, fields: [...fields].sort() }).toEqual({ name, fields: one.fields });
    }
    expect({ name, state: await state(env) }).toEqual({ name, state: before });
  }
  expect(watched.operations.filter(({ on }) => on === "Convoy")).toEqual([]);
}

test.each<[what: string, cases: Case[]]>([
  ["bad bodies of a new todo are refused", bodies],
  ["bad patches of a todo are refused", patches],
  ["ids that no todo has are refused", paths],
  ["bad queries are refused", queries],
  ["bad bodies of a bulk resend are refused", resends],
  ["other content types are a 415", types],
  ["unknown paths are a 404 that names the path", routes],
  ["bad endpoints are refused", endpoints],
])("%s, and nothing changes", (_, cases) => expectRefused(cases));

test.each([
  ["PATCH", "/todo/1", "GET, PUT, DELETE"],
  ["POST", "/todo/1", "GET, PUT, DELETE"],
  ["PUT", "/todo", "GET, POST"],
  ["DELETE", "/todo", "GET, POST"],
  ["PATCH", "/endpoint/x", "GET, PUT, DELETE"],
  ["GET", "/endpoint/x/ping", "POST"],
  ["DELETE", "/event/x", "GET"],
  ["PUT", "/delivery/x", "GET"],
  ["GET", "/delivery/x/resend", "POST"],
  // "resend" and "poll" are ids, too, for the other methods.
  ["DELETE", "/delivery/resend", "GET, POST"],
  ["POST", "/health", "GET"],
])("%s %s is a 405 that allows %s", async (method, path, allowed) => {
  const watched = recording(newEnv());
  const reply = await call(watched.env, method, path);
  expectError(reply, 405);
  const allow = reply.headers.get("Allow")?.split(", ") ?? [];
  expect(allow.filter((one) => one !== "HEAD" && one !== "OPTIONS").sort()).toEqual(
    allowed.split(", ").sort(),
  );
  expect(watched.operations).toEqual([]);
});

test.each(["application/json", "application/json; charset=utf-8", "Application/JSON"])(
  "content type %s is accepted",
  async (type) => {
    const headers = { "content-type": type };
    expect((await call(newEnv(), "POST", "/todo", ITEM, { headers })).status).toBe(201);
  },
);

test.each([
  ["2,000 characters", "x".repeat(2_000)],
  ["2,000 code points outside the basic plane", ROCKET.repeat(2_000)],
  ["one character", "x"],
  ["only a space", " "],
  ["the replacement character", "\ufffd"],
])("an item of %s is accepted and returned unchanged", async (_, item) => {
  const env = newEnv();
  expect((await call(env, "POST", "/todo", { id: 1, item })).status).toBe(201);
  expect((await call(env, "GET", "/todo/1")).body.item).toBe(item);
  expect((await call(env, "GET", "/todo")).body.data[0].item).toBe(item);
});

/** JSON of exactly `bytes` bytes with an item of 1 character. */
const padded = (bytes: number) => `${'{"item":"x"}'.padEnd(bytes, " ")}`;
const chunked = (text: string) =>
  new ReadableStream({
    start(controller) {
      const bytes = new TextEncoder().encode(text);
      for (let at = 0; at < bytes.length; at += 5_000)
        controller.enqueue(bytes.slice(at, at + 5_000));
      controller.close();
    },
  });

test.each([
  ["with a content length", padded],
  ["in chunks", (bytes: number) => chunked(padded(bytes))],
])("a body %s of 64 KiB is accepted, one byte more is a 413", async (_, make) => {
  const env = newEnv();
  expect((await call(env, "POST", "/todo", make(65_536))).status).toBe(201);
  const before = await state(env);
  for (const [method, path] of [
    ["POST", "/todo"],
    ["PUT", "/todo/1"],
    ["POST", "/endpoint"],
    ["POST", "/delivery/resend"],
  ] as const) {
    const reply = await call(env, method, path, make(65_537));
    expectError(reply, 413);
    expect(reply.body.error).toMatch(/65536 bytes/);
  }
  expect(await state(env)).toEqual(before);
});

test("a bad body for an existing endpoint changes neither Convoy nor the record", async () => {
  const env = newEnv();
  const id = await newEndpoint(env);
  const before = await state(env);
  const watched = recording(env);
  for (const body of [{}, { name: "" }, { url: "x" }, { secret: "x" }, { http_timeout: 0 }, "{"]) {
    expectError(await call(watched.env, "PUT", `/endpoint/${id}`, body), 400);
  }
  expect(watched.operations).toEqual([]);
  expect(await state(env)).toEqual(before);
});

test("a caller's request id is returned, and a bad one is replaced", async () => {
  const env = newEnv();
  const ask = (id: string) =>
    call(env, "GET", "/nowhere", undefined, { headers: { "x-request-id": id } });
  expect((await ask("trace-1")).headers.get("X-Request-Id")).toBe("trace-1");
  expect((await ask("a b<script>")).headers.get("X-Request-Id")).not.toContain("<");
});

test("a body that is cut short is a 400", async () => {
  const broken = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('{"item":'));
      controller.error(new Error("Network connection lost."));
    },
  });
  expectError(await call(newEnv(), "POST", "/todo", broken), 400);
});
