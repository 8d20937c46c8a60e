/** Bodies as clients really send them: encodings, charsets, empty ones, and JSON that can be read in two ways. */
import { describe, expect, test } from "vitest";
import { BODY_MAX_BYTES } from "../../src/body.ts";
import { call, newEndpoint, newEnv, state } from "../support/worker.ts";

const JSON_TYPE = "application/json";
const bytes = (...parts: (string | number[])[]) =>
  new Blob(
    parts.map((part) => (typeof part === "string" ? part : Uint8Array.from(part))),
  ).stream() as ReadableStream;

/** Sends a body as it is; without a type, fetch adds none to a stream. */
const send = (
  env: ReturnType<typeof newEnv>,
  path: string,
  body: string | ReadableStream,
  headers: Record<string, string> = { "content-type": JSON_TYPE },
) => call(env, "POST", path, body, { headers, json: false });

async function expectRefused(
  path: string,
  body: string | ReadableStream,
  status: number,
  says: RegExp,
  headers?: Record<string, string>,
) {
  const env = newEnv();
  const before = await state(env);
  const reply = await send(env, path, body, headers);
  expect(reply).toMatchObject({ status, body: { error: expect.stringMatching(says) } });
  expect(await state(env)).toEqual(before);
  return reply;
}

describe("text that is not UTF-8 is a 400:", () => {
  test.each<[name: string, body: () => ReadableStream]>([
    ["Latin-1", () => bytes('{"item":"caf', [0xe9], '"}')],
    ["a lone continuation byte", () => bytes('{"item":"', [0x80], '"}')],
    ["a sequence cut short", () => bytes('{"item":"', [0xe2, 0x82], '"}')],
    ["an overlong slash", () => bytes('{"item":"', [0xc0, 0xaf], '"}')],
    ["an encoded surrogate", () => bytes('{"item":"', [0xed, 0xa0, 0x80], '"}')],
    ["beyond U+10FFFF", () => bytes('{"item":"', [0xf4, 0x90, 0x80, 0x80], '"}')],
    ["UTF-16", () => bytes([0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00])],
  ])("%s", async (_, body) => {
    await expectRefused("/todo", body(), 400, /not valid UTF-8/);
  });
});

describe("another charset, or a compressed body, is a 415:", () => {
  test.each([
    "application/json; charset=iso-8859-1",
    "application/json;charset=UTF-16",
    'application/json; charset="latin1"',
    "application/json; version=1; charset=windows-1252",
    "application/json; charset=utf-8; charset=latin1",
    "application/json; charset=",
  ])("%s", async (type) => {
    await expectRefused("/todo", '{"item":"x"}', 415, /UTF-8/, { "content-type": type });
  });

  test.each(["gzip", "br", "deflate", "zstd", "GZIP", "identity, gzip", "x-unknown"])(
    "Content-Encoding: %s",
    async (encoding) => {
      const headers = { "content-type": JSON_TYPE, "content-encoding": encoding };
      for (const path of ["/todo", "/endpoint", "/portal-link", "/endpoint/sync"]) {
        const reply = await expectRefused(path, '{"item":"x"}', 415, /Content-Encoding/, headers);
        expect(reply.headers.get("Accept-Encoding")).toBe("identity");
      }
    },
  );

  test.each(["identity", "Identity", ""])("but not Content-Encoding: %j", async (encoding) => {
    const headers = { "content-type": JSON_TYPE, "content-encoding": encoding };
    expect((await send(newEnv(), "/todo", '{"item":"x"}', headers)).status).toBe(201);
  });

  test.each(['application/json; charset="utf-8"', "application/json;charset=UTF8"])(
    "nor %s",
    async (type) => {
      const headers = { "content-type": type };
      expect((await send(newEnv(), "/todo", '{"item":"x"}', headers)).status).toBe(201);
    },
  );
});

