/** Two owners try all routes: neither sees or touches what belongs to the other. */
import { afterAll, describe, expect, test, vi } from "vitest";
import { app } from "../../src/app.ts";
import type { Bindings } from "../../src/settings.ts";
import { walked } from "../support/events.ts";
import { as, TEST_SECRET } from "../support/token.ts";
import { accepted, call, deliveries, logged, newEnv, state } from "../support/worker.ts";

/** Pairs with treacherous names: one contains the other, or is special in a key, a URL or SQL. */
const PAIRS: [string, string][] = [
  ["alice", "bob"],
  ["a", "a:b"],
  ["a", "A"],
  ["a%", "a_"],
  ["default", "default\u200b"],
];

/** What the owner has, by the ids that the stranger would use. */
type Had = { todo: number; endpoint: string; event: string; delivery: string };
type Answer = { status: number; body: unknown };
type Look = {
  /** What the stranger asks for. */
  path: (had: Had) => string;
  body?: object | ((had: Had) => object);
  /**
   * hidden: 404, as if it did not exist. own: only what the stranger has, which is nothing. open:
   * the same for everyone. made: something new that the stranger owns. closed: 403, for operators only.
   */
  expects: "hidden" | "own" | "open" | "made" | "closed";
};

const bodyOf = ({ body }: Look, had: Had) => (typeof body === "function" ? body(had) : body);
const endpointOf = ({ endpoint }: Had) => `/endpoint/${endpoint}`;

