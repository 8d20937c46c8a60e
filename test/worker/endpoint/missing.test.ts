/** Endpoints that Convoy does not have: a 404 is no proof, and what was removed stays so. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Bindings } from "../../../src/settings.ts";
import { atConvoy, inConvoy, listAtConvoy, passTime, records } from "../../support/cut-worker.ts";
import { withConvoy } from "../../support/operations.ts";
import {
  call,
  cron,
  deliveries,
  logged,
  newEndpoint,
  quietEnv,
  setFaults,
} from "../../support/worker.ts";

const DAY_MS = 86_400_000;

let env: Bindings;
let id: string;
beforeEach(async () => {
  env = quietEnv();
  id = await newEndpoint(env);
});
afterEach(() => void vi.useRealTimers());

const get = async () => (await call(env, "GET", `/endpoint/${id}`)).body;
const change = (what: string) =>
  what === "PUT"
    ? call(env, "PUT", `/endpoint/${id}`, { name: "N" })
    : call(env, "POST", `/endpoint/${id}/${what}`);

async function minutes(count: number, by = env): Promise<void> {
  for (let minute = 0; minute < count; minute++) {
    passTime(60_000);
    await cron(by);
  }
}

/** Another project's key: it has its own, empty lists. */
const foreign = () =>
  withConvoy(env, async (request) => {
    const { pathname } = new URL(request.url);
    const path = pathname.replace(/^.*\/projects\/[^/]+/, "");
    const data =
      path === "" ? { uid: "other" } : { content: [], pagination: { has_next_page: false } };
    if (request.method === "GET" && !/^\/endpoints\/./.test(path)) {
      return Response.json({ status: true, message: "", data });
    }
    const message = "Resource not found";
    return Response.json({ status: false, message }, { status: 404 });
  });

describe("one that was removed in Convoy's dashboard", () => {
  beforeEach(() => atConvoy(env, "DELETE", `/endpoints/${id}`));

  test.each(["PUT", "rotate-secret"])(
    "%s is a 409 that says so; the record is missing, and can be removed",
    async (what) => {
      for (let time = 0; time < 2; time++) {
        const reply = await change(what);
        expect(reply).toMatchObject({
          status: 409,
          body: { error: expect.stringMatching(/^Convoy does not have this endpoint any more/) },
        });
        expect(await get()).toMatchObject({ status: "missing", name: "Receiver" });
      }
      expect((await call(env, "DELETE", `/endpoint/${id}`)).status).toBe(200);
    },
  );

  test("activate of it is a 409, too, and leaves nothing pending", async () => {
    await change("PUT");
    expect((await change("activate")).status).toBe(409);
    await minutes(2);
    expect(await get()).not.toHaveProperty("pending");
  });

  test("is found by a post, and by the cron's round; what it should get is held", async () => {
    await call(env, "POST", "/todo", { item: "x" });
    await minutes(2);
    expect(await get()).toMatchObject({ status: "missing" });
    await minutes(8);
    expect((await logged(env)).map(({ status }) => status)).toEqual(["held"]);
  });

  test("is active again, by itself, once Convoy has it, and gets what was held", async () => {
    await call(env, "POST", "/todo", { item: "x" });
    await minutes(8);
    await inConvoy(env, id);
    await minutes(8);
    expect(await get()).toMatchObject({ status: "active" });
    expect(await get()).not.toHaveProperty("error");
    await minutes(2);
    expect((await logged(env)).map(({ status }) => status)).toEqual(["sending"]);
  });
});

test("a deleted endpoint is not taken for active because a delivery to it is listed", async () => {
  await call(env, "POST", "/todo", { item: "x" });
  await vi.waitFor(async () => {
    expect(await deliveries(env)).toMatchObject([{ status: "Success" }]);
  });
  await atConvoy(env, "DELETE", `/endpoints/${id}`);
  await change("PUT");
  await vi.waitFor(async () => {
    // An isolate looks at Convoy only every few seconds.
    passTime(10_000);
    const { body } = await call(env, "GET", "/delivery");
    expect(body.data).toMatchObject([{ status: "delivered" }]);
  });
  expect(await get()).toMatchObject({ status: "missing" });
});

describe("a 404 is no proof", () => {
  test("with Convoy's Postgres down the record stays what it was, and nobody is told to remove it", async () => {
    await setFaults(env, { postgres_down: true });
    expect(await change("PUT")).toMatchObject({ status: 202, body: { status: "active" } });
    expect((await change("rotate-secret")).status).toBe(503);
    const made = await call(env, "POST", "/endpoint", { name: "n", url: "https://n.example/" });
    expect(made).toMatchObject({ status: 503, body: { error: "Convoy answered 400. Try again." } });
    await call(env, "POST", "/todo", { item: "x" });
    await minutes(10);
    expect(await get()).toMatchObject({ status: "active", name: "N", pending: true });
    expect((await get()).error).not.toMatch(/any more/);
    await setFaults(env, {});
    await minutes(61);
    expect(await get()).toMatchObject({ status: "active", name: "N" });
    expect(await get()).not.toHaveProperty("pending");
  });

  test("with another project's key nothing becomes missing", async () => {
    const by = foreign();
    await minutes(12, by);
    expect(await get()).toMatchObject({ status: "active" });
    const reply = await call(by, "PUT", `/endpoint/${id}`, { name: "N" });
    expect(reply).toMatchObject({ status: 202, body: { pending: true } });
    expect(reply.body.error).toMatch(/CONVOY_API_KEY belongs to another project/);
  });
});

describe("a removal", () => {
  test("with another project's key stays due, and is carried out once the key is right", async () => {
    const by = foreign();
    expect((await call(by, "DELETE", `/endpoint/${id}`)).status).toBe(200);
    await minutes(30, by);
    expect(await records(env)).toMatchObject([{ wanted: "removed", due_at: expect.any(Number) }]);
    expect(await listAtConvoy(env, "endpoints")).toHaveLength(1);
    await minutes(61);
    expect(await listAtConvoy(env, "endpoints")).toEqual([]);
    expect(await records(env)).toMatchObject([{ wanted: "removed", due_at: null }]);
  });

  test("is not taken for done while Convoy's Postgres is down", async () => {
    await setFaults(env, { postgres_down: true });
    await call(env, "DELETE", `/endpoint/${id}`);
    await minutes(5);
    await setFaults(env, {});
    await minutes(61);
    expect(await listAtConvoy(env, "endpoints")).toEqual([]);
  });

  test.each([
    ["the cron", () => minutes(7)],
    ["a sync", async () => void (await call(env, "POST", "/endpoint/sync"))],
  ])("that a restored Convoy has undone is found by %s, and made again", async (_, find) => {
    await call(env, "DELETE", `/endpoint/${id}`);
    await inConvoy(env, id);
    expect(await listAtConvoy(env, "endpoints")).toHaveLength(1);
    await find();
    expect(await listAtConvoy(env, "endpoints")).toEqual([]);
    expect((await call(env, "GET", "/endpoint")).body.data).toEqual([]);
  });

  test("is remembered for 30 days, and then forgotten", async () => {
    await call(env, "DELETE", `/endpoint/${id}`);
    passTime(29 * DAY_MS);
    await cron(env);
    expect(await records(env)).toHaveLength(1);
    passTime(2 * DAY_MS);
    await cron(env);
    expect(await records(env)).toEqual([]);
  });

  test("that is not done yet is not forgotten", async () => {
    await call(foreign(), "DELETE", `/endpoint/${id}`);
    passTime(31 * DAY_MS);
    await cron(foreign());
    expect(await records(env)).toHaveLength(1);
  });
});