describe("a body that may be left out", () => {
  const FORM = "application/x-www-form-urlencoded";
  test.each<[name: string, headers: Record<string, string>, body: string]>([
    ["no body and no type", {}, ""],
    ["curl -d ''", { "content-type": FORM }, ""],
    ["axios.post(url)", { "content-type": JSON_TYPE, "content-length": "0" }, ""],
    ["a JSON type", { "content-type": JSON_TYPE }, ""],
    ["a text type", { "content-type": "text/plain" }, ""],
    ["a line break", { "content-type": FORM }, "\n"],
    ["{}", { "content-type": JSON_TYPE }, "{}"],
    ["null, as a generated client in Go sends it", { "content-type": JSON_TYPE }, "null"],
    ["null with white space", { "content-type": JSON_TYPE }, " null\r\n"],
  ])("may be %s", async (_, headers, body) => {
    const env = newEnv();
    const id = await newEndpoint(env);
    expect((await send(env, "/portal-link", body, headers)).status).toBe(201);
    expect((await send(env, `/endpoint/${id}/rotate-secret`, body, headers)).status).toBe(200);
  });

  test("is a 415 or a 400 if it is something else", async () => {
    await expectRefused("/portal-link", "{}", 415, /application\/json/, { "content-type": FORM });
    await expectRefused("/portal-link", "expires_in_minutes=5", 415, /application\/json/, {
      "content-type": FORM,
    });
    await expectRefused("/portal-link", "nul", 400, /not valid JSON/);
    await expectRefused("/portal-link", "[]", 400, /must be an object/);
  });

  test("cannot be left out elsewhere", async () => {
    for (const body of ["", " \n"]) await expectRefused("/todo", body, 400, /empty.*JSON/);
    await expectRefused("/todo", "null", 400, /must be an object/);
    await expectRefused("/todo", "", 415, /application\/json/, {});
  });
});

describe("the largest bodies that the schemas allow fit:", () => {
  /** Each character as its escape, as json.dumps writes those outside ASCII. */
  const escaped = (text: string) =>
    [...text]
      .flatMap((char) => char.split(""))
      .reduce((all, unit) => `${all}\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`, "");
  const ROCKETS = (count: number) => "🚀".repeat(count);
  const member = (name: string, value: string) => `"${escaped(name)}": "${escaped(value)}"`;

  test("a todo of 2,000 characters, each escaped", async () => {
    const env = newEnv();
    const body = `{"id":1,"item":"${escaped(ROCKETS(2_000))}"}`;
    expect(body.length).toBeGreaterThan(24_000);
    expect((await send(env, "/todo", body)).status).toBe(201);
    expect((await call(env, "GET", "/todo/1")).body.item).toBe(ROCKETS(2_000));
    const patch = `{"item":"${escaped(ROCKETS(1_999))}"}`;
    expect((await call(env, "PUT", "/todo/1", patch)).status).toBe(200);
  });

  test("an endpoint with every field at its limit, names and all escaped", async () => {
    const env = newEnv();
    const url = "https://receiver.example/".padEnd(2_048, "x");
    const body = `{${[
      member("name", ROCKETS(255)),
      member("url", url),
      member("description", ROCKETS(1_000)),
      member("secret", ROCKETS(255)),
      `"${escaped("http_timeout")}": "${escaped("10s")}"`,
    ].join(",\n")}}`;
    expect(body.length).toBeLessThan(BODY_MAX_BYTES);
    const made = await send(env, "/endpoint", body);
    expect(made).toMatchObject({ status: 201, body: { endpoint: { url, name: ROCKETS(255) } } });
  });
});

