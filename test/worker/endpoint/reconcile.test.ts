/** Reconcile: D1's records come to say what Convoy has, whoever made it, and whatever was cut off. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  type Bindings,
  RECONCILE_AGE_MS,
  RECONCILE_PAGE,
  SYNC_BUDGET,
} from "../../../src/config.ts";
import { atConvoy, differencesOf, passTime, records, runCronAt } from "../../support/cut-worker.ts";
import { recording } from "../../support/operations.ts";
import { call, newEndpoint, newEnv, setFaults } from "../../support/worker.ts";

const FIELDS = { name: "mine", url: "https://receiver.example/mine" };
const LATER_MS = RECONCILE_AGE_MS + 1_000;

let env: Bindings;
beforeEach(() => {
  vi.spyOn(console, "log").mockImplementation(() => {});
  vi.spyOn(console, "error").mockImplementation(() => {});
  env = newEnv();
});
afterEach(() => void vi.useRealTimers());

const sync = (by = env) => call(by, "POST", "/endpoint/sync");
const byCron = (by = env) => runCronAt(by, 5);

/** Makes an endpoint as the portal does. @returns its id */
async function makeInPortal(fields: object, subscribe = true): Promise<string> {
  const made = { owner_id: "default", ...FIELDS, ...fields };
  const { uid } = await atConvoy<{ uid: string }>(env, "POST", "/endpoints", made);
  const filter_config = { event_types: ["*"] };
  const subscription = { name: "s", endpoint_id: uid, filter_config };
  if (subscribe) await atConvoy(env, "POST", "/subscriptions", subscription);
  return uid;
}

describe.each([
  ["the cron", byCron],
  ["POST /endpoint/sync", sync],
])("%s", (_, reconcile) => {
  test("adopts what the portal made, and it works like any other", async () => {
    const id = await makeInPortal({ description: "by hand", http_timeout: 30 });
    passTime(LATER_MS);
    await reconcile();
    const { body } = await call(env, "GET", `/endpoint/${id}`);
    expect(body).toMatchObject({ ...FIELDS, description: "by hand", http_timeout: 30 });
    expect(body.status).toBe("active");
    expect(await differencesOf(env)).toEqual([]);
    expect((await call(env, "PUT", `/endpoint/${id}`, { name: "renamed" })).status).toBe(200);
    expect((await call(env, "POST", `/todo?endpoint=${id}`, { item: "x" })).status).toBe(201);
    expect((await call(env, "DELETE", `/endpoint/${id}`)).status).toBe(200);
  });

  test("does not adopt what is younger than five minutes", async () => {
    await makeInPortal({});
    await reconcile();
    expect(await records(env)).toEqual([]);
  });

  test.each<[string, object, boolean]>([
    ["has no owner", { owner_id: "" }, true],
    ["has no subscription", {}, false],
  ])("does not adopt what %s", async (_, fields, subscribe) => {
    await makeInPortal(fields, subscribe);
    passTime(LATER_MS);
    await reconcile();
    expect(await records(env)).toEqual([]);
  });

  test("adopts nothing of another project; ours are missing until the right key is back", async () => {
    const mine = await newEndpoint(env);
    await makeInPortal({});
    passTime(LATER_MS);
    await reconcile({ ...env, CONVOY_PROJECT_ID: "another" });
    expect(await records(env)).toMatchObject([{ id: mine, status: "missing" }]);
    passTime(LATER_MS);
    await reconcile();
    expect(await records(env)).toHaveLength(2);
    expect(await differencesOf(env)).toEqual([]);
  });

  test("follows a name, URL and status that were changed in the portal", async () => {
    const id = await newEndpoint(env);
    const changed = { name: "changed", url: "https://receiver.example/changed", http_timeout: 20 };
    await atConvoy(env, "PUT", `/endpoints/${id}`, { ...changed, owner_id: "default" });
    await atConvoy(env, "PUT", `/endpoints/${id}/pause`);
    passTime(LATER_MS);
    await reconcile();
    expect((await call(env, "GET", `/endpoint/${id}`)).body).toMatchObject({
      ...changed,
      status: "paused",
    });
    await atConvoy(env, "PUT", `/endpoints/${id}/pause`);
    passTime(LATER_MS);
    await reconcile();
    // Active only once Convoy has taken back what the pause discarded.
    expect((await call(env, "GET", `/endpoint/${id}`)).body.status).toBe("activating");
    passTime(LATER_MS);
    await byCron();
    expect((await call(env, "GET", `/endpoint/${id}`)).body.status).toBe("active");
  });

  test("marks as missing what Convoy no longer has, and removes no record", async () => {
    const gone = await newEndpoint(env);
    const stays = await newEndpoint(env);
    const { name } = (await records(env))[0] ?? { name: "" };
    await atConvoy(env, "DELETE", `/endpoints/${gone}`);
    passTime(LATER_MS);
    await reconcile();
    expect(await records(env)).toMatchObject([
      { id: gone, name, status: "missing" },
      { id: stays, status: "active" },
    ]);
    // The portal's owner removed one of two: the other is not touched.
    expect((await call(env, "DELETE", `/endpoint/${gone}`)).status).toBe(200);
  });

  test("changes nothing where the key is wrong or Convoy does not answer", async () => {
    await newEndpoint(env);
    await makeInPortal({});
    passTime(LATER_MS);
    const before = await records(env);
    await reconcile({ ...env, CONVOY_API_KEY: "wrong" });
    for (const status of [401, 404, 429, 500, 503]) {
      await setFaults(env, { status });
      await reconcile();
    }
    await setFaults(env, { drop: true });
    await reconcile();
    expect(await records(env)).toEqual(before);
  });

  test("does the same thing twice without a change", async () => {
    await newEndpoint(env);
    await makeInPortal({});
    passTime(LATER_MS);
    await reconcile();
    const before = await records(env);
    passTime(LATER_MS);
    await reconcile();
    expect(await records(env)).toEqual(before);
  });
});