/** How each route must treat a stranger. A route missing here fails the test below. */
const EXPECTED: Record<string, Look[]> = {
  "GET /": [{ path: () => "/", expects: "open" }],
  "GET /health": [
    { path: () => "/health", expects: "open" },
    { path: () => "/health?deep", expects: "own" },
  ],
  "GET /todo": [
    { path: () => "/todo", expects: "own" },
    { path: ({ endpoint }) => `/todo?endpoint=${endpoint}`, expects: "own" },
  ],
  "GET /todo/:id": [
    { path: ({ todo }) => `/todo/${todo}`, expects: "hidden" },
    { path: ({ todo, endpoint }) => `/todo/${todo}?endpoint=${endpoint}`, expects: "hidden" },
  ],
  "POST /todo": [
    {
      path: ({ endpoint }) => `/todo?endpoint=${endpoint}`,
      body: { item: "mine" },
      expects: "hidden",
    },
    { path: () => "/todo", body: { id: 1, item: "mine" }, expects: "made" },
  ],
  "PUT /todo/:id": [
    { path: ({ todo }) => `/todo/${todo}`, body: { item: "mine" }, expects: "hidden" },
    {
      path: ({ todo, endpoint }) => `/todo/${todo}?endpoint=${endpoint}`,
      body: { item: "mine" },
      expects: "hidden",
    },
  ],
  "DELETE /todo/:id": [
    { path: ({ todo }) => `/todo/${todo}`, expects: "hidden" },
    { path: ({ todo, endpoint }) => `/todo/${todo}?endpoint=${endpoint}`, expects: "hidden" },
  ],
  "GET /endpoint": [
    { path: () => "/endpoint", expects: "own" },
    { path: () => "/endpoint?failing=true", expects: "own" },
    { path: () => "/endpoint?owner=*", expects: "closed" },
    { path: () => "/endpoint?cursor=0", expects: "own" },
  ],
  "GET /endpoint/:id": [{ path: endpointOf, expects: "hidden" }],
  "POST /endpoint": [
    {
      path: () => "/endpoint",
      body: { name: "mine", url: "https://receiver.example/b" },
      expects: "made",
    },
  ],
  "PUT /endpoint/:id": [{ path: endpointOf, body: { name: "mine" }, expects: "hidden" }],
  "DELETE /endpoint/:id": [{ path: endpointOf, expects: "hidden" }],
  "POST /endpoint/:id/ping": [{ path: (had) => `${endpointOf(had)}/ping`, expects: "hidden" }],
  "POST /endpoint/:id/test": [
    { path: (had) => `${endpointOf(had)}/test`, body: { type: "created" }, expects: "hidden" },
  ],
  "POST /endpoint/:id/pause": [{ path: (had) => `${endpointOf(had)}/pause`, expects: "hidden" }],
  "POST /endpoint/:id/activate": [
    { path: (had) => `${endpointOf(had)}/activate`, expects: "hidden" },
  ],
  "POST /endpoint/:id/rotate-secret": [
    { path: (had) => `${endpointOf(had)}/rotate-secret`, body: {}, expects: "hidden" },
  ],
  "POST /endpoint/sync": [{ path: () => "/endpoint/sync", expects: "own" }],
  "GET /event": [
    { path: () => "/event", expects: "own" },
    { path: ({ endpoint }) => `/event?endpoint=${endpoint}`, expects: "own" },
    { path: () => "/event?cursor=1000", expects: "own" },
    { path: () => "/event?status=delivered&type=created", expects: "own" },
    { path: () => "/event?status=dead", expects: "own" },
    { path: () => "/event?owner=*", expects: "closed" },
  ],
  "GET /event/summary": [{ path: () => "/event/summary", expects: "own" }],
  "GET /event/type": [{ path: () => "/event/type", expects: "open" }],
  "GET /event/:id": [{ path: ({ event }) => `/event/${event}`, expects: "hidden" }],
  "POST /event/:id/replay": [{ path: ({ event }) => `/event/${event}/replay`, expects: "hidden" }],
  "GET /delivery": [
    { path: () => "/delivery", expects: "own" },
    { path: ({ endpoint }) => `/delivery?endpoint=${endpoint}`, expects: "own" },
    { path: () => "/delivery?cursor=1000", expects: "own" },
    { path: ({ endpoint }) => `/delivery?status=held&endpoint=${endpoint}`, expects: "own" },
    ...["delivered", "dead", "held"].map((status) => ({
      path: () => `/delivery?status=${status}`,
      expects: "own" as const,
    })),
    { path: () => "/delivery?since=2020-01-01T00:00:00Z", expects: "own" },
    { path: () => "/delivery?owner=*", expects: "closed" },
  ],
  "GET /delivery/poll": [
    { path: () => "/delivery/poll", expects: "own" },
    { path: ({ endpoint }) => `/delivery/poll?after=0&endpoint=${endpoint}`, expects: "own" },
    { path: () => "/delivery/poll?after=0&status=dead", expects: "own" },
    { path: ({ endpoint }) => `/delivery/poll?watch=1,2,1.${endpoint}`, expects: "own" },
  ],
  "GET /delivery/:id": [{ path: ({ delivery }) => `/delivery/${delivery}`, expects: "hidden" }],
  "POST /delivery/resend": [
    { path: () => "/delivery/resend", body: {}, expects: "own" },
    { path: () => "/delivery/resend", body: { dry_run: true }, expects: "own" },
    { path: () => "/delivery/resend", body: { status: "dead", cursor: "1000" }, expects: "own" },
    { path: () => "/delivery/resend", body: ({ endpoint }) => ({ endpoint }), expects: "own" },
  ],
  "POST /delivery/:id/resend": [
    { path: ({ delivery }) => `/delivery/${delivery}/resend`, expects: "hidden" },
  ],
  "POST /portal-link": [{ path: () => "/portal-link", expects: "made" }],
  "POST /rebuild": [{ path: () => "/rebuild", body: { from: "log" }, expects: "closed" }],
};

const ROUTES = [
  ...new Set(
    app.routes
      .filter(({ method }) => method !== "ALL")
      .map(({ method, path }) => `${method} ${path}`),
  ),
];

const LOOKS = ROUTES.flatMap((route) => {
  const [method = ""] = route.split(" ");
  return (EXPECTED[route] ?? []).map((look) => ({ route, method, look }));
});
/** Ids of what nobody has. */
const NOTHING: Had = { todo: 77, endpoint: "none", event: "none", delivery: "none" };

const jwtEnv = () => newEnv({ AUTH: "jwt", AUTH_SECRET: TEST_SECRET });

const count = { routes: ROUTES.length, owners: 0, requests: 0, leaks: 0 };
afterAll(() => console.info(`isolation: ${JSON.stringify(count)}`));

