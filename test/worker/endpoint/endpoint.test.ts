/** Endpoints are both at Convoy and in D1 or in neither, and D1 never holds a secret. */
import { describe, expect, test, vi } from "vitest";
import type { Bindings } from "../../../src/config.ts";
import {
  around,
  type Operation,
  recording,
  refusalOf,
  withConvoy,
} from "../../support/operations.ts";
import { call, cron, foreignEndpoint, newEndpoint, newEnv } from "../../support/worker.ts";

const HOOK = {
  name: "Todo endpoint",
  description: "Endpoint for todo API.",
  http_timeout: "10s",
  url: "https://webhook.site/40984a4e-7b36-41fb-a234-9c2006bac8b5",
};

type AtConvoy = { uid: string; name: string; url: string; http_timeout: number; owner_id: string };

/** All endpoints, or all subscriptions, of the test's Convoy. */
async function atConvoy<T = AtConvoy>(env: Bindings, what = "endpoints"): Promise<T[]> {
  const response = await fetch(`${env.CONVOY_BASE_URL}/v1/projects/local/${what}?perPage=100`, {
    headers: { authorization: "Bearer local" },
  });
  return ((await response.json()) as { data: { content: T[] } }).data.content ?? [];
}

const rows = async (env: Bindings) =>
  (await env.DB.prepare("SELECT * FROM endpoint").all<Record<string, unknown>>()).results;

/** The bindings, with the first operation that matches answered by `answer`, done or not. */
function once(
  env: Bindings,
  matches: (operation: Operation) => boolean,
  answer: () => unknown,
  done = false,
): Bindings {
  let left = 1;
  return around(env, async (operation, run) => {
    if (!matches(operation) || left-- <= 0) return run();
    if (done) await run();
    return answer();
  });
}
const convoyCall = (what: string) => (one: Operation) => one.on === "Convoy" && one.what === what;
const sql = (part: string) => (one: Operation) => one.on === "D1" && one.what.includes(part);
const lost = () => {
  throw new Error("D1_ERROR: Network connection lost.");
};

test("the tutorial's POST creates endpoint, subscription and record, and returns the secret this once", async () => {
  const env = newEnv();
  const { status, headers, body } = await call(env, "POST", "/endpoint", HOOK);
  const id = body["Endpoint ID"];
  expect(status).toBe(201);
  expect(headers.get("Location")).toBe(`/endpoint/${id}`);
  expect(body).toEqual({
    "Endpoint ID": expect.any(String),
    endpoint: {
      id,
      name: HOOK.name,
      url: HOOK.url,
      description: HOOK.description,
      http_timeout: 10,
      status: "active",
      created_at: expect.any(String),
      updated_at: expect.any(String),
    },
    secret: expect.any(String),
  });
  expect(await atConvoy(env)).toMatchObject([{ uid: id, owner_id: "default", name: HOOK.name }]);
  expect(await atConvoy(env, "subscriptions")).toMatchObject([{ endpoint_metadata: { uid: id } }]);
  expect(await rows(env)).toMatchObject([{ id, owner: "default", status: "active" }]);
  expect(JSON.stringify(await rows(env))).not.toContain(body.secret);
  const one = await call(env, "GET", `/endpoint/${id}`);
  expect([one.status, one.body]).toEqual([200, body.endpoint]);
  expect((await call(env, "GET", "/endpoint")).body).toEqual({ data: [body.endpoint] });
});

test.each([
  ["1", 1],
  [1, 1],
  ["10s", 10],
  ["60s", 60],
  ["1m", 60],
  [60, 60],
  [undefined, 10],
])(
  "http_timeout %j is sent as %d seconds; the answer has what Convoy makes of it",
  async (http_timeout, seconds) => {
    const env = newEnv();
    const sent: unknown[] = [];
    const watched = withConvoy(env, async (request) => {
      if (/\/endpoints$/.test(request.url)) sent.push(await request.clone().json());
      return fetch(request);
    });
    const { status, body } = await call(watched, "POST", "/endpoint", { ...HOOK, http_timeout });
    expect([status, sent]).toMatchObject([201, [{ http_timeout: seconds }]]);
    const [there] = await atConvoy(env);
    expect(body.endpoint.http_timeout).toBe(there?.http_timeout);
  },
);

test.each(["61s", 61, "2m", "1h", 0, "0s", 1.5, "soon"])(
  "http_timeout %j is a 400",
  async (http_timeout) => {
    const reply = await call(newEnv(), "POST", "/endpoint", { ...HOOK, http_timeout });
    expect(reply).toMatchObject({ status: 400, body: { details: [{ path: "http_timeout" }] } });
  },
);

