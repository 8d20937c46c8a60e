/** What differs between Convoy's list and the records: found by a sync, and by the cron's rounds. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Bindings } from "../../../src/settings.ts";
import {
  atConvoy,
  differencesOf,
  inConvoy,
  listAtConvoy,
  passTime,
  records,
} from "../../support/cut-worker.ts";
import { around, recording, refusalOf, withConvoy } from "../../support/operations.ts";
import {
  call,
  cron,
  deliveries,
  logged,
  newEndpoint,
  quietEnv,
  setFaults,
} from "../../support/worker.ts";

let env: Bindings;
beforeEach(() => {
  env = quietEnv();
});
afterEach(() => void vi.useRealTimers());

const NOTHING = { adopted: 0, removed: 0, updated: 0, missing: 0, complete: true };
const sync = async (by = env) => {
  const reply = await call(by, "POST", "/endpoint/sync");
  expect(reply.status).toBe(200);
  return reply.body;
};
const get = async (id: string) => (await call(env, "GET", `/endpoint/${id}`)).body;
const there = (id: string) => atConvoy<Record<string, unknown>>(env, "GET", `/endpoints/${id}`);

/** Makes an endpoint as Convoy's dashboard does. @returns its id */
async function inDashboard(more: object = {}, isSubscribed = true): Promise<string> {
  const fields = { name: "theirs", url: "https://theirs.example/", owner_id: "default", ...more };
  const { uid } = await atConvoy<{ uid: string }>(env, "POST", "/endpoints", fields);
  if (isSubscribed) await atConvoy(env, "POST", "/subscriptions", { name: "s", endpoint_id: uid });
  return uid;
}

const DRIFTS: [string, (id: string) => Promise<void>, object][] = [
  [
    "a changed field",
    async (id) => {
      const { url } = await there(id);
      const changed = {
        name: "theirs",
        url,
        owner_id: "default",
        rate_limit: 2,
        rate_limit_duration: 3,
      };
      await atConvoy(env, "PUT", `/endpoints/${id}`, changed);
    },
    { name: "theirs", rate_limit: { requests: 2, per_s: 3 }, status: "active" },
  ],
  ["a pause", (id) => atConvoy(env, "PUT", `/endpoints/${id}/pause`), { status: "disabled" }],
  [
    "that Convoy gave up on it",
    (id) => inConvoy(env, id, { status: "inactive" }),
    { status: "disabled" },
  ],
  [
    "a header",
    (id) =>
      inConvoy(env, id, {
        authentication: { type: "api_key", api_key: { header_name: "X-K", header_value: "v" } },
      }),
    { header_names: ["X-K"] },
  ],
  ["a removal", (id) => atConvoy(env, "DELETE", `/endpoints/${id}`), { status: "missing" }],
];

describe.each([
  ["a sync", async () => void (await sync())],
  [
    "the cron, within seven minutes",
    async () => {
      for (let minute = 0; minute < 7; minute++) {
        passTime(60_000);
        await cron(env);
      }
    },
  ],
])("%s", (_, find) => {
  test.each(DRIFTS)("finds %s", async (_what, drift, shown) => {
    const id = await newEndpoint(env);
    await find();
    await drift(id);
    await find();
    expect(await get(id)).toMatchObject(shown);
    expect(await get(id)).not.toHaveProperty("pending");
  });

  test("puts an owner back that was changed there", async () => {
    const id = await newEndpoint(env);
    await find();
    const { name, url } = await there(id);
    await atConvoy(env, "PUT", `/endpoints/${id}`, { name, url, owner_id: "mallory" });
    await find();
    expect(await there(id)).toMatchObject({ owner_id: "default" });
    expect(await records(env)).toMatchObject([{ owner: "default" }]);
  });

  test("makes a subscription again that is gone", async () => {
    await newEndpoint(env);
    const [{ uid } = { uid: "" }] = await listAtConvoy(env, "subscriptions");
    await atConvoy(env, "DELETE", `/subscriptions/${uid}`);
    await find();
    expect(await differencesOf(env)).toEqual([]);
  });

  test("finds that it is active there again", async () => {
    const id = await newEndpoint(env);
    await inConvoy(env, id, { status: "inactive" });
    await find();
    expect(await get(id)).toMatchObject({ status: "disabled" });
    await inConvoy(env, id, { status: "active" });
    passTime(60_000);
    await find();
    expect(await get(id)).toMatchObject({ status: "active" });
  });
});

test("a round reads Convoy's list once in five minutes, and writes nothing to the records if all is as wanted", async () => {
  await newEndpoint(env);
  passTime(60_000);
  await cron(env);
  const before = await records(env);
  const watched = recording(env);
  for (let minute = 0; minute < 10; minute++) {
    passTime(60_000);
    await cron(watched.env);
  }
  const lists = watched.operations.filter(({ what }) => what === "GET /endpoints");
  expect(lists.length).toBe(2);
  expect(await records(env)).toEqual(before);
});

test("a round adopts nothing", async () => {
  await newEndpoint(env);
  const id = await inDashboard();
  for (let minute = 0; minute < 7; minute++) {
    passTime(60_000);
    await cron(env);
  }
  expect((await records(env)).map((row) => row.id)).not.toContain(id);
});

