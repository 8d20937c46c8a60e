/** Replaying events: one, or all dead ones. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import {
  confirm,
  delivered,
  eventOf,
  publish,
  setState,
  walkingNow,
} from "../../support/events.ts";
import { recording } from "../../support/operations.ts";
import { scripted } from "../../support/scripted-convoy.ts";
import {
  accepted,
  call,
  cron,
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

  test("sends a dead event under its own key, as Convoy never took it", async () => {
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

  test("is done by the cron if Convoy is down", async () => {
    const env = newEnv();
    await newEndpoint(env);
    const id = await publish(env);
    await delivered(env, 1);
    await confirm(env);
    await setFaults(env, { status: 503 });
    expect((await call(env, "POST", `/event/${id}/replay`)).status).toBe(202);
    expect(await eventOf(env, id)).toMatchObject({ state: "pending", replays: 1 });
    await setFaults(env, {});
    await letTimePass(env);
    await cron(env);
    await delivered(env, 2);
  });

  test.each([
    ["pending", { status: 503 }],
    ["accepted", { swallow: true }],
  ])("of an event that is still %s is a 409 and sends nothing", async (state, faults) => {
    const env = newEnv();
    await newEndpoint(env);
    await setFaults(env, faults);
    const id = await publish(env);
    await setFaults(env, {});
    const before = await log(env);
    expect(before).toMatchObject([{ state }]);
    const { env: watched, operations } = recording(env);
    const reply = await call(watched, "POST", `/event/${id}/replay`);
    expect(reply).toMatchObject({
      status: 409,
      body: { error: expect.stringMatching(/on its way/) },
    });
    expect(operations.filter(({ on }) => on === "Convoy")).toEqual([]);
    expect(await log(env)).toEqual(before);
  });

  test("takes a new key if Convoy lists the event as a failure, as it never takes the old one again", async () => {
    const env = newEnv();
    const id = await publish(env);
    const failure = { idempotency_key: id, status: "Failure", endpoints: ["gone"] };
    await cron(walkingNow(scripted(env, { list: () => ({ events: [failure] }) }).env));
    expect(await eventOf(env, id)).toMatchObject({ state: "dead", replays: 0 });
    const reply = await call(env, "POST", `/event/${id}/replay`);
    expect(reply.body.idempotency_key).toBe(`${id}:1`);
    expect((await accepted(env)).map((event) => event.idempotency_key)).toEqual([id, `${id}:1`]);
  });

  test("by concurrent callers sends the event once for each 202, each under its own key", async () => {
    const env = newEnv();
    await newEndpoint(env);
    const id = await publish(env);
    await delivered(env, 1);
    await setState(env, id, "confirmed");
    const replies = await Promise.all(
      Array.from({ length: 5 }, () => call(env, "POST", `/event/${id}/replay`)),
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

  test("of an unknown event is a 404", async () => {
    const reply = await call(newEnv(), "POST", "/event/none/replay");
    expect(reply).toMatchObject({ status: 404, body: { error: "Event not found" } });
  });
});

describe("POST /event/replay", () => {
  test("makes all of the owner's dead events pending, and no others", async () => {
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
