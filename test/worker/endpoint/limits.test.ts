/** Which endpoints an owner may have: how many, where, and with which characters. */
import { sign } from "hono/jwt";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { isPrivateUrl, isWebhookUrl } from "../../../src/endpoint/url.ts";
import { recording } from "../../support/operations.ts";
import { call, newEndpoint, newEnv, state } from "../../support/worker.ts";

beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}));

const HOOK = { name: "e", url: "https://receiver.example/" };

describe("ENDPOINTS_MAX", () => {
  test("counts per owner, and a removal makes room again", async () => {
    const env = newEnv({ ENDPOINTS_MAX: "1" });
    const id = await newEndpoint(env);
    await env.DB.prepare("UPDATE endpoint SET owner = 'somebody else'").run();
    const mine = await newEndpoint(env);
    expect((await call(env, "POST", "/endpoint", HOOK)).status).toBe(409);
    expect((await call(env, "DELETE", `/endpoint/${mine}`)).status).toBe(200);
    expect((await call(env, "POST", "/endpoint", HOOK)).status).toBe(201);
    expect((await state(env)).endpoints.map(({ id }) => id)).toContain(id);
  });
});

describe("private addresses", () => {
  const PRIVATE = [
    "http://localhost/",
    "http://localhost:8080/",
    "http://api.localhost/",
    "http://LOCALHOST./",
    "http://intranet/",
    "http://printer.local/",
    "http://metadata.google.internal/",
    "http://router.home.arpa/",
    "http://0.0.0.0/",
    "http://10.0.0.1/",
    "http://10.255.255.255/",
    "http://100.64.0.1/",
    "http://127.0.0.1/",
    "http://127.255.255.254:9/",
    "http://169.254.169.254/latest/meta-data/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[::]/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[0:0:0:0:0:ffff:10.0.0.1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::10.0.0.1]/",
    "http://[2002:7f00:1::]/",
    "http://[fe80::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://[2001::1]/",
  ];
  const PUBLIC = [
    "https://receiver.example/",
    "https://xn--bcher-kva.example/",
    "http://1.1.1.1/",
    "http://9.255.255.255/",
    "http://11.0.0.1/",
    "http://100.63.255.255/",
    "http://100.128.0.1/",
    "http://172.15.255.255/",
    "http://172.32.0.1/",
    "http://192.167.255.255/",
    "http://223.255.255.255/",
    "http://[2606:4700:4700::1111]/",
    "http://[2a00:1450:4001:82f::200e]/",
    "http://[::ffff:1.1.1.1]/",
    "http://10.example/",
    "http://127.0.0.1.example/",
    "http://locality.example/",
  ];
  // Written so that only a resolver would read an address.
  const ODD = [
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://0x7f.1/",
    "http://127.0.0.1.:80/..",
    "http://%31%32%37.0.0.1/",
    "http://①②⑦.0.0.1/",
    "http://[::ffff:0x7f.1]/",
  ];

  test.each(PRIVATE)("%s is private", (url) => {
    expect([isWebhookUrl(url), isPrivateUrl(url)]).toEqual([true, true]);
  });
  test.each(PUBLIC)("%s is not private", (url) => {
    expect([isWebhookUrl(url), isPrivateUrl(url)]).toEqual([true, false]);
  });
  test.each(ODD)("%s is refused, or recognised as private", (url) => {
    expect(!isWebhookUrl(url) || isPrivateUrl(url)).toBe(true);
  });

  const AUTH_SECRET = "a secret of at least thirty-two bytes";
  const caller = async () => {
    const claims = { sub: "alice", exp: Math.floor(Date.now() / 1_000) + 60 };
    return { headers: { authorization: `Bearer ${await sign(claims, AUTH_SECRET, "HS256")}` } };
  };

  test("are refused to callers with tokens, in POST and in PUT, without a call to Convoy", async () => {
    const env = newEnv({ AUTH: "jwt", AUTH_SECRET });
    const made = await call(env, "POST", "/endpoint", HOOK, await caller());
    const watched = recording(env);
    const id = made.body["Endpoint ID"];
    for (const [method, path] of [
      ["POST", "/endpoint"],
      ["PUT", `/endpoint/${id}`],
    ] as const) {
      const reply = await call(
        watched.env,
        method,
        path,
        { ...HOOK, url: PRIVATE[1] },
        await caller(),
      );
      expect(reply).toMatchObject({ status: 400, body: { details: [{ path: "url" }] } });
    }
    expect(watched.operations.filter(({ on }) => on === "Convoy")).toEqual([]);
  });

  test.each([
    ["jwt", undefined, 400],
    ["jwt", "refuse", 400],
    ["jwt", "allow", 201],
    ["open", undefined, 201],
    ["open", "allow", 201],
    ["open", "refuse", 400],
  ] as const)(
    "with AUTH=%s and PRIVATE_ADDRESSES=%s are answered %d",
    async (AUTH, setting, status) => {
      const env = newEnv({ AUTH, AUTH_SECRET, ...(setting ? { PRIVATE_ADDRESSES: setting } : {}) });
      const body = { ...HOOK, url: "http://127.0.0.1:3000/" };
      expect((await call(env, "POST", "/endpoint", body, await caller())).status).toBe(status);
    },
  );

  test("an invalid PRIVATE_ADDRESSES is a 503 that names it", async () => {
    const reply = await call(newEnv({ PRIVATE_ADDRESSES: "yes" }), "POST", "/endpoint", HOOK);
    expect(reply).toMatchObject({
      status: 503,
      body: { error: expect.stringMatching(/PRIVATE_ADDRESSES/) },
    });
  });
});

describe("text that Postgres cannot store is a 400 that names the field, without a call to Convoy", () => {
  const BAD = ["\0", "a\0b", "\ud83d", "\ude00x", "\udfff\ud800"];
  test.each([...BAD])("%j in an endpoint or a todo", async (bad) => {
    const env = newEnv();
    const id = await newEndpoint(env);
    const watched = recording(env);
    const tries: [string, string, object, string][] = [
      ["POST", "/endpoint", { ...HOOK, name: bad }, "name"],
      ["POST", "/endpoint", { ...HOOK, description: bad }, "description"],
      ["POST", "/endpoint", { ...HOOK, secret: bad }, "secret"],
      ["POST", "/endpoint", { ...HOOK, url: `https://receiver.example/${bad}` }, "url"],
      ["PUT", `/endpoint/${id}`, { name: bad }, "name"],
      ["PUT", `/endpoint/${id}`, { description: bad }, "description"],
      ["POST", `/endpoint/${id}/rotate-secret`, { secret: bad }, "secret"],
      ["POST", "/todo", { item: bad }, "item"],
    ];
    for (const [method, path, body, field] of tries) {
      const reply = await call(watched.env, method, path, body);
      expect(reply).toMatchObject({ status: 400, body: { details: [{ path: field }] } });
    }
    expect(watched.operations.filter(({ on }) => on === "Convoy")).toEqual([]);
  });

  test("surrogate pairs and other control characters are accepted", async () => {
    const made = await call(newEnv(), "POST", "/endpoint", { ...HOOK, name: "😀 \u0001\t" });
    expect(made.status).toBe(201);
  });
});
