/** A creation ends in a working endpoint or in none, whatever Convoy answers and whoever dies. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Bindings } from "../../../src/settings.ts";
import {
  atConvoy,
  cutCall,
  differencesOf,
  listAtConvoy,
  passTime,
  records,
} from "../../support/cut-worker.ts";
import {
  acceptance,
  around,
  failing,
  type Operation,
  recording,
  refusalOf,
} from "../../support/operations.ts";
import { call, cron, deliveries, newEnv, quietEnv } from "../../support/worker.ts";

const FIELDS = { name: "mine", url: "https://receiver.example/mine" };
const CUT_OFF_MS = 5 * 60_000 + 1_000;

let env: Bindings;
beforeEach(() => {
  env = quietEnv();
});
afterEach(() => void vi.useRealTimers());

const create = (by = env) => call(by, "POST", "/endpoint", FIELDS);
const isCreate = ({ on, what }: Operation) => on === "Convoy" && what === "POST /endpoints";
const isSubscribe = ({ on, what }: Operation) => on === "Convoy" && what === "POST /subscriptions";
const isFinish = ({ what }: Operation) => /SET id = /.test(what);
const D1_LOST = new Error("D1_ERROR: Network connection lost.");

/** The bindings, with the first operation that matches answered by `answer`, done or not. */
function once(
  by: Bindings,
  matches: (one: Operation) => boolean,
  answer: () => unknown,
  done = false,
) {
  let left = 1;
  return around(by, async (operation, run) => {
    if (!matches(operation) || left-- <= 0) return run();
    if (done) await run();
    return answer();
  });
}
const fail = (error: Error) => () => Promise.reject(error);

/** Lets cut-off creations be found, as often as the cron retries. */
async function later(by = env): Promise<void> {
  passTime(CUT_OFF_MS);
  for (let minute = 0; minute < 3; minute++) {
    await cron(by);
    passTime(61_000);
  }
}

describe("a creation that fails leaves nothing", () => {
  const anotherProject = async (request: Request) => {
    const response = await fetch(request);
    const text = (await response.text()).replaceAll('"project_id":"local"', '"project_id":"other"');
    return new Response(text, response);
  };
  const cases: [string, (by: Bindings) => Bindings, number, RegExp][] = [
    [
      "D1 fails before Convoy",
      (by) => once(by, ({ what }) => what.includes("'creating'"), fail(D1_LOST)),
      503,
      /database/,
    ],
    [
      "Convoy refuses the URL",
      (by) => once(by, isCreate, () => refusalOf(400, "endpoint url must be a valid url")),
      400,
      /^Convoy refused the endpoint: endpoint url must be a valid url\.$/,
    ],
    [
      "Convoy cannot ping the URL",
      (by) =>
        once(by, isCreate, () => refusalOf(400, "failed to ping tls endpoint: dial 10.0.0.1")),
      400,
      /could not reach the URL/,
    ],
    [
      "Convoy rejects the key",
      (by) => once(by, isCreate, () => refusalOf(401, "x")),
      502,
      /CONVOY_API_KEY/,
    ],
    [
      "the key is another project's",
      (by) => ({ ...by, CONVOY: { fetch: anotherProject as never } }),
      502,
      /CONVOY_API_KEY belongs to another project/,
    ],
    [
      "Convoy fails at the subscription",
      (by) => once(by, isSubscribe, () => refusalOf(500, "x")),
      503,
      /500/,
    ],
    [
      "the subscription's answer is lost",
      (by) => once(by, isSubscribe, fail(new TypeError("lost")), true),
      503,
      /not reachable/,
    ],
    ["D1 is lost at the record", (by) => once(by, isFinish, fail(D1_LOST)), 503, /database/],
    [
      "D1 is lost after the record",
      (by) => once(by, isFinish, fail(D1_LOST), true),
      503,
      /database/,
    ],
  ];
  test.each(cases)("%s", async (_, broken, status, says) => {
    const reply = await create(broken(env));
    expect(reply).toMatchObject({ status, body: { error: expect.stringMatching(says) } });
    expect(reply.headers.has("Retry-After")).toBe(status === 503);
    expect((await call(env, "GET", "/endpoint")).body.data).toEqual([]);
    await later();
    expect(await listAtConvoy(env, "endpoints")).toEqual([]);
    expect(await listAtConvoy(env, "subscriptions")).toEqual([]);
    expect((await call(env, "GET", "/endpoint")).body.data).toEqual([]);
  });

  test.each([
    ["a 201 without a uid", () => acceptance({ name: "mine" })],
    ["a 201 with data: null", () => acceptance(null)],
    ["a web page", () => new Response("<html>", { status: 200 })],
  ])(
    "%s: 502, what was made is removed, and nothing is asked of /endpoints/undefined",
    async (_, answer) => {
      const watched = recording(once(env, isCreate, answer, true));
      expect((await create(watched.env)).status).toBe(502);
      expect(await listAtConvoy(env, "endpoints")).toHaveLength(1);
      await later(watched.env);
      expect(await listAtConvoy(env, "endpoints")).toEqual([]);
      expect(watched.operations.filter(({ what }) => what.includes("undefined"))).toEqual([]);
    },
  );

  test.each([
    ...[400, 402, 403, 404, 409, 422, 429, 503].map((status) => [5, status] as const),
    ...([500, null] as const).map((status) => [50, status] as const),
  ])(
    "%i that Convoy answered %s do not count: with Convoy well the next is a 201",
    async (count, status) => {
      env = { ...env, ENDPOINTS_MAX: "2" };
      const broken = around(env, async (one, run) => {
        if (!isCreate(one)) return run();
        if (status === null) throw new TypeError("fetch failed");
        return refusalOf(status, "whatever");
      });
      for (let n = 0; n < count; n++) {
        const reply = await create(broken);
        expect([502, 503]).toContain(reply.status);
      }
      expect((await create()).status).toBe(201);
      passTime(CUT_OFF_MS);
      // A run clears away five at least.
      for (let run = 0; run < Math.max(count / 5, 3); run++) {
        await cron(env);
        passTime(61_000);
      }
      expect(await records(env)).toMatchObject([{ wanted: "active" }]);
      expect(await differencesOf(env)).toEqual([]);
    },
  );
});

