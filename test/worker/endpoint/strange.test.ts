/** Strange answers of Convoy: none is a 500, none is taken for what it is not, and each can be outlived. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { toOwnedEndpoint } from "../../../src/endpoint/schema.ts";
import { listEndpoints as recordsOf } from "../../../src/endpoint/table.ts";
import type { Bindings } from "../../../src/settings.ts";
import {
  atConvoy,
  differencesOf,
  inConvoy,
  listAtConvoy,
  passTime,
  records,
} from "../../support/cut-worker.ts";
import {
  acceptance,
  around,
  type Operation,
  recording,
  refusalOf,
  withConvoy,
} from "../../support/operations.ts";
import { call, cron, newEndpoint, newEnv, quietEnv } from "../../support/worker.ts";

let env: Bindings;
beforeEach(() => {
  env = quietEnv();
});
afterEach(() => void vi.useRealTimers());

const get = async (id: string) => (await call(env, "GET", `/endpoint/${id}`)).body;
const sync = async (by = env) => (await call(by, "POST", "/endpoint/sync")).body;
const NOTHING = { adopted: 0, removed: 0, updated: 0, missing: 0, complete: true };

async function minutes(count: number, by = env): Promise<void> {
  for (let minute = 0; minute < count; minute++) {
    passTime(60_000);
    await cron(by);
  }
}

type Item = Record<string, unknown>;

/** Convoy, with each endpoint that it shows changed. */
function showing(change: (item: Item) => unknown): Bindings {
  return withConvoy(env, async (request) => {
    const response = await fetch(request);
    if (request.method !== "GET" || !/\/endpoints(\?|$|\/)/.test(request.url)) return response;
    const body = (await response.json()) as { data?: Item & { content?: Item[] } };
    const data = body.data?.content
      ? { ...body.data, content: body.data.content.map(change) }
      : body.data && change(body.data);
    return Response.json({ ...body, data }, { status: response.status });
  });
}

/** Makes an endpoint as another program does. @returns its id */
async function byAnother(more: object = {}): Promise<string> {
  const fields = { name: "theirs", url: "https://theirs.example/", owner_id: "default", ...more };
  const { uid } = await atConvoy<{ uid: string }>(env, "POST", "/endpoints", fields);
  await atConvoy(env, "POST", "/subscriptions", { name: "s", endpoint_id: uid });
  return uid;
}

const ODD: [what: string, fields: Item][] = [
  ["an empty name", { name: "" }],
  ["an empty url", { url: "" }],
  ["a url that is none", { url: "nowhere" }],
  ["no status", { status: undefined }],
  ["an unheard-of status", { status: "pending" }],
  ["a time of creation that is none", { created_at: "yesterday" }],
  ["no time of creation", { created_at: null }],
  [
    "nothing else",
    { name: 1, url: null, description: {}, status: [], created_at: 0, secrets: "x" },
  ],
  ["odd numbers", { http_timeout: "10s", rate_limit: -1, rate_limit_duration: 1e99 }],
  ["odd authentication", { authentication: { type: "api_key", api_key: { header_name: {} } } }],
];

test.each(ODD)(
  "an endpoint at Convoy with %s is adopted, shown to its owner and to operators, and can be changed",
  async (_, fields) => {
    const id = await byAnother();
    const odd = showing((item) => ({ ...item, ...fields }));
    expect(await sync(odd)).toEqual({ ...NOTHING, adopted: 1 });
    expect(await get(id)).toMatchObject({ id, status: "active" });
    const [row] = await recordsOf(env.DB, null, { limit: 1 });
    expect(row && toOwnedEndpoint(row)).toMatchObject({ id, owner: "default" });
    const url = "https://new.example/";
    const reply = await call(env, "PUT", `/endpoint/${id}`, { name: "N", url });
    expect(reply).toMatchObject({ status: 200, body: { name: "N", url } });
  },
);

test("odd endpoints do not keep others from being found missing or changed, or a sync from being complete", async () => {
  const [gone, changed] = [await newEndpoint(env), await newEndpoint(env)];
  const odd = new Map<unknown, Item>();
  for (const [, fields] of ODD) odd.set(await byAnother(), fields);
  const by = showing((item) => ({ ...item, ...odd.get(item.uid) }));
  await atConvoy(env, "DELETE", `/endpoints/${gone}`);
  await inConvoy(env, changed, { status: "paused" });
  await minutes(7, by);
  expect([await get(gone), await get(changed)]).toMatchObject([
    { status: "missing" },
    { status: "disabled" },
  ]);
  expect(await sync(by)).toMatchObject({ complete: true });
});

