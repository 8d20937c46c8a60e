/** AUTH=open, which asks for no token: which hosts and sites are let in, and that no others are. */
import { afterAll, expect, test } from "vitest";
import { app } from "../../src/app.ts";
import type { SettingName } from "../../src/settings.ts";

type Settings = { [name in SettingName]?: string };

import { recording } from "../support/operations.ts";
import { as, TEST_SECRET } from "../support/token.ts";
import { call, newEnv } from "../support/worker.ts";

const count = { hosts: 0, origins: 0, letInWrongly: 0 };
afterAll(() => console.info(`AUTH=open: ${JSON.stringify(count)}`));

type Sent = { at?: string; headers?: Record<string, string>; settings?: Settings };

/** A change without a body, as another site's page could send it: 403, and nothing is read or done. */
async function expectRefused({ at, headers = {}, settings = {} }: Sent, says: RegExp) {
  const { env, operations } = recording(newEnv(settings));
  const sent = { headers, ...(at ? { at } : {}) };
  const reply = await call(env, "POST", "/endpoint/sync", undefined, sent);
  if (reply.status !== 403) count.letInWrongly++;
  expect(reply).toMatchObject({ status: 403, body: { error: expect.stringMatching(says) } });
  expect(operations).toEqual([]);
}

async function expectLetIn({ at, headers = {}, settings = {} }: Sent) {
  const sent = { headers, ...(at ? { at } : {}) };
  expect((await call(newEnv(settings), "GET", "/todo", undefined, sent)).status).toBe(200);
}

const named = { OPEN_HOSTS: "todo.internal, Box.Local:8080,[fd00::1]" };

test.each<[at: string, settings?: Settings]>([
  ["http://localhost"],
  ["http://localhost:8080"],
  ["http://LOCALHOST:8080"],
  ["https://localhost"],
  ["http://todo.localhost:8080"],
  ["http://127.0.0.1:8080"],
  ["http://127.255.0.9"],
  ["http://127.1"],
  ["http://0x7f000001"],
  ["http://[::1]:8080"],
  ["http://0.0.0.0:8080"],
  ["http://todo.internal:8080", named],
  ["http://box.local", named],
  ["http://[fd00::1]", named],
])("%s is let in", async (at, settings = {}) => {
  await expectLetIn({ at, settings });
});

test.each<[at: string, settings?: Settings]>([
  ["https://todo-webhooks.example.workers.dev"],
  ["http://evil.example"],
  ["http://evil.example:8080"],
  ["http://localhost.evil.example"],
  ["http://127.0.0.1.evil.example"],
  ["http://127.0.0.1.nip.io"],
  ["http://evillocalhost"],
  ["http://notlocalhost:8080"],
  ["http://localhost."],
  ["http://localhost@evil.example"],
  ["http://128.0.0.1"],
  ["http://1.127.0.0.1.example"],
  ["http://10.0.0.1"],
  ["http://192.168.1.2:8080"],
  ["http://169.254.169.254"],
  ["http://0.0.0.1"],
  ["http://[::2]"],
  ["http://[::ffff:10.0.0.1]"],
  ["http://internal", named],
  ["http://x.todo.internal", named],
  ["http://todo.internal.evil.example", named],
  ["http://evil.example", { OPEN_HOSTS: "" }],
  ["http://evil.example", { OPEN_HOSTS: "," }],
  ["http://evil.example", { CORS_ORIGINS: "http://evil.example" }],
])("%s is refused, saying what to set", async (at, settings = {}) => {
  count.hosts++;
  await expectRefused({ at, settings }, /only localhost .*OPEN_HOSTS/);
});

test("a Host header that differs from the address is checked as well", async () => {
  count.hosts++;
  await expectRefused({ headers: { host: "evil.example" } }, /only localhost/);
});

const APP = "https://app.example";

test.each<[name: string, headers: Record<string, string>, settings?: Settings]>([
  ["a program", {}],
  ["a page of the same origin", { origin: "http://localhost", "sec-fetch-site": "same-origin" }],
  ["a page on this machine", { origin: "http://127.0.0.1:3000" }],
  [
    "another port on this machine",
    { origin: "http://localhost:3000", "sec-fetch-site": "same-site" },
  ],
  ["someone who types the address", { "sec-fetch-site": "none" }],
  ["a page on a named host", { origin: "http://box.local" }, named],
  ["a named origin", { origin: APP, "sec-fetch-site": "cross-site" }, { CORS_ORIGINS: APP }],
])("%s is let in", async (_, headers, settings = {}) => {
  await expectLetIn({ headers, settings });
});

test.each<[name: string, headers: Record<string, string>, settings?: Settings]>([
  ["another site", { origin: "https://evil.example" }],
  [
    "another site that claims to be the same",
    { origin: "https://evil.example", "sec-fetch-site": "same-origin" },
  ],
  ["a sandboxed frame or a file", { origin: "null" }],
  ["an invalid origin", { origin: "evil" }],
  ["an empty origin", { origin: "" }],
  ["a name that starts like this machine's", { origin: "http://localhost.evil.example" }],
  ["an extension", { origin: "chrome-extension://abcdefgh" }],
  ["an image or a link on another site", { "sec-fetch-site": "cross-site" }],
  [
    "localhost from 127.0.0.1, unnamed",
    { origin: "http://127.0.0.1:3000", "sec-fetch-site": "cross-site" },
  ],
  [
    "an origin that only starts like the named one",
    { origin: `${APP}.evil.example` },
    { CORS_ORIGINS: APP },
  ],
  ["the named origin over http", { origin: "http://app.example" }, { CORS_ORIGINS: APP }],
])("%s is refused", async (_, headers, settings = {}) => {
  count.origins++;
  await expectRefused({ headers, settings }, /other sites/);
});

const routes = [
  ...new Set(
    app.routes.filter(({ method }) => method !== "ALL").map((r) => `${r.method} ${r.path}`),
  ),
]
  .filter((route) => route !== "GET /health" && route !== "GET /")
  .concat("GET /health?deep", "GET /nothing", "PATCH /todo", "OPTIONS /todo");

test.each(routes)("%s is closed to a foreign host and to another site", async (route) => {
  const [method = "", path = ""] = route.replace(/:\w+/g, "1").split(" ");
  const body = /P(OST|UT)/.test(method) ? {} : undefined;
  for (const sent of [
    { at: "http://evil.example" },
    { headers: { origin: "https://evil.example" } },
    { headers: { "sec-fetch-site": "cross-site" } },
  ]) {
    if (sent.at) count.hosts++;
    else count.origins++;
    const { status } = await call(newEnv(), method, path, body, sent);
    if (status !== 403) count.letInWrongly++;
    expect(status).toBe(403);
  }
});

test("with AUTH=jwt, any host and any site may call with a token", async () => {
  const env = newEnv({ AUTH: "jwt", AUTH_SECRET: TEST_SECRET });
  const { headers } = await as("alice");
  const sent = {
    at: "https://api.example",
    headers: { ...headers, origin: "https://app.example" },
  };
  expect((await call(env, "GET", "/todo", undefined, sent)).status).toBe(200);
});
