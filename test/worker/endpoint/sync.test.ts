/** POST /endpoint/sync: D1's records follow the caller's endpoints at Convoy, whoever made or changed them. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ADOPT_AGE_MS, type Bindings, ENDPOINT_PAGE, SYNC_BUDGET } from "../../../src/config.ts";
import {
  atConvoy,
  cutCall,
  differencesOf,
  listAtConvoy,
  passTime,
  records,
} from "../../support/cut-worker.ts";
import { recording, withConvoy } from "../../support/operations.ts";
import { call, cron, newEndpoint, newEnv, setFaults } from "../../support/worker.ts";

const FIELDS = { name: "mine", url: "https://receiver.example/mine" };
const LATER_MS = ADOPT_AGE_MS + 1_000;

let env: Bindings;
beforeEach(() => {
  vi.spyOn(console, "log").mockImplementation(() => {});
  vi.spyOn(console, "error").mockImplementation(() => {});
  env = newEnv();
});
afterEach(() => void vi.useRealTimers());

const sync = (by = env) => call(by, "POST", "/endpoint/sync");
const byCron = (by = env) => cron(by);

/** Makes an endpoint as Convoy's dashboard does. @returns its id */
async function makeInDashboard(fields: object, subscribe = true): Promise<string> {
  const made = { owner_id: "default", ...FIELDS, ...fields };
  const { uid } = await atConvoy<{ uid: string }>(env, "POST", "/endpoints", made);
  const filter_config = { event_types: ["*"] };
  const subscription = { name: "s", endpoint_id: uid, filter_config };
  if (subscribe) await atConvoy(env, "POST", "/subscriptions", subscription);
  return uid;
}

describe("POST /endpoint/sync", () => {
  test("adopts an endpoint made in the dashboard, which works like any other", async () => {
    const id = await makeInDashboard({ description: "by hand" });
    passTime(LATER_MS);
    expect((await sync()).body).toMatchObject({ adopted: 1, subscribed: 0, complete: true });
    const { body } = await call(env, "GET", `/endpoint/${id}`);
    expect(body).toMatchObject({ ...FIELDS, description: "by hand", status: "active" });
    expect(await differencesOf(env)).toEqual([]);
    expect((await call(env, "PUT", `/endpoint/${id}`, { name: "renamed" })).status).toBe(200);
    expect((await call(env, "POST", `/todo?endpoint=${id}`, { item: "x" })).status).toBe(201);
    expect((await call(env, "DELETE", `/endpoint/${id}`)).status).toBe(200);
  });

  test("does not adopt an endpoint younger than five minutes", async () => {
    await makeInDashboard({});
    await sync();
    expect(await records(env)).toEqual([]);
  });

  test("does not adopt an endpoint with no owner, or another one", async () => {
    for (const owner_id of ["", "alice"]) await makeInDashboard({ owner_id });
    passTime(LATER_MS);
    expect((await sync()).body).toMatchObject({ adopted: 0, complete: true });
    expect(await records(env)).toEqual([]);
  });

  test("gives subscriptions to 26 endpoints that have none, in one call", async () => {
    for (let i = 0; i < 25; i++) await makeInDashboard({ name: `n${i}` }, false);
    const mine = await newEndpoint(env);
    const [made] = await listAtConvoy(env, "subscriptions");
    await atConvoy(env, "DELETE", `/subscriptions/${made?.uid}`);
    passTime(LATER_MS);
    const { body } = await sync();
    expect(body).toMatchObject({ adopted: 25, subscribed: 26, complete: true });
    expect(await differencesOf(env)).toEqual([]);
    expect((await records(env)).map(({ id }) => id)).toContain(mine);
  });

  test("adopts nothing of another project; ours are missing until the right project is back", async () => {
    const mine = await newEndpoint(env);
    await makeInDashboard({});
    passTime(LATER_MS);
    await sync({ ...env, CONVOY_PROJECT_ID: "another" });
    expect(await records(env)).toMatchObject([{ id: mine, status: "missing" }]);
    passTime(LATER_MS);
    await sync();
    expect(await records(env)).toHaveLength(2);
    expect(await differencesOf(env)).toEqual([]);
  });

  test("follows a name, URL and status changed in the dashboard", async () => {
    const id = await newEndpoint(env);
    const changed = { name: "changed", url: "https://receiver.example/changed" };
    await atConvoy(env, "PUT", `/endpoints/${id}`, { ...changed, owner_id: "default" });
    await atConvoy(env, "PUT", `/endpoints/${id}/pause`);
    passTime(LATER_MS);
    await sync();
    expect((await call(env, "GET", `/endpoint/${id}`)).body).toMatchObject({
      ...changed,
      status: "paused",
    });
    await atConvoy(env, "PUT", `/endpoints/${id}/pause`);
    passTime(LATER_MS);
    await sync();
    expect((await call(env, "GET", `/endpoint/${id}`)).body.status).toBe("active");
  });

  test("marks as missing what Convoy no longer has, and removes no record", async () => {
    const gone = await newEndpoint(env);
    const stays = await newEndpoint(env);
    const { name } = (await records(env))[0] ?? { name: "" };
    await atConvoy(env, "DELETE", `/endpoints/${gone}`);
    passTime(LATER_MS);
    await sync();
    expect(await records(env)).toMatchObject([
      { id: gone, name, status: "missing" },
      { id: stays, status: "active" },
    ]);
    // A missing one can still be removed.
    expect((await call(env, "DELETE", `/endpoint/${gone}`)).status).toBe(200);
  });

  test("changes nothing if the key is wrong or Convoy fails", async () => {
    await newEndpoint(env);
    await makeInDashboard({});
    passTime(LATER_MS);
    const before = await records(env);
    await sync({ ...env, CONVOY_API_KEY: "wrong" });
    for (const status of [401, 404, 429, 500, 503]) {
      await setFaults(env, { status });
      await sync();
    }
    await setFaults(env, { drop: true });
    await sync();
    expect(await records(env)).toEqual(before);
  });

  test("changes nothing the second time", async () => {
    await newEndpoint(env);
    await makeInDashboard({});
    passTime(LATER_MS);
    await sync();
    const before = await records(env);
    passTime(LATER_MS);
    await sync();
    expect(await records(env)).toEqual(before);
  });
});

