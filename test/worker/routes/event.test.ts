/** /event: the log as its owner sees it, and sending again. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { failing, recording } from "../../support/operations.ts";
import {
  accepted,
  call,
  cron,
  deliveries,
  letTimePass,
  log,
  newEndpoint,
  newEnv,
  setFaults,
} from "../../support/worker.ts";

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "log").mockImplementation(() => {});
});

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
type Env = ReturnType<typeof newEnv>;

/** Makes a todo. @returns the id of its event */
async function publish(env: Env, query = "", item = "x"): Promise<string> {
  const reply = await call(env, "POST", `/todo${query}`, { item });
  return reply.headers.get("X-Event-Id") ?? "";
}

const eventOf = async (env: Env, id: string) => (await call(env, "GET", `/event/${id}`)).body;
const setState = (env: Env, id: string, state: string) =>
  env.DB.prepare(
    `UPDATE event SET state = ?2, due_at = iif(?2 = 'pending', 0, NULL), finished_at = iif(?2 = 'pending', NULL, 1),
       accepted_at = iif(?2 = 'confirmed', 1, NULL) WHERE id = ?1`,
  )
    .bind(id, state)
    .run();

/** Waits until Convoy has sent `count` deliveries. */
const delivered = (env: Env, count: number) =>
  vi.waitFor(async () => {
    const all = await deliveries(env);
    expect(all.filter(({ status }) => status === "Success")).toHaveLength(count);
    return all;
  });

