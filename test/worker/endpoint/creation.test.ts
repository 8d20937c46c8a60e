/** An endpoint's creation, if cut off, ends in a working endpoint or in none. */
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Bindings, CREATION_LEASE_MS } from "../../../src/config.ts";
import {
  CUTS,
  cutCall,
  differencesOf,
  listAtConvoy,
  passTime,
  records,
} from "../../support/cut-worker.ts";
import { around, failing } from "../../support/operations.ts";
import { call, cron, deliveries, newEnv } from "../../support/worker.ts";

const FIELDS = { name: "mine", url: "https://receiver.example/mine" };
const LATER_MS = CREATION_LEASE_MS + 1_000;

let env: Bindings;
beforeEach(() => {
  vi.spyOn(console, "log").mockImplementation(() => {});
  vi.spyOn(console, "error").mockImplementation(() => {});
  env = newEnv();
});
afterEach(() => void vi.useRealTimers());

const sync = (by = env) => call(by, "POST", "/endpoint/sync");
const byCron = (by = env) => cron(by);

describe("a creation that is cut off", () => {
  const tried = { cuts: 0, working: 0, none: 0, broken: 0 };
  afterAll(() => console.info(`endpoint creation: ${JSON.stringify(tried)}`));

  test.each([
    ["and nobody tries again", false],
    ["and its caller tries again", true],
  ])(
    "at any step, %s, leaves a working endpoint or none",
    async (_, again) => {
      for (const when of CUTS) {
        for (let at = 0; ; at++) {
          vi.useRealTimers();
          env = newEnv();
          await env.DB.prepare("DELETE FROM endpoint").run();
          const { reply, operation } = await cutCall(env, at, when, "POST", "/endpoint", FIELDS);
          if (!operation) {
            expect(reply?.status).toBe(201);
            break;
          }
          tried.cuts++;
          if (again) expect((await call(env, "POST", "/endpoint", FIELDS)).status).toBe(201);
          passTime(LATER_MS);
          await byCron();
          const found = await differencesOf(env);
          if (found.length > 0) tried.broken++;
          expect({ at, when, operation, found }).toEqual({ at, when, operation, found: [] });
          const rows = await records(env);
          expect(rows.length).toBeGreaterThanOrEqual(Number(again));
          if (rows.length > 0) tried.working++;
          else tried.none++;

          // A working one gets each event once.
          await call(env, "POST", "/todo", { item: "x" });
          await vi.waitFor(async () => {
            const got = (await deliveries(env)).map(({ endpoint_id }) => endpoint_id);
            expect(got.sort()).toEqual(rows.map(({ id }) => id));
          });
        }
      }
    },
    60_000,
  );

  test("is left alone while it may still be under way", async () => {
    await cutCall(env, 2, "before", "POST", "/endpoint", FIELDS);
    const before = await records(env);
    expect(before).toMatchObject([{ status: "creating" }]);
    await byCron();
    await sync();
    expect(await records(env)).toEqual(before);
    expect(await listAtConvoy(env, "endpoints")).toHaveLength(1);
  });

  test("is not listed, found, paused, removed, pinged or sent to before it ends", async () => {
    await cutCall(env, 2, "before", "POST", "/endpoint", FIELDS);
    const [{ id } = { id: "" }] = await records(env);
    expect((await call(env, "GET", "/endpoint")).body.data).toEqual([]);
    expect((await call(env, "GET", `/endpoint/${id}`)).status).toBe(404);
    expect((await call(env, "POST", `/endpoint/${id}/pause`)).status).toBe(404);
    expect((await call(env, "DELETE", `/endpoint/${id}`)).status).toBe(404);
    expect((await call(env, "POST", `/endpoint/${id}/ping`)).status).toBe(404);
    expect((await call(env, "POST", `/todo?endpoint=${id}`, { item: "x" })).status).toBe(404);
  });

  test("or ends only after its draft was removed leaves nothing, and says that it took too long", async () => {
    const slow = around(env, async ({ what }, run) => {
      if (/SET id = /.test(what)) await env.DB.prepare("DELETE FROM endpoint").run();
      return run();
    });
    const reply = await call(slow, "POST", "/endpoint", FIELDS);
    expect(reply).toMatchObject({
      status: 503,
      body: { error: expect.stringMatching(/too long/) },
    });
    expect(await listAtConvoy(env, "endpoints")).toEqual([]);
    expect(await records(env)).toEqual([]);
  });

  test("keeps its draft until Convoy's part of it can be removed", async () => {
    await cutCall(env, 2, "before", "POST", "/endpoint", FIELDS);
    passTime(LATER_MS);
    await byCron(failing(env, ({ what }) => what.startsWith("DELETE /endpoints")));
    expect(await records(env)).toHaveLength(1);
    passTime(LATER_MS);
    await byCron();
    expect(await records(env)).toEqual([]);
    expect(await listAtConvoy(env, "endpoints")).toEqual([]);
  });

  test("does not remove another owner's endpoint that looks the same", async () => {
    await cutCall(env, 2, "before", "POST", "/endpoint", FIELDS);
    await env.DB.prepare("UPDATE endpoint SET owner = 'somebody else'").run();
    passTime(LATER_MS);
    await byCron();
    expect(await records(env)).toMatchObject([]);
    expect(await listAtConvoy(env, "endpoints")).toHaveLength(1);
  });
});