test("a creation that is answered without its url has it", async () => {
  const by = withConvoy(env, async (request) => {
    const response = await fetch(request);
    if (request.method !== "POST" || !request.url.endsWith("/endpoints")) return response;
    const { data } = (await response.json()) as { data: Item };
    return acceptance({ ...data, url: undefined });
  });
  const fields = { name: "n", url: "https://n.example/" };
  expect(await call(by, "POST", "/endpoint", fields)).toMatchObject({
    status: 201,
    body: { endpoint: fields },
  });
});

test("an endpoint that is shown without its name and url has them put back", async () => {
  const id = await newEndpoint(env);
  const by = showing((item) => ({ ...item, name: "", url: "" }));
  const sent: unknown[] = [];
  const watched = withConvoy(by, async (request) => {
    if (request.method === "PUT") sent.push(await request.clone().json());
    return by.CONVOY?.fetch(request as never) as never;
  });
  await minutes(7, watched);
  expect(await get(id)).toMatchObject({ name: "Receiver", url: "https://receiver.example/hook" });
  expect(sent[0]).toMatchObject({ name: "Receiver", url: "https://receiver.example/hook" });
});

// More of them, at any time: test/support/endpoint-life.ts.
const REFUSED = ["404", () => refusalOf(404, "Resource not found")] as const;
const EMPTY = ["null", () => acceptance(null, 200)] as const;
const ENDLESS = [
  "an empty list without its end",
  () => acceptance({ content: [null], pagination: {} }, 200),
] as const;

// Each kind of call has each kind of answer once: reads, lists, what makes, changes, removes and toggles.
describe.each<[what: string, call: RegExp, answers: (readonly [string, () => Response])[]]>([
  ["reading an endpoint", /^GET \/endpoints\/\w+$/, [REFUSED, EMPTY]],
  ["reading the project", /^GET $/, [ENDLESS]],
  ["listing endpoints", /^GET \/endpoints$/, [REFUSED, ENDLESS]],
  ["listing subscriptions", /^GET \/subscriptions$/, [EMPTY]],
  ["making a subscription", /^POST \/subscriptions$/, [REFUSED]],
  ["creating", /^POST \/endpoints$/, [EMPTY, ENDLESS]],
  ["changing", /^PUT \/endpoints\/\w+$/, [REFUSED, ENDLESS]],
  ["rotating", /\/expire_secret$/, [EMPTY]],
  ["deleting", /^DELETE /, [REFUSED, EMPTY, ENDLESS]],
  ["unpausing", /\/pause$/, [REFUSED, ENDLESS]],
  ["activating", /\/activate$/, [EMPTY]],
])("%s", (_, which, answers) => {
  test("answered strangely is no 500, proves nothing, and leaves Convoy as wanted", async () => {
    for (const [what, answer] of answers) {
      vi.useRealTimers();
      env = newEnv();
      await env.DB.batch([
        env.DB.prepare("DELETE FROM endpoint"),
        env.DB.prepare("UPDATE cron_state SET drift_due_at = 0, drift_cursor = NULL"),
      ]);
      const [kept, removed] = [await newEndpoint(env), await newEndpoint(env)];
      const { uid } = (await listAtConvoy(env, "subscriptions")).find(
        (one) => one.endpoint_metadata?.uid === kept,
      ) ?? { uid: "" };
      await atConvoy(env, "DELETE", `/subscriptions/${uid}`);
      await inConvoy(env, kept, { status: which.test("x/pause") ? "paused" : "inactive" });
      await env.DB.prepare("UPDATE endpoint SET there = 'inactive' WHERE id = ?").bind(kept).run();
      const strange = around(env, async (one, run) =>
        one.on === "Convoy" && which.test(one.what) ? answer() : run(),
      );
      const path = `/endpoint/${kept}`;
      for (const [method, to, body] of [
        ["PUT", path, { name: "N" }],
        ["PUT", path, { headers: { "X-Key": "v" } }],
        ["POST", `${path}/activate`, undefined],
        ["POST", `${path}/rotate-secret`, undefined],
        ["DELETE", `/endpoint/${removed}`, undefined],
        ["POST", "/endpoint", { name: "new", url: "https://new.example/" }],
        ["POST", "/endpoint/sync", undefined],
      ] as const) {
        const { status } = await call(strange, method, to, body);
        expect({ what, method, to, status }).not.toMatchObject({ status: 500 });
        passTime(91_000);
      }
      passTime(5 * 60_000);
      await minutes(2, strange);
      expect({ what, ...(await get(kept)) }).not.toMatchObject({ status: "missing" });
      // An hour is the longest wait.
      for (let n = 0; n < 4; n++) {
        passTime(20 * 60_000);
        await cron(env);
      }
      await env.DB.prepare("DELETE FROM endpoint WHERE wanted = 'removed'").run();
      expect({ what, found: await differencesOf(env) }).toEqual({ what, found: [] });
      expect({ what, ...(await get(kept)) }).toMatchObject({ name: "N", status: "active" });
    }
  });
});

