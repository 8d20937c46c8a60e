/** Settings: what is plain is taken, what is wrong is named on every request and by the cron. */
import { describe, expect, test, vi } from "vitest";
import { type Bindings, SettingError, type Settings, settingsOf } from "../../src/settings.ts";
import { recording } from "../support/operations.ts";
import { TEST_SECRET } from "../support/token.ts";
import { accepted, call, cron, newEndpoint, newEnv, state } from "../support/worker.ts";

/** As wrangler passes `[vars]`: any JSON. */
const given = (vars: Record<string, unknown>) => ({ ...newEnv(), ...vars }) as Bindings;
const DAY_MS = 86_400_000;
const JWKS_URL = "https://issuer.test/jwks.json";

test("without settings, the defaults apply", () => {
  const { convoy, ...rest } = settingsOf(newEnv());
  expect(convoy).toMatchObject({ apiKey: "local", projectId: "local" });
  expect(rest).toEqual({
    auth: { mode: "open", hosts: [] },
    portal: true,
    origins: [],
    walkDelayMs: 120_000,
    heldMs: 30 * DAY_MS,
    retentionMs: 7 * DAY_MS,
    subrequestBudget: 45,
    hands: 8,
    endpointsMax: 50,
    privateAddresses: true,
    ignored: [],
  });
});

test("with tokens, private addresses are refused", () => {
  const env = newEnv({ AUTH: "jwt", AUTH_SECRET: TEST_SECRET });
  expect(settingsOf(env)).toMatchObject({ auth: { mode: "jwt" }, privateAddresses: false });
});

test("settings are parsed once for an environment", () => {
  const env = newEnv();
  expect(settingsOf(env)).toBe(settingsOf(env));
});

test.each<[vars: Record<string, unknown>, taken: Partial<Settings>]>([
  [{ PORTAL: false }, { portal: false }],
  [{ PORTAL: true }, { portal: true }],
  [{ PORTAL: "off" }, { portal: false }],
  [{ PORTAL: "" }, { portal: true }],
  [{ PORTAL: " \n" }, { portal: true }],
  [{ CONVOY_BASE_URL: " ", HANDS: " " }, { hands: 8 }],
  [{ RETENTION_DAYS: 14 }, { retentionMs: 14 * DAY_MS }],
  [{ RETENTION_DAYS: " 14\n" }, { retentionMs: 14 * DAY_MS }],
  [{ RETENTION_DAYS: "007" }, { retentionMs: 7 * DAY_MS }],
  [{ RETENTION_DAYS: "" }, { retentionMs: 7 * DAY_MS }],
  [{ RETENTION_DAYS: null }, { retentionMs: 7 * DAY_MS }],
  [{ HELD_DAYS: "1" }, { heldMs: DAY_MS }],
  [{ HANDS: 0 }, { hands: 0 }],
  [{ HANDS: "32" }, { hands: 32 }],
  [{ WALK_DELAY_S: "0" }, { walkDelayMs: 0 }],
  [{ ENDPOINTS_MAX: 10_000 }, { endpointsMax: 10_000 }],
  [{ PRIVATE_ADDRESSES: "refuse" }, { privateAddresses: false }],
  [{ CORS_ORIGINS: "https://app.example/" }, { origins: ["https://app.example"] }],
  [{ CORS_ORIGINS: " HTTPS://App.Example , ," }, { origins: ["https://app.example"] }],
  [{ CORS_ORIGINS: "https://app.example:443" }, { origins: ["https://app.example"] }],
  [{ CORS_ORIGINS: "http://app.example:8443/" }, { origins: ["http://app.example:8443"] }],
  [{ CORS_ORIGINS: "https://bücher.example" }, { origins: ["https://xn--bcher-kva.example"] }],
  [{ CORS_ORIGINS: "capacitor://localhost" }, { origins: ["capacitor://localhost"] }],
  [
    { CORS_ORIGINS: ["https://a.example/", "https://b.example"] },
    { origins: ["https://a.example", "https://b.example"] },
  ],
  [{ CORS_ORIGINS: [] }, { origins: [] }],
  [
    { OPEN_HOSTS: ["Box.Local:8080", "https://todo.internal/", "box.local."] },
    { auth: { mode: "open", hosts: ["box.local", "todo.internal", "box.local"] } },
  ],
  [{ OPEN_HOSTS: "[FD00::1]:8080" }, { auth: { mode: "open", hosts: ["[fd00::1]"] } }],
  [
    { CONVOY_BASE_URL: "https://c.test/api//", CONVOY_API_KEY: "key\n", CONVOY_PROJECT_ID: " p " },
    { convoy: { baseUrl: "https://c.test/api", apiKey: "key", projectId: "p" } },
  ],
  [
    { CONVOY_BASE_URL: "" },
    { convoy: { baseUrl: "https://us.getconvoy.cloud/api", apiKey: "local", projectId: "local" } },
  ],
])("%j is taken as it is meant", (vars, taken) => {
  expect(settingsOf(given(vars))).toMatchObject(taken);
});