test.each(["pausing", "activating"])(
  "it leaves an endpoint that is %s to the pause",
  async (status) => {
    await newEndpoint(env);
    await env.DB.prepare("UPDATE endpoint SET status = ?").bind(status).run();
    passTime(LATER_MS);
    expect((await sync()).body).toMatchObject({ updated: 0, missing: 0, complete: true });
    expect(await records(env)).toMatchObject([{ status }]);
  },
);

test("what it does not adopt it does not count", async () => {
  await makeInPortal({}, false);
  passTime(LATER_MS);
  expect((await sync()).body).toMatchObject({ adopted: 0, complete: true });
});

test("the cron reconciles for all owners, POST /endpoint/sync only for its caller", async () => {
  await makeInPortal({ owner_id: "alice" });
  await makeInPortal({ owner_id: "default" });
  passTime(LATER_MS);
  expect(await sync()).toMatchObject({
    status: 200,
    body: { adopted: 1, removed: 0, updated: 0, missing: 0, complete: true },
  });
  expect((await records(env)).map(({ owner }) => owner)).toEqual(["default"]);
  await byCron();
  expect((await records(env)).map(({ owner }) => owner).sort()).toEqual(["alice", "default"]);
});

test("it says that it did not get to the end, and marks nothing then", async () => {
  await newEndpoint(env);
  const gone = await newEndpoint(env);
  await atConvoy(env, "DELETE", `/endpoints/${gone}`);
  passTime(LATER_MS);
  await setFaults(env, { status: 503 });
  expect((await sync()).body).toMatchObject({ missing: 0, complete: false });
  await setFaults(env, {});
  expect((await sync()).body).toMatchObject({ missing: 1, complete: true });
});

test("it reads all pages, and then knows what is missing", async () => {
  const gone = await newEndpoint(env);
  await atConvoy(env, "DELETE", `/endpoints/${gone}`);
  for (let i = 0; i < RECONCILE_PAGE + 1; i++) {
    await env.DB.prepare(
      `INSERT INTO endpoint (id, owner, name, url, description, http_timeout_s, status, created_at, updated_at)
       VALUES (?, 'default', 'mine', 'https://receiver.example/mine', '', 10, 'active', 0, 0)`,
    )
      .bind(await makeInPortal({}, false))
      .run();
  }
  passTime(LATER_MS);
  const watched = recording(env);
  expect((await sync(watched.env)).body).toMatchObject({ missing: 1, complete: true });
  expect(watched.operations.filter(({ what }) => what === "GET /endpoints")).toHaveLength(2);
});

test("it stops within its budget, and says that it is not complete", async () => {
  for (let i = 0; i < SYNC_BUDGET; i++) await makeInPortal({}, false);
  passTime(LATER_MS);
  const watched = recording(env);
  expect((await sync(watched.env)).body.complete).toBe(false);
  expect(watched.operations.length).toBeLessThanOrEqual(SYNC_BUDGET);
});

test("an endpoint that the portal activates gets back what its pause discarded", async () => {
  const endpoint = await newEndpoint(env);
  expect((await call(env, "POST", `/endpoint/${endpoint}/pause`)).status).toBe(200);
  expect((await call(env, "POST", `/todo?endpoint=${endpoint}`, { item: "x" })).status).toBe(201);
  expect(await statuses(endpoint)).toEqual(["Discarded"]);
  // Convoy's toggle, pressed by somebody else.
  await atConvoy(env, "PUT", `/endpoints/${endpoint}/pause`);
  passTime(LATER_MS);
  await byCron();
  passTime(LATER_MS);
  await byCron();
  await expect.poll(() => statuses(endpoint)).toEqual(["Success"]);
  expect(await records(env)).toMatchObject([{ status: "active", paused_at: null }]);
});

async function statuses(endpoint: string): Promise<unknown[]> {
  const { body } = await call(env, "GET", `/endpoint/${endpoint}/delivery`);
  return (body.data as { status: string }[]).map(({ status }) => status);
}
