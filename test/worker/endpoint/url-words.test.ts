/** What a caller is told about a URL: what is wrong with this one. */
import { describe, expect, test } from "vitest";
import { ownProblem, privateProblem, urlProblem } from "../../../src/endpoint/url.ts";
import { as, TEST_SECRET } from "../../support/token.ts";
import { call, newEnv } from "../../support/worker.ts";

test.each([
  ["", /empty/],
  [" https://receiver.example/", /white space/],
  ["https://receiver.example/\n", /white space/],
  ["https://receiver.example/a b", /ASCII without spaces/],
  ["https://bücher.example/", /punycode/],
  ["https://{host}/", /template/],
  ["receiver.example/hook", /begin with https:\/\//],
  ["localhost:3000/hook", /begin with https:\/\//],
  ["//receiver.example/hook", /begin with https:\/\//],
  ["ftp://receiver.example/", /begin with https:\/\//],
  ["javascript:alert(1)", /begin with https:\/\//],
  ["https:/receiver.example", /two slashes/],
  ["https:receiver.example", /two slashes/],
  ["https:\\\\receiver.example", /two slashes/],
  ["https://", /a host/],
  ["https:///hook", /a host/],
  ["https://:443/", /a host/],
  ["https://?x", /a host/],
  ["https://user:do-not-show@receiver.example/", /credentials/],
  ["https://do-not-show@receiver.example/", /credentials/],
  ["https://@receiver.example/", /credentials/],
  ["https://user:p#w@receiver.example/", /fragment/],
  ["https://receiver.example/#", /fragment/],
  ["https://receiver.example/a\\b", /percent-encode/],
  ['https://receiver.example/"', /percent-encode/],
  ["https://receiver.example/%", /hexadecimal/],
  ["https://receiver.example/%4", /hexadecimal/],
  ["https://%6cocalhost/", /% in its host/],
  ["https://receiver.example:0/", /port/],
  ["https://receiver.example:/", /port/],
  ["https://receiver.example:http/", /port/],
  ["https://receiver.example:-1/", /port/],
  ["https://receiver.example:0443/", /port/],
  ["https://receiver.example:65536/", /port/],
  ["https://1.2.3.4:99999", /port/],
  ["https://[2606::1]:99999/", /port/],
  ["http://::1/", /brackets/],
  ["http://[1::2::3]/", /brackets/],
  ["http://[fe80::1%25eth0]/", /% in its host/],
  ["http://[::1/", /brackets/],
  ["http://2130706433/", /IPv4/],
  ["http://0x7f.0.0.1/", /IPv4/],
  ["http://127.1/", /IPv4/],
  ["http://256.0.0.1/", /IPv4/],
  ["http://127.0.0.01/", /IPv4/],
  ["http://1.2.3.4.5/", /IPv4/],
  ["https://receiver..example/", /host name/],
  ["https://-receiver.example/", /host name/],
  [`https://${"a".repeat(64)}.example/`, /host name/],
  ["https://./", /host name|IPv4/],
])("%s: %s", (url, says) => {
  const problem = urlProblem(url);
  expect(problem).toMatch(/^must /);
  expect(problem).toMatch(says);
  expect(problem).not.toContain("do-not-show");
});

test("a caller is told so", async () => {
  const told = async (url: string) =>
    (await call(newEnv(), "POST", "/endpoint", { name: "e", url })).body;
  expect(await told("https://user:pw@receiver.example/")).toEqual({
    error: "Bad body. url: must not contain credentials: they would be stored and shown",
    details: [
      { path: "url", message: "must not contain credentials: they would be stored and shown" },
    ],
  });
});

describe("an address that is not on the public internet", () => {
  test.each([
    ["http://localhost:3000/", "localhost is this machine"],
    ["http://api.localhost/", "is this machine"],
    ["http://127.0.0.1/", "loopback"],
    ["http://[::1]/", "loopback"],
    ["http://0.0.0.0/", "loopback"],
    ["http://10.0.0.7/", "10.0.0.7 is a private address"],
    ["http://[fd00::1]/", "private"],
    ["http://[fec0::1]/", "private"],
    ["http://169.254.169.254/", "metadata"],
    ["http://[fe80::1]/", "metadata"],
    ["http://[::ffff:169.254.169.254]/", "metadata"],
    ["http://[2606:4700::5efe:10.0.0.1]/", "private"],
    ["http://[3fff::1]/", "reserved"],
    ["http://[2001:2::1]/", "reserved"],
    ["http://192.0.2.1/", "reserved"],
    ["http://printer/", "without a dot"],
    ...[
      "printer.local",
      "PRINTER.LOCAL.",
      "localhost.localdomain",
      "localhost6.localdomain6",
      "metadata.google.internal",
      "host.docker.internal",
      "api.default.svc",
      "api.default.svc.cluster.local",
      "kubernetes.default.svc.cluster",
      "vault.service.consul",
      "wiki.corp",
      "nas.home",
      "nas.lan",
      "nas.home.arpa",
      "1.0.0.10.in-addr.arpa",
      "wiki.intranet",
      "db.private",
      "mx.mail",
      "fritz.box",
      "x.fritz.box",
      "hidden.onion",
      "name.alt",
      "host.test",
      "host.invalid",
      "host.workgroup",
    ].map((host) => [`https://${host}/hook`, "is a local name"]),
  ])("%s: %s", (url = "", says = "") => {
    expect(urlProblem(url)).toBeUndefined();
    expect(privateProblem(url)).toContain("must be on the public internet: ");
    expect(privateProblem(url)).toContain(says);
  });

  test.each([
    "https://receiver.example/",
    "https://example.com/",
    "https://local.example/",
    "https://internal.example.org/",
    "https://svc.dev/",
    "https://notlocal/x".replace("/x", ".example/"),
    "https://mylan.example/",
    "https://box.example/",
    "https://home.example.net/",
    "https://[2606:4700::5efe:1.1.1.1]/",
  ])("%s is no such address", (url) => {
    expect(privateProblem(url)).toBeUndefined();
  });

  test("is refused with its reason where tokens are asked for", async () => {
    const env = newEnv({ AUTH: "jwt", AUTH_SECRET: TEST_SECRET });
    const body = { name: "e", url: "https://api.default.svc/hook" };
    const reply = await call(env, "POST", "/endpoint", body, await as("alice"));
    expect(reply).toMatchObject({ status: 400, body: { details: [{ path: "url" }] } });
    expect(reply.body.error).toContain("api.default.svc is a local name: .svc");
  });
});

describe("this Worker itself", () => {
  test.each([
    ["https://todo.example/todo", "https://todo.example/endpoint"],
    ["https://TODO.example./hook", "https://todo.example/endpoint"],
    ["http://todo.example/", "https://todo.example/endpoint"],
    ["https://todo.example:443/", "https://todo.example/endpoint"],
    ["http://localhost:8080/", "http://0.0.0.0:8080/endpoint"],
    ["http://127.0.0.1:8080/todo?x", "http://localhost:8080/endpoint"],
    ["http://[::1]:8080/", "http://localhost:8080/endpoint"],
    ["http://a.localhost:8080/", "http://localhost:8080/endpoint"],
  ])("%s is refused by %s", (url, at) => {
    expect(ownProblem(url, at)).toMatch(/this is the API itself/);
  });

  test.each([
    ["https://hooks.todo.example/", "https://todo.example/endpoint"],
    ["https://todo.example:8443/", "https://todo.example/endpoint"],
    ["http://localhost:8081/", "http://localhost:8080/endpoint"],
    ["https://todo.example.evil.example/", "https://todo.example/endpoint"],
  ])("%s is another server than %s", (url, at) => {
    expect(ownProblem(url, at)).toBeUndefined();
  });

  test("is refused in POST and PUT, and nothing changes", async () => {
    const env = newEnv();
    const made = await call(env, "POST", "/endpoint", { name: "e", url: "http://localhost:9/x" });
    expect(made.status).toBe(201);
    const id = made.body["Endpoint ID"];
    const own = { name: "e", url: "http://127.0.0.1/todo" };
    for (const [method, path] of [
      ["POST", "/endpoint"],
      ["PUT", `/endpoint/${id}`],
    ] as const) {
      const reply = await call(env, method, path, own);
      expect(reply).toMatchObject({ status: 400, body: { details: [{ path: "url" }] } });
      expect(reply.body.error).toContain("this is the API itself");
    }
    expect((await call(env, "GET", "/endpoint")).body.data).toMatchObject([
      { url: "http://localhost:9/x" },
    ]);
  });
});