test.each(["pausing", "activating"])(
  "it leaves alone an endpoint that is still %s",
  async (status) => {
    await newEndpoint(env);
    await env.DB.prepare("UPDATE endpoint SET status = ?").bind(status).run();
    passTime(LATER_MS);
    expect((await sync()).body).toMatchObject({ updated: 0, missing: 0, complete: true });
    expect(await records(env)).toMatchObject([{ status }]);
  },
);

test("the cron adopts nothing, and does not ask Convoy for a list", async () => {
  await makeInDashboard({});
  passTime(LATER_MS);
  const watched = recording(env);
  await byCron(watched.env);
  expect(await records(env)).toEqual([]);
  expect(watched.operations.filter(({ on }) => on === "Convoy")).toEqual([]);
});

describe("an owner that was changed at Convoy", () => {
  const ownerAt = async (id: string) =>
    (await listAtConvoy(env, "endpoints")).find(({ uid }) => uid === id)?.owner_id;

  test("is put back, with a warning on the console", async () => {
    const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
    const id = await newEndpoint(env);
    const given = { ...FIELDS, owner_id: "mallory", rate_limit: 7, rate_limit_duration: 60 };
    await atConvoy(env, "PUT", `/endpoints/${id}`, given);
    passTime(LATER_MS);
    expect((await sync()).body).toMatchObject({ updated: 1, missing: 0, complete: true });
    expect(await ownerAt(id)).toBe("default");
    expect(warned.mock.calls).toEqual([[expect.stringContaining(id)]]);
    // Nothing else that the dashboard set was lost on the way.
    const there = await atConvoy<{ rate_limit: number }>(env, "GET", `/endpoints/${id}`);
    expect(there.rate_limit).toBe(7);
    expect(await records(env)).toMatchObject([{ id, owner: "default", status: "active" }]);
  });

  test("is put back when the new owner syncs, who does not get the endpoint", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const id = await newEndpoint(env);
    await env.DB.prepare("UPDATE endpoint SET owner = 'alice'").run();
    passTime(LATER_MS);
    await sync();
    expect(await ownerAt(id)).toBe("alice");
    expect(await records(env)).toMatchObject([{ id, owner: "alice" }]);
    expect((await call(env, "GET", `/endpoint/${id}`)).status).toBe(404);
  });

  test("is put back by a PUT, too", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const id = await newEndpoint(env);
    await atConvoy(env, "PUT", `/endpoints/${id}`, { ...FIELDS, owner_id: "mallory" });
    expect((await call(env, "PUT", `/endpoint/${id}`, { name: "y" })).status).toBe(200);
    expect(await ownerAt(id)).toBe("default");
  });
});