describe("another endpoint than the one that was asked for", () => {
  test.each([
    ["is shown", (one: Operation) => /^GET \/endpoints\/\w+$/.test(one.what)],
    ["is what a PUT answers", (one: Operation) => /^PUT \/endpoints\/\w+$/.test(one.what)],
  ])("%s: it is neither changed nor recorded", async (_, fits) => {
    const id = await newEndpoint(env);
    const other = await byAnother({ owner_id: "somebody else" });
    const before = await atConvoy<Item>(env, "GET", `/endpoints/${other}`);
    const by = around(env, async (one, run) => (fits(one) ? acceptance(before, 200) : run()));
    expect(await call(by, "PUT", `/endpoint/${id}`, { name: "N" })).toMatchObject({
      status: 202,
      body: { name: "N", url: "https://receiver.example/hook", pending: true },
    });
    expect(await atConvoy(env, "GET", `/endpoints/${other}`)).toEqual(before);
    await minutes(2);
    expect(await atConvoy(env, "GET", `/endpoints/${id}`)).toMatchObject({ name: "N" });
  });

  test.each([
    ["another owner's", "somebody else"],
    ["the caller's own", "default"],
  ])("is what a creation answers, %s: it is not taken over, and not removed", async (_, owner) => {
    const id = await newEndpoint(env);
    await env.DB.prepare("UPDATE endpoint SET owner = ?").bind(owner).run();
    await atConvoy(env, "PUT", `/endpoints/${id}`, {
      ...{ name: "Receiver", url: "https://receiver.example/hook", owner_id: owner },
    });
    const item = await atConvoy<Item>(env, "GET", `/endpoints/${id}`);
    const before = await records(env);
    const by = around(env, async (one, run) =>
      one.what === "POST /endpoints" ? acceptance(item) : run(),
    );
    const made = await call(by, "POST", "/endpoint", { name: "n", url: "https://n.example/" });
    expect([502, 503]).toContain(made.status);
    await minutes(10);
    expect(await records(env)).toEqual(before);
    expect(await listAtConvoy(env, "endpoints")).toHaveLength(1);
  });
});

test("a list that ignores its filter makes nobody another owner's endpoint", async () => {
  const theirs = await byAnother({ owner_id: "somebody else" });
  const unfiltered = withConvoy(env, (request) => {
    const url = new URL(request.url);
    url.searchParams.delete("ownerId");
    return fetch(new Request(url, request));
  });
  expect(await sync(unfiltered)).toMatchObject({ adopted: 0 });
  expect((await records(env)).map(({ id }) => id)).not.toContain(theirs);
});

test("an endpoint with hundreds of subscriptions does not keep others from being compared", async () => {
  const [many, changed] = [await newEndpoint(env), await newEndpoint(env)];
  const crowded = withConvoy(env, async (request) => {
    const url = new URL(request.url);
    if (request.method !== "GET" || !url.pathname.endsWith("/subscriptions")) return fetch(request);
    const content = Array.from({ length: Number(url.searchParams.get("perPage")) }, () => ({
      ...{ uid: "s", endpoint_metadata: { uid: many } },
      filter_config: { event_types: ["*"] },
    }));
    const pagination = { has_next_page: true, next_page_cursor: "s" };
    return acceptance({ content, pagination }, 200);
  });
  await inConvoy(env, changed, { status: "paused" });
  await minutes(7, crowded);
  expect(await get(changed)).toMatchObject({ status: "disabled" });
  expect(await listAtConvoy(env, "subscriptions")).toHaveLength(2);
});