/** Gives the owner one of everything, with deliveries that arrived, died and are held. */
async function furnish(env: Bindings, owner: string): Promise<Had> {
  const sent = await as(owner);
  const fields = { name: "theirs", url: "https://receiver.example/private" };
  const made = await call(env, "POST", "/endpoint", fields, sent);
  const endpoint = String(made.body["Endpoint ID"]);
  const todo = { id: 77, item: "a private thing" };
  const created = await call(env, "POST", `/todo?endpoint=${endpoint}`, todo, sent);
  const dead = await call(env, "POST", "/todo", { id: 78, item: "another private thing" }, sent);
  await walked(env);
  await env.DB.prepare(
    `UPDATE delivery SET status = 'dead', error = 'a private reason' WHERE event_seq = (SELECT seq FROM event WHERE id = ?)`,
  )
    .bind(dead.headers.get("X-Event-Id"))
    .run();
  await call(env, "POST", `/endpoint/${endpoint}/pause`, undefined, sent);
  const held = await call(env, "POST", "/todo", { id: 79, item: "a private wish" }, sent);
  await call(env, "POST", `/endpoint/${endpoint}/activate`, undefined, sent);
  expect([made, created, dead, held].map(({ status }) => status)).toEqual(Array(4).fill(201));
  expect((await logged(env)).map(({ status }) => status)).toEqual(["delivered", "dead", "held"]);
  const event = created.headers.get("X-Event-Id") ?? "";
  return { todo: todo.id, endpoint, event, delivery: `${event}.${endpoint}` };
}

/** Everything in KV, in D1 and at Convoy. */
async function worldState(env: Bindings) {
  const atConvoy = await Promise.all(
    ["endpoints", "subscriptions"].map(async (what) => {
      const url = `${env.CONVOY_BASE_URL}/v1/projects/local/${what}?perPage=100`;
      const response = await fetch(url, { headers: { authorization: "Bearer local" } });
      return ((await response.json()) as { data: { content: unknown } }).data.content;
    }),
  );
  const stored = await state(env);
  const convoy = { atConvoy, accepted: await accepted(env), deliveries: await deliveries(env) };
  return { ...stored, convoy };
}

/** The part of it that belongs to the owner. */
async function ownState(env: Bindings, owner: string) {
  const { values, events, endpoints, deliveries: sent, convoy } = await worldState(env);
  const ids = endpoints.filter((row) => row.owner === owner).map((row) => row.id);
  const words = [...ids, "private"].map(String);
  return {
    values: values.filter(([, value]) => value?.includes("private")),
    events: events.filter((row) => row.owner === owner),
    deliveries: sent.filter((row) => row.owner === owner),
    endpoints: endpoints.filter((row) => row.owner === owner),
    convoy: Object.values(convoy)
      .flat(2)
      .filter((row) => words.some((word) => JSON.stringify(row).includes(word))),
  };
}

/** Words that only the owner may read. */
function wordsOf({ delivery, event, endpoint }: Had): string[] {
  return [delivery, event, endpoint, "private", "theirs"];
}

test("the expectations cover every route, and name none that is gone", () => {
  expect(ROUTES.filter((route) => !(route in EXPECTED))).toEqual([]);
  expect(Object.keys(EXPECTED).filter((route) => !ROUTES.includes(route))).toEqual([]);
});

describe.each(PAIRS)("what %j has", (owner, stranger) => {
  count.owners += 2;

  test(`is neither seen nor changed by ${JSON.stringify(stranger)} in ${LOOKS.length} requests`, async () => {
    const env = jwtEnv();
    const sent = await as(stranger);
    const quiet = LOOKS.filter(({ look }) => look.expects !== "made");
    // What the stranger is told in an empty world, and must still be told once the owner has something.
    const told = new Map<Look, Answer>();
    for (const { method, look } of quiet) {
      const { status, body } = await call(
        env,
        method,
        look.path(NOTHING),
        bodyOf(look, NOTHING),
        sent,
      );
      told.set(look, { status, body });
    }
    const had = await furnish(env, owner);
    const world = await worldState(env);
    // Those that only read first: after all of them, and after each of the others, the world is as it was.
    const reads = quiet.filter(({ method }) => method === "GET");
    const others = quiet.filter(({ method }) => method !== "GET");
    for (const { route, method, look } of [...reads, ...others]) {
      const path = look.path(had);
      const { status, body, headers } = await call(env, method, path, bodyOf(look, had), sent);
      count.requests++;
      const shown = JSON.stringify([...headers, body]);
      const leaked = look.expects === "open" ? [] : wordsOf(had).filter((w) => shown.includes(w));
      count.leaks += leaked.length;
      expect({ route, path, leaked }).toEqual({ route, path, leaked: [] });
      expect({ route, path, status, body }).toEqual({ route, path, ...told.get(look) });
      const due = { hidden: 404, closed: 403 }[look.expects as string] ?? status;
      expect({ route, status }).toEqual({ route, status: due });
      if (method === "GET" && look !== reads.at(-1)?.look) continue;
      expect({ route, path, world: await worldState(env) }).toEqual({ route, path, world });
    }
    const before = await ownState(env, owner);
    for (const { route, method, look } of LOOKS.filter(({ look }) => look.expects === "made")) {
      const { status, body } = await call(env, method, look.path(had), bodyOf(look, had), sent);
      count.requests++;
      expect({ route, status }).toEqual({ route, status: 201 });
      const leaked = wordsOf(had).filter((word) => JSON.stringify(body).includes(word));
      count.leaks += leaked.length;
      expect({ route, leaked }).toEqual({ route, leaked: [] });
      expect(await ownState(env, owner)).toEqual(before);
    }
  });
});