describe("GET /event/:id", () => {
  test("tells what happened, how far it is, and what became of each delivery", async () => {
    const env = newEnv();
    const endpoint = await newEndpoint(env);
    const id = await publish(env, `?endpoint=${endpoint}`, "milk");
    await delivered(env, 1);
    const { status, body } = await call(env, "GET", `/event/${id}`);
    expect(status).toBe(200);
    expect(body).toEqual({
      id,
      sequence: 1,
      type: "created",
      endpoint_id: endpoint,
      todo_id: body.todo.id,
      todo: { id: body.todo.id, item: "milk", completed: false },
      state: "accepted",
      attempts: 0,
      replays: 0,
      error: null,
      occurred_at: expect.stringMatching(ISO),
      accepted_at: expect.stringMatching(ISO),
      finished_at: null,
      next_try_at: expect.stringMatching(ISO),
      deliveries: [
        {
          id: expect.any(String),
          endpoint_id: endpoint,
          event_type: "created",
          idempotency_key: id,
          status: "Success",
          attempts: 1,
          max_attempts: expect.any(Number),
          next_attempt_at: null,
          created_at: expect.any(String),
          updated_at: expect.any(String),
        },
      ],
    });
  });

  test.each([
    [
      "is away",
      (env: Env) => setFaults(env, { status: 503 }).then(() => env),
      /Convoy answered 503/,
    ],
    ["is not set up", async (env: Env) => ({ ...env, CONVOY_API_KEY: "" }), /CONVOY_API_KEY/],
  ])("is answered from the log while Convoy %s", async (_, broken, reason) => {
    const env = newEnv();
    const id = await publish(env);
    const { status, body } = await call(await broken(env), "GET", `/event/${id}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ id, state: "accepted", deliveries: null });
    expect(body.deliveries_error).toMatch(reason);
  });

  test("of an event that is not there is a 404, and Convoy is not asked", async () => {
    const watched = recording(newEnv());
    const reply = await call(watched.env, "GET", "/event/none");
    expect(reply).toMatchObject({ status: 404, body: { error: "Event not found" } });
    expect(watched.operations.filter(({ on }) => on === "Convoy")).toEqual([]);
  });

  test("says when a pending event is tried next, and why the last try failed", async () => {
    const env = newEnv();
    await setFaults(env, { status: 503 });
    const id = await publish(env);
    expect(await eventOf(env, id)).toMatchObject({
      state: "pending",
      error: "Convoy answered 503",
      accepted_at: null,
      next_try_at: expect.stringMatching(ISO),
    });
  });
});

describe("GET /event", () => {
  async function some(env: Env) {
    const endpoint = await newEndpoint(env);
    const todo = await call(env, "POST", "/todo", { id: 1, item: "x" });
    await call(env, "PUT", `/todo/1?endpoint=${endpoint}`, { completed: true });
    await call(env, "DELETE", "/todo/1");
    await call(env, "POST", `/endpoint/${endpoint}/ping`);
    await setState(env, todo.headers.get("X-Event-Id") ?? "", "dead");
    return endpoint;
  }
  const typesOf = async (env: Env, query: string) =>
    (await call(env, "GET", `/event${query}`)).body.data.map(({ type }: { type: string }) => type);

  test("lists the newest first, without deliveries", async () => {
    const env = newEnv();
    await some(env);
    const { body } = await call(env, "GET", "/event");
    expect(body.cursor).toBeUndefined();
    expect(body.data.map(({ sequence }: { sequence: number }) => sequence)).toEqual([4, 3, 2, 1]);
    expect(body.data[1]).toMatchObject({ type: "deleted", todo_id: 1, todo: null });
    expect(body.data[0]).not.toHaveProperty("deliveries");
  });

  test("filters by state, type and endpoint, and by all of them at once", async () => {
    const env = newEnv();
    const endpoint = await some(env);
    expect(await typesOf(env, "?state=dead")).toEqual(["created"]);
    expect(await typesOf(env, "?state=accepted")).toEqual(["ping", "deleted", "updated"]);
    expect(await typesOf(env, "?type=updated")).toEqual(["updated"]);
    expect(await typesOf(env, `?endpoint=${endpoint}`)).toEqual(["ping", "updated"]);
    expect(await typesOf(env, `?endpoint=${endpoint}&state=accepted&type=ping`)).toEqual(["ping"]);
    expect(await typesOf(env, "?state=confirmed")).toEqual([]);
    expect(await typesOf(env, "?endpoint=none")).toEqual([]);
  });

  test.each([1, 2, 3, 4, 5])(
    "in pages of %d gives each event once, new ones meanwhile or not",
    async (limit) => {
      const env = newEnv();
      await some(env);
      const seen: number[] = [];
      let cursor: string | undefined;
      let pages = 0;
      do {
        const query = cursor ? `&cursor=${cursor}` : "";
        const { body } = await call(env, "GET", `/event?limit=${limit}${query}`);
        seen.push(...body.data.map(({ sequence }: { sequence: number }) => sequence));
        cursor = body.cursor;
        pages++;
        await publish(env);
      } while (cursor);
      expect(seen).toEqual([4, 3, 2, 1]);
      expect(pages).toBe(Math.ceil(4 / limit));
    },
  );

  test.each([
    ["state=sent", "state"],
    ["state=", "state"],
    ["type=retrieved", "type"],
    ["limit=0", "limit"],
    ["limit=1001", "limit"],
    ["limit=x", "limit"],
    ["cursor=0", "cursor"],
    ["cursor=-1", "cursor"],
    ["cursor=abc", "cursor"],
    ["cursor=99999999999999999999", "cursor"],
    ["endpoint=", "endpoint"],
  ])("?%s is a 400 that names it", async (query, path) => {
    const reply = await call(newEnv(), "GET", `/event?${query}`);
    expect(reply).toMatchObject({ status: 400, body: { details: [{ path }] } });
  });
});

describe("POST /event/:id/replay", () => {
  test("sends a finished event again under a new key, with the same event_id and body", async () => {
    const env = newEnv();
    await newEndpoint(env);
    const id = await publish(env);
    await delivered(env, 1);
    await setState(env, id, "confirmed");

    const reply = await call(env, "POST", `/event/${id}/replay`);
    expect(reply).toMatchObject({
      status: 202,
      body: { data: "Event queued", event_id: id, idempotency_key: `${id}:1` },
    });
    expect(reply.headers.get("X-Event-Id")).toBe(id);
    const [first, second] = await delivered(env, 2);
    expect(second?.body).toBe(first?.body);
    expect(JSON.parse(second?.body ?? "").event_id).toBe(id);
    expect([first?.idempotency_key, second?.idempotency_key]).toEqual([id, `${id}:1`]);
    expect(await eventOf(env, id)).toMatchObject({ state: "accepted", replays: 1 });

    await setState(env, id, "confirmed");
    expect((await call(env, "POST", `/event/${id}/replay`)).body.idempotency_key).toBe(`${id}:2`);
    await delivered(env, 3);
  });

  test("sends a dead event under its own key: Convoy never took it", async () => {
    const env = newEnv();
    await newEndpoint(env);
    await setFaults(env, { status: 413 });
    const id = await publish(env);
    expect(await eventOf(env, id)).toMatchObject({ state: "dead", error: "Convoy answered 413" });
    expect(await accepted(env)).toEqual([]);
    await setFaults(env, {});
    const reply = await call(env, "POST", `/event/${id}/replay`);
    expect(reply).toMatchObject({ status: 202, body: { idempotency_key: id } });
    expect(await eventOf(env, id)).toMatchObject({ state: "accepted", error: null, replays: 0 });
    await delivered(env, 1);
  });

  test("is done by the sweeper where Convoy is away", async () => {
    const env = newEnv();
    await newEndpoint(env);
    const id = await publish(env);
    await delivered(env, 1);
    await setFaults(env, { status: 503 });
    expect((await call(env, "POST", `/event/${id}/replay`)).status).toBe(202);
    expect(await eventOf(env, id)).toMatchObject({ state: "pending", replays: 1 });
    await setFaults(env, {});
    await letTimePass(env);
    await cron(env);
    await delivered(env, 2);
  });

  test("of an event that is still on its way is a 409, and sends nothing", async () => {
    const env = newEnv();
    await newEndpoint(env);
    await setFaults(env, { status: 503 });
    const id = await publish(env);
    await setFaults(env, {});
    const reply = await call(env, "POST", `/event/${id}/replay`);
    expect(reply).toMatchObject({
      status: 409,
      body: { error: expect.stringMatching(/on its way/) },
    });
    expect(await accepted(env)).toEqual([]);
  });

  test("asked for by many at once sends it once", async () => {
    const env = newEnv();
    await newEndpoint(env);
    const id = await publish(env);
    await delivered(env, 1);
    await setState(env, id, "confirmed");
    const slow = failing(env, () => false);
    const replies = await Promise.all(
      Array.from({ length: 5 }, () => call(slow, "POST", `/event/${id}/replay`)),
    );
    const queued = replies.filter(({ status }) => status === 202);
    expect(replies.map(({ status }) => status).every((s) => s === 202 || s === 409)).toBe(true);
    const keys = queued.map(({ body }) => body.idempotency_key);
    expect(new Set(keys).size).toBe(keys.length);
    await delivered(env, 1 + queued.length);
  });

  test("changes no todo", async () => {
    const env = newEnv();
    const added = await call(env, "POST", "/todo", { id: 1, item: "old" });
    await call(env, "PUT", "/todo/1", { item: "new" });
    const id = added.headers.get("X-Event-Id") ?? "";
    await setState(env, id, "confirmed");
    expect((await call(env, "POST", `/event/${id}/replay`)).status).toBe(202);
    await letTimePass(env);
    await cron(env);
    expect((await call(env, "GET", "/todo/1")).body.item).toBe("new");
  });

  test("of an event that is not there is a 404", async () => {
    const reply = await call(newEnv(), "POST", "/event/none/replay");
    expect(reply).toMatchObject({ status: 404, body: { error: "Event not found" } });
  });
});

describe("POST /event/replay", () => {
  test("opens all dead events of the owner for the sweeper, and no other", async () => {
    const env = newEnv();
    await newEndpoint(env);
    await setFaults(env, { status: 413 });
    const dead = [await publish(env), await publish(env)];
    await setFaults(env, {});
    const fine = await publish(env);
    await setFaults(env, { status: 413 });
    const theirs = await publish(env);
    await env.DB.prepare("UPDATE event SET owner = 'somebody' WHERE id = ?").bind(theirs).run();
    await setFaults(env, {});

    const reply = await call(env, "POST", "/event/replay", { state: "dead" });
    expect(reply).toMatchObject({ status: 202, body: { replayed: 2, data: "2 events queued" } });
    const states = Object.fromEntries((await log(env)).map(({ id, state }) => [id, state]));
    expect(states).toMatchObject({ [theirs]: "dead", [fine]: "accepted" });
    expect(dead.map((id) => states[id])).toEqual(["pending", "pending"]);

    await cron(env);
    const keys = (await delivered(env, 3)).map(({ idempotency_key }) => idempotency_key);
    expect(keys.sort()).toEqual([...dead, fine].sort());
    expect((await call(env, "POST", "/event/replay", { state: "dead" })).body.replayed).toBe(0);
  });

  test.each<[body: unknown, status: number]>([
    [{}, 400],
    [{ state: "accepted" }, 400],
    [{ state: "dead", more: 1 }, 400],
    ["{", 400],
    [undefined, 415],
  ])("with %j is a %d", async (body, status) => {
    const env = newEnv();
    await setFaults(env, { status: 413 });
    await publish(env);
    expect((await call(env, "POST", "/event/replay", body)).status).toBe(status);
    expect(await log(env)).toMatchObject([{ state: "dead" }]);
  });
});