describe("JSON that a parser would change without a word is a 400:", () => {
  test.each([
    ["a name twice", '{"item":"a","item":"b"}', /"item" is there twice/],
    ["a name twice, escaped", '{"item":"a","\\u0069tem":"b"}', /"item" is there twice/],
    ["an unknown name twice", '{"item":"a","x":{"y":1,"y":2}}', /"y" is there twice/],
    ["__proto__ twice", '{"__proto__":1,"__proto__":2,"item":"x"}', /twice/],
    ["a number that rounds to an id", '{"item":"x","id":9007199254740991.4}', /more digits/],
    ["a number that rounds to 1", '{"item":"x","id":1.0000000000000000001}', /more digits/],
    ["a number that rounds to 0", '{"item":"x","id":1e-400}', /more digits/],
    ["nothing more is said of what is no JSON", '{"item":"a","item":"b"', /not valid JSON\.$/],
    ["nor of an escape that JSON has not", '{"\\q":1,"\\q":2}', /not valid JSON\.$/],
  ])("%s", async (_, body, says) => {
    await expectRefused("/todo", body, 400, says);
  });

  test("but a name may be there again in another object, and in a text", async () => {
    const body = '{"item":"{\\"item\\":1,\\"item\\":2} \\\\"}';
    expect((await send(newEnv(), "/todo", body)).status).toBe(201);
    const refused = await send(newEnv(), "/todo", '{"item":"x","a":{"z":1},"b":{"z":1}}');
    expect(refused.body.error).toContain('unknown field "a", "b"');
  });
});

describe("odd but plain JSON means what it says:", () => {
  test.each<[name: string, body: string | ReadableStream, id: number]>([
    ["1e3", '{"item":"x","id":1e3}', 1_000],
    ["1.0", '{"item":"x","id":1.0}', 1],
    ["100e-2", '{"item":"x","id":100e-2}', 1],
    ["-0", '{"item":"x","id":-0}', 0],
    ["the largest safe integer", '{"item":"x","id":9007199254740991}', 9_007_199_254_740_991],
    ["a byte order mark", bytes([0xef, 0xbb, 0xbf], '{"item":"x","id":5}'), 5],
    ["white space around it", '\r\n\t {"item":"x","id":6}\n', 6],
    ["an escaped name", '{"\\u0069tem":"x","id":7}', 7],
  ])("%s", async (_, body, id) => {
    const env = newEnv();
    expect(await send(env, "/todo", body)).toMatchObject({ status: 201, body: { todo: { id } } });
    expect((await call(env, "GET", `/todo/${id}`)).body).toEqual({
      id,
      item: "x",
      completed: false,
    });
  });
});

test.each([
  ["lone surrogates", '{"item":"\\ud800"}'],
  ["U+0000", '{"item":"\\u0000"}'],
  ["a raw control character", '{"item":"\u0001"}'],
  ["deep lists", `{"item":${"[".repeat(30_000)}${"]".repeat(30_000)}}`],
  ["deep objects", `${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`],
  ["deep and unclosed", "[".repeat(60_000)],
  ["quotes without end", '"'.repeat(60_001)],
  ["escaped quotes without end", `{"item":"${'\\"'.repeat(30_000)}`],
  ["a number of 60,000 digits and a point", `{"item":"x","id":1.${"0".repeat(59_000)}1}`],
  ["backslashes without end", `{"item":"${"\\".repeat(60_001)}`],
  ["__proto__", '{"item":"x","__proto__":{"completed":true}}'],
  ["constructor", '{"item":"x","constructor":{"prototype":{}}}'],
  ["a huge number", '{"item":"x","id":1e999}'],
  ["a number of 60,000 digits", `{"item":"x","id":${"1".repeat(60_000)}}`],
  ["an id above 2^53", '{"item":"x","id":9007199254740993}'],
  ["garbage after it", '{"item":"x"} garbage'],
  ["two values", '{"item":"x"}{"item":"y"}'],
  ["a comment", '{"item":"x"} // no'],
  ["single quotes", "{'item':'x'}"],
  ["a trailing comma", '{"item":"x",}'],
  ["a leading zero", '{"item":"x","id":01}'],
  ["a hexadecimal number", '{"item":"x","id":0x1}'],
  ["NaN", '{"item":"x","id":NaN}'],
  ["two byte order marks", "\ufeff\ufeff{}"],
])("%s is a 400, and nothing is stored", async (_, body) => {
  await expectRefused("/todo", body, 400, /^(The body|Bad body)/);
});
