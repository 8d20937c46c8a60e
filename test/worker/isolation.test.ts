/** Two owners try all routes: neither sees or touches what belongs to the other. */
import { afterAll, describe, expect, test, vi } from "vitest";
import { app } from "../../src/app.ts";
import type { Bindings } from "../../src/config.ts";
import { confirm } from "../support/events.ts";
import { as, TEST_SECRET } from "../support/token.ts";
import { accepted, call, deliveries, newEnv, state } from "../support/worker.ts";

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
  body?: unknown;
  /**
   * hidden: 404, as if it did not exist. own: only what the stranger has, which is nothing. open:
   * the same for everyone. made: something new that the stranger owns. closed: 403, for operators only.
   */
  expects: "hidden" | "own" | "open" | "made" | "closed";
};

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
  "POST /endpoint/:id/pause": [{ path: (had) => `${endpointOf(had)}/pause`, expects: "hidden" }],
  "POST /endpoint/:id/activate": [
    { path: (had) => `${endpointOf(had)}/activate`, expects: "hidden" },
  ],
  "POST /endpoint/:id/rotate-secret": [
    { path: (had) => `${endpointOf(had)}/rotate-secret`, body: {}, expects: "hidden" },
  ],
  "POST /endpoint/sync": [{ path: () => "/endpoint/sync", expects: "own" }],
  "GET /endpoint/:id/delivery": [
    { path: (had) => `${endpointOf(had)}/delivery`, expects: "hidden" },
  ],
  "GET /endpoint/:id/delivery/:delivery": [
    { path: (had) => `${endpointOf(had)}/delivery/${had.delivery}`, expects: "hidden" },
  ],
  "GET /event": [
    { path: () => "/event", expects: "own" },
    { path: ({ endpoint }) => `/event?endpoint=${endpoint}`, expects: "own" },
    { path: () => "/event?cursor=1000", expects: "own" },
    { path: () => "/event?state=confirmed&type=created", expects: "own" },
    { path: () => "/event?state=dead", expects: "own" },
  ],
  "GET /event/summary": [{ path: () => "/event/summary", expects: "own" }],
  "GET /event/:id": [{ path: ({ event }) => `/event/${event}`, expects: "hidden" }],
  "POST /event/replay": [{ path: () => "/event/replay", body: { state: "dead" }, expects: "own" }],
  "POST /event/:id/replay": [{ path: ({ event }) => `/event/${event}/replay`, expects: "hidden" }],
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

/** Gives the owner one of everything, and a dead event. */
async function furnish(env: Bindings, owner: string): Promise<Had> {
  const sent = await as(owner);
  const fields = { name: "theirs", url: "https://receiver.example/private" };
  const made = await call(env, "POST", "/endpoint", fields, sent);
  const endpoint = String(made.body["Endpoint ID"]);
  const todo = { id: 77, item: "a private thing" };
  const created = await call(env, "POST", `/todo?endpoint=${endpoint}`, todo, sent);
  const dead = await call(env, "POST", "/todo", { id: 78, item: "another private thing" }, sent);
  await env.DB.prepare(
    `UPDATE event SET state = 'dead', error = 'a private reason', due_at = NULL, finished_at = 1 WHERE id = ?`,
  )
    .bind(dead.headers.get("X-Event-Id"))
    .run();
  const event = created.headers.get("X-Event-Id") ?? "";
  // Convoy delivers asynchronously.
  await vi.waitFor(async () => {
    expect((await deliveries(env)).map(({ status }) => status)).toEqual(["Success", "Success"]);
  });
  await confirm(env);
  const listed = await call(env, "GET", `/endpoint/${endpoint}/delivery`, undefined, sent);
  const delivery = String(listed.body.data[0].id);
  expect([made.status, created.status, dead.status, listed.status]).toEqual([201, 201, 201, 200]);
  return { todo: todo.id, endpoint, event, delivery };
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
  const { kv, values, events, endpoints } = await state(env);
  const convoy = { atConvoy, accepted: await accepted(env), deliveries: await deliveries(env) };
  return { kv, values, events, endpoints, convoy };
}

/** The part of it that belongs to the owner. */
async function ownState(env: Bindings, owner: string) {
  const { values, events, endpoints, convoy } = await worldState(env);
  const ids = endpoints.filter((row) => row.owner === owner).map((row) => row.id);
  const words = [...ids, "private"].map(String);
  return {
    values: values.filter(([, value]) => value?.includes("private")),
    events: events.filter((row) => (row as unknown as { owner: string }).owner === owner),
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
      const { status, body } = await call(env, method, look.path(NOTHING), look.body, sent);
      told.set(look, { status, body });
    }
    const had = await furnish(env, owner);
    for (const { route, method, look } of quiet) {
      const path = look.path(had);
      const before = await worldState(env);
      const { status, body, headers } = await call(env, method, path, look.body, sent);
      count.requests++;
      const shown = JSON.stringify([...headers, body]);
      const leaked = look.expects === "open" ? [] : wordsOf(had).filter((w) => shown.includes(w));
      count.leaks += leaked.length;
      expect({ route, path, leaked }).toEqual({ route, path, leaked: [] });
      expect({ route, path, status, body }).toEqual({ route, path, ...told.get(look) });
      const due = { hidden: 404, closed: 403 }[look.expects as string] ?? status;
      expect({ route, status }).toEqual({ route, status: due });
      expect({ route, path, world: await worldState(env) }).toEqual({ route, path, world: before });
    }
    const before = await ownState(env, owner);
    for (const { route, method, look } of LOOKS.filter(({ look }) => look.expects === "made")) {
      const { status, body } = await call(env, method, look.path(had), look.body, sent);
      count.requests++;
      expect({ route, status }).toEqual({ route, status: 201 });
      const leaked = wordsOf(had).filter((word) => JSON.stringify(body).includes(word));
      count.leaks += leaked.length;
      expect({ route, leaked }).toEqual({ route, leaked: [] });
      expect(await ownState(env, owner)).toEqual(before);
    }
  });
});

test.each(LOOKS.filter(({ look }) => look.expects === "hidden"))(
  "what $route hides from a stranger, the owner gets",
  async ({ method, look }) => {
    const env = jwtEnv();
    const had = await furnish(env, "alice");
    const { status } = await call(env, method, look.path(had), look.body, await as("alice"));
    expect(status).toBeLessThan(300);
  },
);

test("an owner's events reach no endpoint of another owner, by fan-out or by name", async () => {
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
