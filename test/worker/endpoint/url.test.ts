/** Where a webhook may go: what a caller is told at once, and what only Convoy can know. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { failing, recording, refusalOf, withConvoy } from "../../support/operations.ts";
import { call, deliveries, newEndpoint, newEnv, state } from "../../support/worker.ts";

beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}));

const add = (env: ReturnType<typeof newEnv>, url: unknown) =>
  call(env, "POST", "/endpoint", { name: "e", url });

test.each([
  "https://receiver.example",
  "https://receiver.example/",
  "http://receiver.example/hook",
  "HTTPS://Receiver.Example/Hook",
  "https://receiver.example:8443/hook?key=value&other=%20",
  "https://receiver.example?only=query",
  "https://receiver.example/a/b;c=d,e:f@g!$&'()*+~._-",
  "https://receiver.example/%E2%82%AC",
  "https://receiver.example:1",
  "https://receiver.example:65535",
  "https://receiver.example.",
  "https://under_score.example/",
  "https://xn--bcher-kva.example/",
  "https://a-b.c--d.example",
  "http://localhost:3000/hook",
  "http://127.0.0.1:3000/hook",
  "http://192.168.0.1/",
  "http://[::1]:3000/hook",
  "http://[2001:db8::8a2e:370:7334]/",
  "http://[2001:db8:0:0:0:8a2e:370:7334]/",
  `https://receiver.example/${"a".repeat(2_048 - 25)}`,
])("%s is accepted, kept as sent, and delivered to", async (url) => {
  const env = newEnv();
  const made = await add(env, url);
  expect(made).toMatchObject({ status: 201, body: { endpoint: { url } } });
  const id = made.body["Endpoint ID"];
  expect((await call(env, "GET", `/endpoint/${id}`)).body.url).toBe(url);
  await call(env, "POST", `/todo?endpoint=${id}`, { item: "x" });
  await vi.waitFor(async () => expect(await deliveries(env)).toMatchObject([{ url }]));
});

const REFUSED: [why: string, url: unknown][] = [
  ["credentials", "https://user:secret@receiver.example/"],
  ["a user", "https://user@receiver.example/"],
  ["empty credentials", "https://@receiver.example/"],
  ["a colon as credentials", "https://:@receiver.example/"],
  ["a fragment", "https://receiver.example/#part"],
  ["an empty fragment", "https://receiver.example/#"],
  ["another scheme", "ftp://receiver.example/"],
  ["a script", "javascript:alert(1)"],
  ["a file", "file:///etc/passwd"],
  ["data", "data:text/plain,x"],
  ["a WebSocket", "wss://receiver.example/"],
  ["no scheme", "receiver.example/hook"],
  ["an inherited scheme", "//receiver.example/hook"],
  ["one slash", "https:/receiver.example"],
  ["no slash", "https:receiver.example"],
  ["three slashes", "https:///receiver.example"],
  ["backslashes", "https:\\\\receiver.example"],
  ["no host", "https://"],
  ["no host but a path", "https:///hook"],
  ["no host but a port", "https://:443/"],
  ["a dot as the host", "https://./"],
  ["an empty label", "https://receiver..example/"],
  ["a label that starts with a hyphen", "https://-receiver.example/"],
  ["a label that ends with a hyphen", "https://receiver-.example/"],
  ["a label of 64 characters", `https://${"a".repeat(64)}.example/`],
  ["a non-ASCII host", "https://bücher.example/"],
  ["a space in the host", "https://receiver .example/"],
  ["a space in the path", "https://receiver.example/a b"],
  ["a leading space", " https://receiver.example/"],
  ["a line break", "https://receiver.example/\n"],
  ["a NUL", "https://receiver.example/\0"],
  ["a non-ASCII letter in the path", "https://receiver.example/é"],
  ["a broken escape", "https://receiver.example/%"],
  ["a half escape", "https://receiver.example/%4"],
  ["a template", "https://receiver.example/{tenant}"],
  ["a template as the host", "https://{host}/"],
  ["a backslash in the path", "https://receiver.example/a\\b"],
  ["quotes", 'https://receiver.example/"'],
  ["angle brackets", "https://receiver.example/<a>"],
  ["port 0", "https://receiver.example:0/"],
  ["a port above 65535", "https://receiver.example:65536/"],
  ["a port of letters", "https://receiver.example:http/"],
  ["an empty port", "https://receiver.example:/"],
  ["a negative port", "https://receiver.example:-1/"],
  ["an octal port", "https://receiver.example:0443/"],
  ["a number as the address", "http://2130706433/"],
  ["a hexadecimal address", "http://0x7f.0.0.1/"],
  ["a short address", "http://127.1/"],
  ["an address with a part above 255", "http://256.0.0.1/"],
  ["an address with leading zeros", "http://127.0.0.01/"],
  ["an address with five parts", "http://1.2.3.4.5/"],
  ["an IPv6 address without brackets", "http://::1/"],
  ["an IPv6 address with nine groups", "http://[1:2:3:4:5:6:7:8:9]/"],
  ["an IPv6 address with a zone", "http://[fe80::1%25eth0]/"],
  ["an IPv6 address with two gaps", "http://[1::2::3]/"],
  ["an unclosed bracket", "http://[::1/"],
  ["2,049 characters", `https://receiver.example/${"a".repeat(2_049 - 25)}`],
  ["nothing", ""],
  ["null", null],
  ["a number", 7],
  ["a list", ["https://receiver.example/"]],
];

test.each(REFUSED)(
  "a URL with %s is a 400 that names the field, without a call to Convoy",
  async (_, url) => {
    const env = newEnv();
    const watched = recording(env);
    const reply = await add(watched.env, url);
    expect(reply).toMatchObject({ status: 400, body: { details: [{ path: "url" }] } });
    expect(watched.operations).toEqual([]);
  },
);

test("an endpoint cannot be moved to any of them", async () => {
  const env = newEnv();
  const id = await newEndpoint(env);
  const before = await state(env);
  for (const [why, url] of REFUSED) {
    const { status, body } = await call(env, "PUT", `/endpoint/${id}`, { url });
    expect({ why, status, body }).toMatchObject({
      ...{ why, status: 400, body: { details: [{ path: "url" }] } },
    });
  }
  expect(await state(env)).toEqual(before);
});

test("refused credentials are not repeated in the answer", async () => {
  const reply = await add(newEnv(), "https://user:do-not-show@receiver.example/");
  expect(JSON.stringify(reply.body)).not.toContain("do-not-show");
});

describe("what Convoy says about it", () => {
  const SECRET = "sk-do-not-show";

  test.each<[status: number, message: string, expected: number, shown: RegExp]>([
    [400, "endpoint url must include a valid host", 400, /must include a valid host/],
    [400, "invalid endpoint scheme", 400, /invalid endpoint scheme/],
    [400, "only https endpoints allowed", 400, /only https/],
    [400, "cannot use localhost or 127.0.0.1", 400, /cannot use localhost/],
    [400, "Invalid request format", 400, /Invalid request format/],
    [400, `failed to ping tls endpoint: dial 10.0.0.7: ${SECRET}`, 400, /could not reach the URL/],
    [400, `endpoint validation failed: ${SECRET}`, 400, /could not reach the URL/],
    [400, `endpoint url must ${SECRET}!`, 502, /Convoy answered 400\b/],
    [400, `pq: password for ${SECRET}`, 502, /Convoy answered 400\b/],
    [401, "authorization failed", 502, /CONVOY_API_KEY/],
    [401, SECRET, 502, /CONVOY_API_KEY/],
    [403, SECRET, 502, /CONVOY_API_KEY/],
    [404, SECRET, 502, /Convoy answered 404\b/],
    [409, SECRET, 502, /Convoy answered 409\b/],
    [429, SECRET, 503, /Try again/],
    [500, SECRET, 503, /Convoy answered 500\b/],
    [502, SECRET, 503, /Convoy answered 502\b/],
  ])("%d %j is a %d", async (status, message, expected, shown) => {
    const refusing = withConvoy(newEnv(), () => refusalOf(status, message, { "Retry-After": "7" }));
    const reply = await add(refusing, "https://receiver.example/");
    expect(reply).toMatchObject({
      status: expected,
      body: { error: expect.stringMatching(shown) },
    });
    expect(JSON.stringify(reply.body)).not.toContain(SECRET);
    expect(reply.headers.get("Retry-After")).toBe(expected === 503 ? "7" : null);
  });

  test.each<[name: string, error: Error, shown: RegExp]>([
    ["no connection", new TypeError(`connect to ${SECRET}`), /not reachable/],
    ["no answer in time", new DOMException(SECRET, "TimeoutError"), /did not answer in time/],
  ])("%s is a 503", async (_, error, shown) => {
    const lost = failing(newEnv(), ({ on }) => on === "Convoy", { error });
    const reply = await add(lost, "https://receiver.example/");
    expect(reply).toMatchObject({ status: 503, body: { error: expect.stringMatching(shown) } });
    expect(JSON.stringify(reply.body)).not.toContain(SECRET);
    expect(reply.headers.get("Retry-After")).toMatch(/^\d+$/);
  });

  test("a web page from in front of Convoy is a 502", async () => {
    const page = () => new Response("<html>Sign in</html>", { status: 200 });
    expect((await add(withConvoy(newEnv(), page), "https://receiver.example/")).status).toBe(502);
  });

  test("a refused endpoint leaves no record; one whose fate is unknown leaves a draft", async () => {
    const refused = newEnv();
    const refuse = () => refusalOf(400, "only https endpoints allowed");
    await add(withConvoy(refused, refuse), "http://receiver.example/");
    expect((await state(refused)).endpoints).toEqual([]);
    await add(
      withConvoy(refused, () => refusalOf(500, "")),
      "http://receiver.example/",
    );
    expect((await state(refused)).endpoints).toMatchObject([{ wanted: "creating" }]);
  });
});