describe("a creation that is cut off", () => {
  test.each([
    ["and nobody tries again", false],
    ["and its caller tries again", true],
  ])("at any step, %s, leaves a working endpoint or none", async (_, again) => {
    const ended = { working: 0, none: 0 };
    // A cut before an operation leaves what one after the operation before it leaves.
    for (let at = 0; ; at++) {
      vi.useRealTimers();
      env = newEnv();
      await env.DB.prepare("DELETE FROM endpoint").run();
      const { reply, operation } = await cutCall(env, at, "after", "POST", "/endpoint", FIELDS);
      if (!operation) {
        expect(reply?.status).toBe(201);
        break;
      }
      if (again) expect((await create()).status).toBe(201);
      await later();
      expect({ at, operation, found: await differencesOf(env) }).toMatchObject({
        found: [],
      });
      const { data } = (await call(env, "GET", "/endpoint")).body;
      expect(data.length).toBeGreaterThanOrEqual(Number(again));
      ended[data.length > 0 ? "working" : "none"]++;
      // A working one gets each event once.
      await call(env, "POST", "/todo", { item: "x" });
      await vi.waitFor(async () => {
        const got = (await deliveries(env)).map(({ endpoint_id }) => endpoint_id);
        expect(got.sort()).toEqual(data.map(({ id }: { id: string }) => id));
      });
    }
    expect(ended.working).toBeGreaterThan(0);
  });

  const cutInTheMiddle = () => cutCall(env, 3, "before", "POST", "/endpoint", FIELDS);

  test("is left alone while it may still be under way", async () => {
    await cutInTheMiddle();
    const before = await records(env);
    expect(before).toMatchObject([{ wanted: "creating" }]);
    await cron(env);
    expect((await call(env, "POST", "/endpoint/sync")).body).toMatchObject({
      adopted: 0,
      complete: true,
    });
    expect(await records(env)).toEqual(before);
    expect(await listAtConvoy(env, "endpoints")).toHaveLength(1);
  });

  test("is not listed, found, changed or sent to", async () => {
    await cutInTheMiddle();
    const [{ id } = { id: "" }] = await records(env);
    expect((await call(env, "GET", "/endpoint")).body.data).toEqual([]);
    for (const [method, path] of [
      ["GET", `/endpoint/${id}`],
      ["POST", `/endpoint/${id}/pause`],
      ["DELETE", `/endpoint/${id}`],
      ["POST", `/endpoint/${id}/ping`],
    ] as const) {
      expect((await call(env, method, path)).status).toBe(404);
    }
    expect((await call(env, "POST", `/todo?endpoint=${id}`, { item: "x" })).status).toBe(404);
  });

  test("keeps its draft until Convoy can be asked, and its endpoint until it can be removed", async () => {
    await cutInTheMiddle();
    await later(failing(env, ({ what }) => what.startsWith("GET /endpoints")));
    expect(await records(env)).toMatchObject([{ wanted: "creating" }]);
    await later(failing(env, ({ what }) => what.startsWith("DELETE /endpoints")));
    expect(await records(env)).toMatchObject([{ wanted: "removed", due_at: expect.any(Number) }]);
    await later();
    expect(await listAtConvoy(env, "endpoints")).toEqual([]);
  });

  test("that ends only after its draft was removed leaves nothing, and says that it took too long", async () => {
    const slow = around(env, async (one, run) => {
      if (isFinish(one)) await env.DB.prepare("DELETE FROM endpoint").run();
      return run();
    });
    expect(await create(slow)).toMatchObject({
      status: 503,
      body: { error: expect.stringMatching(/too long/) },
    });
    expect(await listAtConvoy(env, "endpoints")).toEqual([]);
  });

  test("is found though Convoy writes its URL in another way", async () => {
    await cutInTheMiddle();
    const [{ uid, name } = { uid: "", name: "" }] = await listAtConvoy(env, "endpoints");
    const url = "https://Receiver.example/%6Dine";
    await atConvoy(env, "PUT", `/endpoints/${uid}`, { name, url, owner_id: "default" });
    await later();
    expect(await listAtConvoy(env, "endpoints")).toEqual([]);
  });

  test("does not remove another owner's endpoint that looks the same", async () => {
    await cutInTheMiddle();
    await env.DB.prepare("UPDATE endpoint SET owner = 'somebody else'").run();
    await later();
    expect(await records(env)).toEqual([]);
    expect(await listAtConvoy(env, "endpoints")).toHaveLength(1);
  });

  test("of which nothing was made is forgotten only if the key is our project's", async () => {
    await cutCall(env, 2, "before", "POST", "/endpoint", FIELDS);
    expect(await records(env)).toMatchObject([{ wanted: "creating" }]);
    const project = around(env, async (one, run) =>
      one.what === "GET " ? acceptance({ uid: "other" }, 200) : run(),
    );
    await later(project);
    expect(await records(env)).toMatchObject([{ wanted: "creating" }]);
    await later();
    expect(await records(env)).toEqual([]);
  });
});

test("ENDPOINTS_MAX holds though many are created at once", async () => {
  env = { ...env, ENDPOINTS_MAX: "3" };
  const replies = await Promise.all(Array.from({ length: 6 }, () => create()));
  expect(replies.map(({ status }) => status).sort()).toEqual([201, 201, 201, 409, 409, 409]);
  const full = replies.find(({ status }) => status === 409);
  expect(full?.body.error).toMatch(/^You have 3 endpoints already/);
  expect(await listAtConvoy(env, "endpoints")).toHaveLength(3);
  expect((await call(env, "GET", "/endpoint")).body.data).toHaveLength(3);
});

test("one that D1 began too slowly is a 503, leaves nothing, and does not ask Convoy", async () => {
  const slow = around(env, async ({ what }, run) => {
    const begun = await run();
    if (what.includes("INSERT INTO endpoint")) passTime(20_000);
    return begun;
  });
  const watched = recording(slow);
  expect((await create(watched.env)).status).toBe(503);
  expect(watched.operations.filter(({ on }) => on === "Convoy")).toEqual([]);
  expect(await records(env)).toEqual([]);
  expect((await create()).status).toBe(201);
});