test("what is hidden from a stranger, the owner gets", async () => {
  const env = jwtEnv();
  const had = await furnish(env, "alice");
  const sent = await as("alice");
  const hidden = LOOKS.filter(({ look }) => look.expects === "hidden");
  // What removes comes last, once; what is sent again must have arrived.
  const order = ({ route }: { route: string }) =>
    ["DELETE /todo/:id", "DELETE /endpoint/:id"].indexOf(route);
  const once = hidden.filter(
    ({ method, route }, at) =>
      method !== "DELETE" || hidden.findIndex((one) => one.route === route) === at,
  );
  for (const { route, method, look } of once.sort((a, b) => order(a) - order(b))) {
    if (/resend|replay/.test(route)) await walked(env);
    const { status } = await call(env, method, look.path(had), bodyOf(look, had), sent);
    expect({ route, isDone: status < 300 }).toEqual({ route, isDone: true });
  }
});

test("an operator sees whose rows there are, and nothing of what they contain", async () => {
  const env = jwtEnv();
  const had = await furnish(env, "alice");
  const operator = await as("root", { scope: "operator" });
  for (const [list, rows] of Object.entries({ endpoint: 1, event: 3, delivery: 3 })) {
    const { status, body } = await call(env, "GET", `/${list}?owner=*`, undefined, operator);
    expect([status, body.data.length]).toEqual([200, rows]);
    for (const one of body.data) expect(one.owner).toBe("alice");
    const shown = JSON.stringify(body).replaceAll("a private reason", "");
    expect(shown).not.toMatch(/private|theirs/);
    // Its own lists stay empty: it is an owner like any other.
    expect((await call(env, "GET", `/${list}`, undefined, operator)).body).toEqual({ data: [] });
  }
  for (const path of [`/event/${had.event}`, `/delivery/${had.delivery}`, endpointOf(had)]) {
    expect((await call(env, "GET", path, undefined, operator)).status).toBe(404);
  }
});

test("an owner's events reach no endpoint of another owner, by type or by name", async () => {
  const env = jwtEnv();
  const endpoints = new Map<string, string>();
  for (const owner of ["alice", "bob", "alice:bob"]) {
    const fields = { name: owner, url: `https://receiver.example/${encodeURIComponent(owner)}` };
    const made = await call(env, "POST", "/endpoint", fields, await as(owner));
    endpoints.set(String(made.body["Endpoint ID"]), owner);
  }
  for (const owner of endpoints.values()) {
    await call(env, "POST", "/todo", { id: 1, item: `of ${owner}` }, await as(owner));
    for (const id of endpoints.keys()) {
      await call(env, "GET", `/todo/1?endpoint=${id}`, undefined, await as(owner));
      await call(env, "PUT", `/todo/1?endpoint=${id}`, { completed: true }, await as(owner));
    }
  }
  const got = await vi.waitFor(async () => {
    const all = await deliveries(env);
    expect(all).toHaveLength(9);
    return all;
  });
  for (const { endpoint_id, body } of got) {
    expect(JSON.parse(body).todo.item).toBe(`of ${endpoints.get(endpoint_id)}`);
  }
});