describe("a creation that fails leaves nothing behind", () => {
  const create = convoyCall("POST /endpoints");
  const subscribe = convoyCall("POST /subscriptions");
  const finish = sql("status = 'active'");
  const cases: [string, (env: Bindings) => Bindings, number, RegExp][] = [
    ["D1 fails before Convoy", (env) => once(env, sql("'creating'"), lost), 503, /database/],
    [
      "Convoy refuses the URL",
      (env) => once(env, create, () => refusalOf(400, "endpoint url must be a valid url")),
      400,
      /Convoy refused the endpoint: endpoint url must be a valid url/,
    ],
    [
      "Convoy cannot ping the URL",
      (env) =>
        once(env, create, () => refusalOf(400, "failed to ping tls endpoint: dial 10.0.0.1")),
      400,
      /could not reach the URL/,
    ],
    [
      "Convoy rejects the key",
      (env) => once(env, create, () => refusalOf(401, "authorization failed")),
      502,
      /CONVOY_API_KEY/,
    ],
    [
      "the key is another project's",
      (env) => ({ ...env, CONVOY: anotherProject() }),
      503,
      /another project/,
    ],
    [
      "Convoy fails at the subscription",
      (env) => once(env, subscribe, () => refusalOf(500, "boom")),
      503,
      /Convoy answered 500/,
    ],
    [
      "Convoy is lost after it made the subscription",
      (env) => once(env, subscribe, () => Promise.reject(new TypeError("lost")), true),
      503,
      /not reachable/,
    ],
    ["D1 is lost at the record", (env) => once(env, finish, lost), 503, /database/],
    ["D1 is lost after the record", (env) => once(env, finish, lost, true), 503, /database/],
  ];
  test.each(cases)("%s", async (_, broken, status, says) => {
    const env = newEnv();
    const reply = await call(broken(env), "POST", "/endpoint", HOOK);
    expect(reply).toMatchObject({ status, body: { error: expect.stringMatching(says) } });
    expect(reply.headers.has("Retry-After")).toBe(status === 503);
    expect(await rows(env)).toEqual([]);
    expect(await atConvoy(env)).toEqual([]);
    expect(await atConvoy(env, "subscriptions")).toEqual([]);
  });

  // The local Convoy, but each endpoint says that it belongs to another project.
  function anotherProject() {
    const send = async (request: Request) => {
      const response = await fetch(request);
      return new Response(
        (await response.text()).replaceAll('"project_id":"local"', '"project_id":"other"'),
        response,
      );
    };
    return { fetch: send as never };
  }

  test.each([
    ["500", () => refusalOf(500, "boom")],
    ["no answer", () => Promise.reject(new TypeError("lost"))],
  ])(
    "except that after %s a hidden draft remains, as Convoy may have made the endpoint",
    async (_, answer) => {
      const env = newEnv();
      const reply = await call(once(env, create, answer, true), "POST", "/endpoint", HOOK);
      expect(reply.status).toBe(503);
      expect(await rows(env)).toMatchObject([{ status: "creating" }]);
      expect((await call(env, "GET", "/endpoint")).body).toEqual({ data: [] });
      const draft = (await rows(env))[0]?.id;
      expect((await call(env, "GET", `/endpoint/${draft}`)).status).toBe(404);
      expect((await call(env, "POST", `/endpoint/${draft}/ping`)).status).toBe(404);
      expect((await call(env, "POST", `/todo?endpoint=${draft}`, { item: "x" })).status).toBe(404);
    },
  );
});

test("a subscription that already exists counts as created", async () => {
  const env = newEnv();
  const exists = () => refusalOf(400, "a subscription for this endpoint already exists");
  const broken = once(env, convoyCall("POST /subscriptions"), exists, true);
  expect((await call(broken, "POST", "/endpoint", HOOK)).status).toBe(201);
  expect(await atConvoy(env)).toHaveLength(1);
});