const NUMBERS = {
  WALK_DELAY_S: ["-1", "86401"],
  HELD_DAYS: ["0", "3651"],
  RETENTION_DAYS: ["0", "3651", 0.5, 1e21, Number.POSITIVE_INFINITY, true, ["7"], {}],
  SUBREQUEST_BUDGET: ["19", "10001", "abc"],
  HANDS: ["33", -1],
  ENDPOINTS_MAX: ["0", "10001", "many"],
};
const NO_NUMBERS = ["0.5", "7.0", "2m", "0x10", "1e3", "NaN", "Infinity", "+7", "1 0", "１０"];

const WRONG: [vars: Record<string, unknown>, says: RegExp][] = [
  ...Object.entries(NUMBERS).flatMap(([name, values]) =>
    [...values, ...NO_NUMBERS].map((value): [Record<string, unknown>, RegExp] => [
      { [name]: value },
      new RegExp(`${name} must be (a whole number from \\d+ to \\d+|text)`),
    ]),
  ),
  [{ AUTH: "opne" }, /AUTH must be "jwt" or "open"/],
  [{ AUTH: true }, /AUTH must be "jwt" or "open"/],
  [{ PORTAL: "false" }, /PORTAL must be "on" or "off"/],
  [{ PORTAL: 0 }, /PORTAL must be "on" or "off"/],
  [{ PRIVATE_ADDRESSES: "yes" }, /PRIVATE_ADDRESSES must be "allow" or "refuse"/],
  [{ PRIVATE_ADDRESSES: true }, /PRIVATE_ADDRESSES must be/],
  ...[
    "*",
    "https://*.app.example",
    "app.example",
    "https://app.example/path",
    "https://app.example?x",
    "https://app.example#x",
    "https://user@app.example",
    "https://a.example https://b.example",
    "https://a.example;https://b.example",
    "null",
    "file:///",
    "https://",
    "https://a.example:99999",
    7,
    [["https://a.example"]],
    { a: 1 },
  ].map((value): [Record<string, unknown>, RegExp] => [
    { CORS_ORIGINS: value },
    /CORS_ORIGINS must/,
  ]),
  ...["*", "*.local", "box.local/path", "user@box.local", "fd00::1", "box local", true].map(
    (value): [Record<string, unknown>, RegExp] => [{ OPEN_HOSTS: value }, /OPEN_HOSTS must/],
  ),
  ...[
    "nonsense",
    "us.getconvoy.cloud/api",
    "ftp://c.test/api",
    "https://key@c.test/api",
    "https://c.test/api?x=1",
    "https://c.test/api?",
    "https://c.test/api#x",
    "https://c.test/api/v1",
    "https://c.test/api/v1/",
    7,
  ].map((value): [Record<string, unknown>, RegExp] => [
    { CONVOY_BASE_URL: value },
    /CONVOY_BASE_URL must/,
  ]),
  [{ CONVOY_API_KEY: "" }, /CONVOY_API_KEY is not set: .*wrangler secret put CONVOY_API_KEY/],
  [{ CONVOY_API_KEY: "  " }, /CONVOY_API_KEY is not set/],
  [{ CONVOY_API_KEY: "two\nlines" }, /CONVOY_API_KEY must be printable ASCII/],
  [{ CONVOY_API_KEY: "“quoted”" }, /CONVOY_API_KEY must be printable ASCII/],
  [{ CONVOY_PROJECT_ID: undefined }, /CONVOY_PROJECT_ID is not set/],
  [{ CONVOY_PROJECT_ID: 7 }, /CONVOY_PROJECT_ID must be text/],
  [{ AUTH: "jwt", AUTH_SECRET: 7 }, /AUTH_SECRET must be text/],
  [
    { AUTH: "jwt", AUTH_JWKS_URL: "https://u:p@issuer.test/", AUTH_AUDIENCE: "a" },
    /AUTH_JWKS_URL must not contain credentials/,
  ],
  [{ AUTH: "jwt", AUTH_JWKS_URL: JWKS_URL, AUTH_AUDIENCE: ["a"] }, /AUTH_AUDIENCE must be text/],
  [{ KV: undefined }, /KV namespace "KV" is not bound/],
  [{ DB: undefined }, /D1 database "DB" is not bound/],
];