describe("a toggle in the dashboard is noticed when a delivery is listed", () => {
  test("though nothing was discarded", async () => {
    const id = await newEndpoint(env);
    await call(env, "POST", "/todo", { item: "x" });
    await vi.waitFor(async () => {
      expect(await deliveries(env)).toMatchObject([{ status: "Success" }]);
    });
    await atConvoy(env, "PUT", `/endpoints/${id}/pause`);
    await call(env, "GET", "/delivery");
    expect(await get(id)).toMatchObject({ status: "disabled" });
    expect((await logged(env)).map(({ status }) => status)).toEqual(["delivered"]);
    // What comes now is held, and not posted.
    await call(env, "POST", "/todo", { item: "y" });
    expect((await logged(env)).map(({ status }) => status)).toEqual(["delivered", "held"]);
  });
});

describe("a sync", () => {
  test("of what is as it should be says so, and changes nothing", async () => {
    await newEndpoint(env);
    const before = await records(env);
    expect(await sync()).toEqual(NOTHING);
    expect(await records(env)).toEqual(before);
  });

  test("adopts an endpoint made in the dashboard, which gets what comes and nothing old", async () => {
    await call(env, "POST", "/todo", { item: "old" });
    const id = await inDashboard({ rate_limit: 5, rate_limit_duration: 60 });
    const paused = await inDashboard();
    await atConvoy(env, "PUT", `/endpoints/${paused}/pause`);
    expect(await sync()).toEqual({ ...NOTHING, adopted: 2 });
    expect(await get(id)).toMatchObject({
      ...{ name: "theirs", status: "active", event_types: null },
      rate_limit: { requests: 5, per_s: 60 },
    });
    expect(await get(paused)).toMatchObject({ status: "disabled" });
    await call(env, "POST", "/todo", { item: "new" });
    expect((await logged(env)).map(({ status }) => status).sort()).toEqual(["held", "sending"]);
  });

  test("gives an adopted one the subscription that it lacks", async () => {
    await inDashboard({}, false);
    expect(await sync()).toMatchObject({ adopted: 1, complete: true });
    expect(await differencesOf(env)).toEqual([]);
  });

  test("leaves a subscription that somebody filtered", async () => {
    const id = await newEndpoint(env);
    const filtered = withConvoy(env, async (request) => {
      const response = await fetch(request);
      if (!/\/subscriptions\?/.test(request.url)) return response;
      const text = (await response.text()).replaceAll('["*"]', '["created"]');
      return new Response(text, response);
    });
    expect(await sync(filtered)).toEqual(NOTHING);
    expect(await get(id)).toMatchObject({ status: "active" });
    expect(await listAtConvoy(env, "subscriptions")).toHaveLength(1);
  });

  test("reads other owners' endpoints as theirs", async () => {
    const id = await inDashboard({ owner_id: "somebody else" });
    expect(await sync()).toEqual(NOTHING);
    expect((await records(env)).map((row) => row.id)).not.toContain(id);
  });

  test.each([
    ["is down", { status: 503 }],
    ["has lost its Postgres", { postgres_down: true }],
  ])("is not complete if Convoy %s, and nothing is missing", async (_, faults) => {
    const id = await newEndpoint(env);
    await setFaults(env, faults);
    expect(await sync()).toEqual({ ...NOTHING, complete: false });
    expect(await get(id)).toMatchObject({ status: "active" });
  });

  test("is not complete while a change is being made, or could not be made", async () => {
    const id = await newEndpoint(env);
    const refusing = around(env, async (one, run) =>
      /^PUT \/endpoints/.test(one.what) ? refusalOf(503, "x") : run(),
    );
    await call(refusing, "PUT", `/endpoint/${id}`, { name: "N" });
    expect(await sync(refusing)).toMatchObject({ complete: false });
    await env.DB.prepare("UPDATE endpoint SET lease_until = ?1, due_at = ?1")
      .bind(Date.now() + 60_000)
      .run();
    expect(await sync()).toMatchObject({ updated: 0, complete: false });
    await env.DB.prepare("UPDATE endpoint SET lease_until = NULL").run();
    expect(await sync()).toMatchObject({ updated: 1, complete: true });
  });

  test("stops within its budget, and further ones complete it", async () => {
    for (let n = 0; n < 60; n++) await inDashboard({}, n % 2 === 0);
    const gone = await newEndpoint(env);
    await atConvoy(env, "DELETE", `/endpoints/${gone}`);
    let calls = 0;
    for (let isComplete = false; !isComplete; calls++) {
      expect(calls).toBeLessThan(20);
      const watched = recording(env);
      const { complete } = await sync(watched.env);
      expect(watched.operations.length).toBeLessThanOrEqual(42);
      isComplete = complete;
    }
    expect(calls).toBeGreaterThan(1);
    expect(await get(gone)).toMatchObject({ status: "missing" });
    await env.DB.prepare("DELETE FROM endpoint WHERE there = 'missing'").run();
    expect(await differencesOf(env)).toEqual([]);
  });

  test("an endpoint that the list lacks is not missing if Convoy has it by id", async () => {
    const id = await newEndpoint(env);
    const empty = withConvoy(env, (request) =>
      /\/endpoints\?/.test(request.url)
        ? Response.json({
            ...{ status: true, message: "" },
            data: { content: [], pagination: { has_next_page: false, next_page_cursor: "" } },
          })
        : fetch(request),
    );
    expect(await sync(empty)).toEqual({ ...NOTHING, updated: 1 });
    expect(await get(id)).toMatchObject({ status: "active" });
  });
});
