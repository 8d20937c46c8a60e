/** GET /event: the log as its owner sees it. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Bindings } from "../../../src/config.ts";
import { delivered, eventOf, leaveBehind, publish, setState } from "../../support/events.ts";
import { recording } from "../../support/operations.ts";
import { call, newEndpoint, newEnv, setFaults } from "../../support/worker.ts";

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "log").mockImplementation(() => {});
});

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
describe("GET /event/:id", () => {
  test("returns what happened, how far it has got, and its deliveries", async () => {
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
      "is down",
      (env: Bindings) => setFaults(env, { status: 503 }).then(() => env),
      /Convoy answered 503/,
    ],
  ])("is answered from the log while Convoy %s", async (_, broken, reason) => {
    const env = newEnv();
    const id = await publish(env);
    const { status, body } = await call(await broken(env), "GET", `/event/${id}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ id, state: "accepted", deliveries: null });
    expect(body.deliveries_error).toMatch(reason);
  });

  test("of an unknown event is a 404 without a call to Convoy", async () => {
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
  async function some(env: Bindings) {
    const endpoint = await newEndpoint(env);
    const todo = await call(env, "POST", "/todo", { id: 1, item: "x" });
    await call(env, "PUT", `/todo/1?endpoint=${endpoint}`, { completed: true });
    await call(env, "DELETE", "/todo/1");
    await call(env, "POST", `/endpoint/${endpoint}/ping`);
    await setState(env, todo.headers.get("X-Event-Id") ?? "", "dead");
    return endpoint;
  }
  const typesOf = async (env: Bindings, query: string) =>
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
    "in pages of %d returns each event once, even as new ones arrive",
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

  describe("for an owner with 2,600 events", () => {
    /** The oldest are three pings; every 1,000th is dead. */
    async function many() {
      const env = newEnv();
      const finished = { state: "confirmed", due_at: null, finished_at: 1, accepted_at: 1 };
      await leaveBehind(env, 2_600, (n) => ({
        ...finished,
        ...(n <= 3 ? { type: "ping", todo_id: null, todo: null, stored: null } : {}),
        ...(n % 1_000 === 0 ? { state: "dead" } : {}),
      }));
      return env;
    }
    /** All pages, as lists of sequences. */
    async function pagesOf(env: Bindings, query: string): Promise<number[][]> {
      const pages: number[][] = [];
      let cursor = "";
      do {
        const { body } = await call(env, "GET", `/event?${query}${cursor}`);
        pages.push(body.data.map(({ sequence }: { sequence: number }) => sequence));
        cursor = body.cursor ? `&cursor=${body.cursor}` : "";
      } while (cursor);
      return pages;
    }

    test("finds a rare type by following the cursor through empty pages", async () => {
      expect(await pagesOf(await many(), "type=ping")).toEqual([[], [], [3, 2, 1]]);
    });

    test("finds dead events at once, however old", async () => {
      const env = await many();
      expect(await pagesOf(env, "state=dead")).toEqual([[2_000, 1_000]]);
      expect(await pagesOf(env, "state=dead&limit=1")).toEqual([[2_000], [1_000]]);
    });

    test("pages through a frequent state without gaps or repeats", async () => {
      const pages = await pagesOf(await many(), "state=confirmed&limit=700");
      const expected = Array.from({ length: 2_600 }, (_, i) => 2_600 - i);
      expect(pages.flat()).toEqual(expected.filter((n) => n % 1_000 !== 0));
      expect(Math.max(...pages.map((page) => page.length))).toBe(700);
    });
  });

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
  ])("?%s is a 400 that names the parameter", async (query, path) => {
    const reply = await call(newEnv(), "GET", `/event?${query}`);
    expect(reply).toMatchObject({ status: 400, body: { details: [{ path }] } });
  });
});