describe("what is wrong is a 503 that names it, on /health too, and nothing is used:", () => {
  test.each(WRONG)("%j", async (vars, says) => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const watched = recording(newEnv());
    const env = { ...watched.env, ...vars } as Bindings;
    for (const [method, path] of [
      ["GET", "/health"],
      ["GET", "/todo"],
      ["POST", "/todo"],
      ["GET", "/nothing"],
    ] as const) {
      const reply = await call(env, method, path, method === "POST" ? { item: "x" } : undefined);
      expect(reply).toMatchObject({ status: 503, body: { error: expect.stringMatching(says) } });
      expect(reply.headers.get("Retry-After")).toMatch(/^\d+$/);
    }
    expect(watched.operations).toEqual([]);
  });
});

test("all that is wrong is named at once", () => {
  const env = given({ RETENTION_DAYS: 0.5, CONVOY_API_KEY: "", AUTH: "opne", KV: undefined });
  const parse = () => settingsOf(env);
  for (const name of ["RETENTION_DAYS", "CONVOY_API_KEY", "AUTH must be", '"KV"']) {
    expect(parse).toThrow(name);
  }
  expect(parse).toThrow(SettingError);
});

test("no value is repeated: it may be a secret under the wrong name", async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  const secret = "do-not-show-this";
  const vars = { RETENTION_DAYS: secret, PORTAL: secret, CORS_ORIGINS: secret, AUTH: secret };
  const reply = await call(given(vars), "GET", "/health");
  expect(reply.status).toBe(503);
  expect(JSON.stringify(reply.body)).not.toContain(secret);
});

test("a page of a named origin can read what is wrong", async () => {
  const env = given({ CORS_ORIGINS: "https://app.example/", RETENTION_DAYS: "x" });
  vi.spyOn(console, "error").mockImplementation(() => {});
  const reply = await call(env, "GET", "/todo", undefined, {
    headers: { origin: "https://app.example" },
  });
  expect([reply.status, reply.headers.get("Access-Control-Allow-Origin")]).toEqual([
    503,
    "https://app.example",
  ]);
});

describe("the cron", () => {
  const lines = () => {
    const said: { level: string; cron: Record<string, unknown> }[] = [];
    vi.spyOn(console, "log").mockImplementation((line) => void said.push(JSON.parse(line)));
    return said;
  };

  test("names what is wrong in its line, and does nothing", async () => {
    const base = newEnv();
    await call(base, "POST", "/todo", { id: 1, item: "x" });
    const before = await state(base);
    const said = lines();
    const { env, operations } = recording({ ...base, RETENTION_DAYS: "0.5" } as Bindings);
    await expect(cron(env)).rejects.toThrow(/RETENTION_DAYS/);
    expect(said).toEqual([
      {
        level: "error",
        cron: {
          at: expect.any(String),
          ms: expect.any(Number),
          subrequests: 0,
          failed: ["settings"],
          settings: expect.stringContaining("RETENTION_DAYS must be"),
        },
      },
    ]);
    expect(operations).toEqual([]);
    expect(await state(base)).toEqual(before);
  });

  test("names settings that are gone, and works without them", async () => {
    const env = given({ AUDIT: "off", EVENT_MAX_TRIES: "abc", AUDIT_DELAY_S: "2m" });
    await newEndpoint(env);
    expect((await call(env, "POST", "/todo", { item: "x" })).status).toBe(201);
    expect(await accepted(env)).toHaveLength(1);
    const said = lines();
    await cron(env);
    expect(said[0]?.cron.ignored_settings).toEqual(["AUDIT", "AUDIT_DELAY_S", "EVENT_MAX_TRIES"]);
  });
});