describe("PUT", () => {
  test.each([
    [{ name: "New" }, {}],
    [{ url: "https://other.example/x" }, {}],
    [{ description: "" }, {}],
    [{ http_timeout: "1m" }, { http_timeout: 10 }], // Convoy's own, without a licence
    [{ name: "A", url: "http://b.example/", description: "c", http_timeout: 10 }, {}],
  ])("%j changes only that, at Convoy and in the record", async (patch, stored) => {
    const env = newEnv();
    const made = (await call(env, "POST", "/endpoint", HOOK)).body.endpoint;
    const reply = await call(env, "PUT", `/endpoint/${made.id}`, patch);
    const expected = { ...made, ...patch, ...stored, updated_at: expect.any(String) };
    expect([reply.status, reply.body]).toEqual([200, expected]);
    const { name, url, description, http_timeout } = expected;
    expect(await atConvoy(env)).toMatchObject([{ name, url, description, http_timeout }]);
    expect((await call(env, "GET", `/endpoint/${made.id}`)).body).toEqual(reply.body);
  });

  test("that fails at Convoy changes nothing on record", async () => {
    const env = newEnv();
    const id = await newEndpoint(env);
    await cron(env);
    const before = await rows(env);
    const broken = once(env, convoyCall(`PUT /endpoints/${id}`), () => refusalOf(500, "x"));
    expect((await call(broken, "PUT", `/endpoint/${id}`, { name: "y" })).status).toBe(503);
    // Nobody knows whether it was changed: the cron looks.
    expect(await rows(env)).toEqual([{ ...before[0], due_at: expect.any(Number) }]);
    await cron(env);
    expect(await rows(env)).toEqual(before);
  });
});

describe("DELETE", () => {
  test("removes it from Convoy and from D1, and a second one is a 404", async () => {
    const env = newEnv();
    const id = await newEndpoint(env);
    const reply = await call(env, "DELETE", `/endpoint/${id}`);
    expect([reply.status, reply.body]).toEqual([200, { data: "Endpoint ID has been removed." }]);
    expect(await atConvoy(env)).toEqual([]);
    expect(await rows(env)).toEqual([]);
    expect((await call(env, "DELETE", `/endpoint/${id}`)).status).toBe(404);
  });

  test.each([
    [400, "endpoint not found"],
    [404, "Resource not found"],
  ])("succeeds if Convoy says %d %s", async (status, message) => {
    const env = newEnv();
    const id = await newEndpoint(env);
    const gone = once(env, convoyCall(`DELETE /endpoints/${id}`), () => refusalOf(status, message));
    expect((await call(gone, "DELETE", `/endpoint/${id}`)).status).toBe(200);
    expect(await rows(env)).toEqual([]);
  });

  test.each([
    [500, "boom", 503],
    [400, "something else", 502],
    [404, "project not found", 502],
  ])("fails if Convoy says %d %s", async (status, message, answer) => {
    const env = newEnv();
    const id = await newEndpoint(env);
    const down = once(env, convoyCall(`DELETE /endpoints/${id}`), () => refusalOf(status, message));
    expect((await call(down, "DELETE", `/endpoint/${id}`)).status).toBe(answer);
    expect(await rows(env)).toHaveLength(1);
  });
});

describe("another owner's or an unknown endpoint is a 404 without a call to Convoy", () => {
  const calls: [string, string, unknown][] = [
    ["GET", "", undefined],
    ["PUT", "", { name: "x" }],
    ["DELETE", "", undefined],
    ["POST", "/ping", undefined],
    ["POST", "/pause", undefined],
    ["POST", "/activate", undefined],
    ["POST", "/rotate-secret", {}],
    ["GET", "/delivery", undefined],
    ["GET", "/delivery/x", undefined],
  ];
  test.each(calls)("%s /endpoint/:id%s", async (method, path, body) => {
    const env = newEnv();
    for (const id of [await foreignEndpoint(env), "01UNKNOWN"]) {
      const before = await rows(env);
      const watched = recording(env);
      const reply = await call(watched.env, method, `/endpoint/${id}${path}`, body);
      expect(reply).toMatchObject({ status: 404, body: { error: "Endpoint not found" } });
      expect(watched.operations.filter(({ on }) => on === "Convoy")).toEqual([]);
      expect(await rows(env)).toEqual(before);
    }
  });
});

test("the list is paged in id order, without other owners' endpoints", async () => {
  const env = newEnv();
  await foreignEndpoint(env);
  const ids = [await newEndpoint(env), await newEndpoint(env), await newEndpoint(env)].sort();
  const first = (await call(env, "GET", "/endpoint?limit=2")).body;
  const second = (await call(env, "GET", `/endpoint?limit=2&cursor=${first.cursor}`)).body;
  expect([...first.data, ...second.data].map(({ id }) => id)).toEqual(ids);
  expect(second.cursor).toBeUndefined();
});

test("Convoy's Retry-After is passed on, but its message is not", async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  const busy = around(newEnv(), async (operation, run) =>
    operation.on === "Convoy"
      ? refusalOf(429, "user=convoy host=10.0.0.1", { "Retry-After": "17" })
      : run(),
  );
  const reply = await call(busy, "POST", "/endpoint", HOOK);
  expect(reply.status).toBe(503);
  expect(reply.headers.get("Retry-After")).toBe("17");
  expect(reply.body.error).toBe("Convoy answered 429. Try again.");
});