test.each([
  ["so that few make a page too large", false],
  ["so that it alone is too large", true],
])(
  "an endpoint with thousands of secrets, %s, does not keep others from being compared",
  async (_, isAlone) => {
    const ids = [await newEndpoint(env), await newEndpoint(env), await newEndpoint(env)];
    const [oldest = "", heavy = "", newest = ""] = ids.toSorted();
    const by = withConvoy(env, async (request) => {
      const url = new URL(request.url);
      const isList = request.method === "GET" && url.pathname.endsWith("/endpoints");
      const text = await (await fetch(request)).text();
      const isLarge = isList && text.includes(`"uid":"${heavy}"`);
      const isTooLarge = isLarge && (isAlone || url.searchParams.get("perPage") !== "1");
      return new Response(text + " ".repeat(isTooLarge ? 4 * 1024 * 1024 : 0));
    });
    for (const id of [oldest, newest]) await inConvoy(env, id, { status: "paused" });
    await minutes(10, by);
    expect([await get(oldest), await get(newest)]).toMatchObject([
      { status: "disabled" },
      { status: "disabled" },
    ]);
    expect(await get(heavy)).toMatchObject({ status: "active" });
  },
);

describe("an owner with 1,000 endpoints", () => {
  const COUNT = 1_020;
  const pad = (n: number) => String(n).padStart(5, "0");
  /** Convoy's list of so many, besides what it has. */
  const large = () =>
    withConvoy(env, async (request) => {
      const url = new URL(request.url);
      const query = url.searchParams;
      if (url.pathname.endsWith("/subscriptions") && request.method === "GET") {
        const content = query.getAll("endpointId").map((uid) => ({
          ...{ uid: `s${uid}`, endpoint_metadata: { uid } },
          filter_config: { event_types: ["*"] },
        }));
        return acceptance({ content, pagination: { has_next_page: false } }, 200);
      }
      if (!url.pathname.endsWith("/endpoints") || request.method !== "GET") return fetch(request);
      const from = query.get("next_page_cursor") ?? "~";
      const size = Number(query.get("perPage"));
      // These are newer than what Convoy makes now.
      const ids = Array.from({ length: COUNT }, (_, n) => `09${pad(COUNT - n)}`);
      const rest = ids.filter((id) => id <= from);
      const content = rest.slice(0, size).map((uid) => ({
        ...{ uid, project_id: "local", owner_id: "default", name: uid, status: "active" },
        ...{ url: "https://many.example/", created_at: "2026-11-24T12:00:00Z", http_timeout: 10 },
      }));
      const next = rest[size];
      return acceptance(
        {
          content,
          pagination: { has_next_page: next !== undefined, next_page_cursor: next ?? "" },
        },
        200,
      );
    });

  test("one of which is gone is missing", async () => {
    const id = await newEndpoint(env);
    await atConvoy(env, "DELETE", `/endpoints/${id}`);
    expect(await call(large(), "PUT", `/endpoint/${id}`, { name: "N" })).toMatchObject({
      status: 409,
    });
    expect(await get(id)).toMatchObject({ status: "missing" });
  });

  test("has all of them adopted by a few syncs, each within its budget", async () => {
    const watched = recording(large());
    let cursor: string | undefined;
    let adopted = 0;
    for (let calls = 0; ; calls++) {
      expect(calls).toBeLessThan(6);
      watched.operations.length = 0;
      const path = `/endpoint/sync${cursor ? `?cursor=${cursor}` : ""}`;
      const { body } = await call(watched.env, "POST", path);
      expect(watched.operations.length).toBeLessThanOrEqual(42);
      adopted += body.adopted;
      cursor = body.cursor;
      if (body.complete) break;
    }
    expect(adopted).toBe(COUNT);
    expect(await records(env)).toHaveLength(COUNT);
  });
});
