/** Two owners walk all routes: neither sees or touches what is the other's. */
import { sign } from "hono/jwt";
import { afterAll, describe, expect, test, vi } from "vitest";
import { app } from "../../src/app.ts";
import type { Bindings } from "../../src/config.ts";
import { accepted, call, deliveries, newEnv, state } from "../support/worker.ts";

const SECRET = "isolation";
/** Owners whose names tempt: one contains the other, or means something to a key, a URL or SQL. */
const PAIRS: [string, string][] = [
  ["alice", "bob"],
  ["a", "a:b"],
  ["a", "A"],
  ["a%", "a_"],
  ["default", "default "],
];

/** What the owner has, as the other one would name it. */
type Had = { todo: number; endpoint: string; event: string; delivery: string };
type Answer = { status: number; body: unknown };
type Look = {
  /** What the stranger asks for. */
  path: (had: Had) => string;
  body?: unknown;
  /**
   * hidden: 404, as if it did not exist. own: what a stranger without anything gets, and nothing of the
   * owner's. open: the same for everybody. made: something new, of the stranger's own.
   */
  expects: "hidden" | "own" | "open" | "made";
  /** The fields that may differ from the answer of somebody who is alone in the world. */
  check?: (answer: Answer, had: Had) => void;
};

const endpointOf = ({ endpoint }: Had) => `/endpoint/${endpoint}`;

/** How each route is to treat a stranger. A route that is not here fails the test below. */
const EXPECTED: Record<string, Look[]> = {
  "GET /health": [
    { path: () => "/health", expects: "open" },
    { path: () => "/health?deep", expects: "own" },
  ],
  "GET /openapi.json": [{ path: () => "/openapi.json", expects: "open" }],
  "GET /docs": [{ path: () => "/docs", expects: "open" }],
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
    { path: () => "/event?state=accepted&type=created", expects: "own" },
  ],
  "GET /event/:id": [{ path: ({ event }) => `/event/${event}`, expects: "hidden" }],
  "POST /event/replay": [{ path: () => "/event/replay", body: { state: "dead" }, expects: "own" }],
  "POST /event/:id/replay": [{ path: ({ event }) => `/event/${event}/replay`, expects: "hidden" }],
  "POST /portal-link": [{ path: () => "/portal-link", expects: "own" }],
};

const ROUTES = [
  ...new Set(
    app.routes
      .filter(({ method }) => method !== "ALL")
      .map(({ method, path }) => `${method} ${path}`),
  ),
];

const count = { routes: ROUTES.length, owners: 0, requests: 0, leaks: 0 };
afterAll(() => console.info(`isolation: ${JSON.stringify(count)}`));

async function as(sub: string) {
  const exp = Math.floor(Date.now() / 1_000) + 600;
  return { headers: { authorization: `Bearer ${await sign({ sub, exp }, SECRET, "HS256")}` } };
}

/** A world in which the owner has one of everything, and a dead event. */
async function worldOf(owner: string): Promise<{ env: Bindings; had: Had }> {
  const env = newEnv({ AUTH: "jwt", AUTH_SECRET: SECRET });
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
  // Convoy delivers in its own time.
  await vi.waitFor(async () => {
    expect((await deliveries(env)).map(({ status }) => status)).toEqual(["Success", "Success"]);
  });
  const listed = await call(env, "GET", `/endpoint/${endpoint}/delivery`, undefined, sent);
  const delivery = String(listed.body.data[0].id);
  expect([made.status, created.status, dead.status, listed.status]).toEqual([201, 201, 201, 200]);
  return { env, had: { todo: todo.id, endpoint, event, delivery } };
}

/** All that there is at Convoy, in D1 and in KV of this owner. */
async function worldState(env: Bindings, owner: string) {
  const { kv, values, events, endpoints } = await state(env);
  const ours = (row: unknown) => (row as { owner: string }).owner === owner;
  const convoy = await Promise.all(
    ["endpoints", "subscriptions"].map(async (what) => {
      const url = `${env.CONVOY_BASE_URL}/v1/projects/local/${what}?perPage=100`;
      const response = await fetch(url, { headers: { authorization: "Bearer local" } });
      return ((await response.json()) as { data: { content: unknown } }).data.content;
    }),
  );
  return {
    all: { kv, values, events, endpoints, convoy },
    owned: { events: events.filter(ours), endpoints: endpoints.filter(ours) },
    accepted: await accepted(env),
    deliveries: await deliveries(env),
  };
}

/** Words that only the owner may read. */
function secretsOf(had: Had): string[] {
  return [had.delivery, had.event, had.endpoint, "private", "theirs"];
}

test("every route says how it treats a stranger, and none is named that is gone", () => {
  const named = Object.keys(EXPECTED).filter((route) => route !== "GET /docs");
  expect(ROUTES.filter((route) => !(route in EXPECTED))).toEqual([]);
  expect(named.filter((route) => !ROUTES.includes(route))).toEqual([]);
});

describe.each(PAIRS)("what %j has", (owner, stranger) => {
  count.owners += 2;
  const looks = ROUTES.flatMap((route) => (EXPECTED[route] ?? []).map((look) => ({ route, look })));

  test(`is nothing to ${JSON.stringify(stranger)} on all of ${looks.length} looks`, async () => {
    const { env, had } = await worldOf(owner);
    const alone = newEnv({ AUTH: "jwt", AUTH_SECRET: SECRET });
    const sent = await as(stranger);
    for (const { route, look } of looks) {
      const [method = ""] = route.split(" ");
      const path = look.path(had);
      const before = await worldState(env, owner);
      const answer = await call(env, method, path, look.body, sent);
      const after = await worldState(env, owner);
      count.requests++;

      const shown = JSON.stringify([...answer.headers, answer.body]);
      const leaked =
        look.expects === "open" ? [] : secretsOf(had).filter((one) => shown.includes(one));
      count.leaks += leaked.length;
      expect({ route, path, leaked }).toEqual({ route, path, leaked: [] });
      expect(after.owned).toEqual(before.owned);
      if (look.expects === "hidden")
        expect({ route, status: answer.status }).toEqual({ route, status: 404 });
      if (look.expects === "made") {
        expect({ route, status: answer.status }).toEqual({ route, status: 201 });
        const told = JSON.stringify(after.accepted.slice(before.accepted.length));
        expect(told).not.toContain(had.endpoint);
        continue;
      }
      // Whoever is alone in the world is told the same, word for word.
      const told = await call(alone, method, path, look.body, sent);
      expect({ route, path, status: answer.status, body: answer.body }).toEqual({
        route,
        path,
        status: told.status,
        body: told.body,
      });
      expect({ route, path, world: after }).toEqual({ route, path, world: before });
      await call(alone, "GET", "/todo", undefined, sent);
    }
  });
});

test("the owner itself is answered on every look that is hidden from a stranger", async () => {
  const [owner] = PAIRS[0] ?? ["alice"];
  for (const route of ROUTES) {
    for (const look of EXPECTED[route] ?? []) {
      if (look.expects !== "hidden") continue;
      const { env, had } = await worldOf(owner);
      const [method = ""] = route.split(" ");
      const answer = await call(env, method, look.path(had), look.body, await as(owner));
      expect([route, look.path(had), answer.status]).toEqual([
        route,
        look.path(had),
        expect.toSatisfy((status: number) => status < 300),
      ]);
    }
  }
});

test("events of one owner reach no endpoint of another, by fan-out or by name", async () => {
  const env = newEnv({ AUTH: "jwt", AUTH_SECRET: SECRET });
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