test("it says if it is incomplete, and then marks nothing as missing", async () => {
  await newEndpoint(env);
  const gone = await newEndpoint(env);
  await atConvoy(env, "DELETE", `/endpoints/${gone}`);
  passTime(LATER_MS);
  await setFaults(env, { status: 503 });
  expect((await sync()).body).toMatchObject({ missing: 0, complete: false });
  await setFaults(env, {});
  expect((await sync()).body).toMatchObject({ missing: 1, complete: true });
});

test("it reads all pages, and finds what is missing", async () => {
  const gone = await newEndpoint(env);
  await atConvoy(env, "DELETE", `/endpoints/${gone}`);
  for (let i = 0; i < ENDPOINT_PAGE + 1; i++) await makeInDashboard({});
  passTime(LATER_MS);
  const watched = recording(env);
  expect((await sync(watched.env)).body).toMatchObject({ missing: 1, complete: true });
  expect(watched.operations.filter(({ what }) => what === "GET /endpoints")).toHaveLength(2);
  expect(await records(env)).toHaveLength(ENDPOINT_PAGE + 2);
});

test("it stops within its budget, and further calls complete it", async () => {
  for (let i = 0; i < 2 * SYNC_BUDGET; i++) await makeInDashboard({}, false);
  const gone = await newEndpoint(env);
  await atConvoy(env, "DELETE", `/endpoints/${gone}`);
  passTime(LATER_MS);
  let reports = 0;
  for (let cursor = ""; ; reports++) {
    const watched = recording(env);
    const path = `/endpoint/sync${cursor ? `?cursor=${cursor}` : ""}`;
    const { status, body } = await call(watched.env, "POST", path);
    expect(status).toBe(200);
    expect(watched.operations.length).toBeLessThanOrEqual(SYNC_BUDGET);
    cursor = body.cursor ?? "";
    if (body.complete) break;
  }
  expect(reports).toBeLessThan(5);
  expect((await records(env)).filter(({ status }) => status === "active")).toHaveLength(
    2 * SYNC_BUDGET,
  );
  await env.DB.prepare("DELETE FROM endpoint WHERE status = 'missing'").run();
  expect(await differencesOf(env)).toEqual([]);
});

test("an endpoint absent from the list is not missing if Convoy has it by id", async () => {
  const id = await newEndpoint(env);
  passTime(LATER_MS);
  const empty = withConvoy(env, (request) =>
    /\/endpoints\?/.test(request.url)
      ? Response.json({
          status: true,
          message: "",
          data: { content: [], pagination: { has_next_page: false, next_page_cursor: "" } },
        })
      : fetch(request),
  );
  expect((await sync(empty)).body).toMatchObject({ missing: 0, complete: true });
  expect(await records(env)).toMatchObject([{ id, status: "active" }]);
});

test("a creation that was cut off is removed, however young its endpoint is", async () => {
  // Convoy answered so late that its endpoint is younger than five minutes, but the draft is older.
  await cutCall(env, 2, "before", "POST", "/endpoint", FIELDS);
  await env.DB.prepare("UPDATE endpoint SET created_at = created_at - 14000, due_at = 1").run();
  expect((await sync()).body).toMatchObject({ removed: 1, adopted: 0 });
  expect(await records(env)).toEqual([]);
  expect(await listAtConvoy(env, "endpoints")).toEqual([]);
});

test("an endpoint activated in the dashboard gets what its pause discarded", async () => {
  const endpoint = await newEndpoint(env);
  expect((await call(env, "POST", `/endpoint/${endpoint}/pause`)).status).toBe(200);
  expect((await call(env, "POST", `/todo?endpoint=${endpoint}`, { item: "x" })).status).toBe(201);
  expect(await statuses(endpoint)).toEqual(["Discarded"]);
  // Convoy's toggle, used by someone else.
  await atConvoy(env, "PUT", `/endpoints/${endpoint}/pause`);
  passTime(LATER_MS);
  await sync();
  expect(await records(env)).toMatchObject([{ status: "active", paused_at: null }]);
  await byCron();
  await expect.poll(() => statuses(endpoint)).toEqual(["Success"]);
});

async function statuses(endpoint: string): Promise<unknown[]> {
  const { body } = await call(env, "GET", `/endpoint/${endpoint}/delivery`);
  return (body.data as { status: string }[]).map(({ status }) => status);
}
