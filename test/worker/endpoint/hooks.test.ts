/** What the log tells of endpoints, as statements on their records. */
import { env as testEnv } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { endpointHooks } from "../../../src/endpoint/hooks.ts";
import type { EndpointRow } from "../../../src/endpoint/table.ts";
import type { Bindings } from "../../../src/settings.ts";
import { batch } from "../../../src/storage.ts";
import { atConvoy, inConvoy, listAtConvoy } from "../../support/cut-worker.ts";
import { leaveEndpoints } from "../../support/log-rows.ts";
import { withConvoy } from "../../support/operations.ts";
import { newEndpoint, newEnv, setFaults } from "../../support/worker.ts";

const { DB } = testEnv as unknown as Bindings;
const NOW = 1_000_000;

const row = async (id: string) =>
  (await DB.prepare("SELECT * FROM endpoint WHERE id = ?")
    .bind(id)
    .first<EndpointRow>()) as EndpointRow;
const set = (id: string, sql: string) =>
  DB.prepare(`UPDATE endpoint SET ${sql} WHERE id = ?`).bind(id).run();

beforeEach(() =>
  leaveEndpoints(DB, [
    { id: "a1", owner: "a" },
    { id: "a2", owner: "a" },
  ]),
);

describe("seen", () => {
  const seen = (...given: [string, boolean][]) =>
    batch(DB, [
      endpointHooks.seen(
        given.map(([endpointId, active]) => ({ endpointId, active })),
        NOW,
      ),
    ]);

  test("a toggle at Convoy is recorded at once, and is to be looked at", async () => {
    await seen(["a1", false], ["a2", true]);
    expect(await row("a1")).toMatchObject({ there: "inactive", due_at: NOW, updated_at: NOW });
    expect(await row("a2")).toMatchObject({ there: "active", due_at: null, updated_at: 1 });
    await seen(["a1", true]);
    expect(await row("a1")).toMatchObject({ there: "active", due_at: NOW });
  });

  test.each([
    ["paused", false, "paused"],
    ["missing", false, "missing"],
    ["missing", true, "active"],
  ])("of one that is %s: active %s makes it %s", async (there, active, becomes) => {
    await set("a1", `there = '${there}'`);
    await seen(["a1", active]);
    expect(await row("a1")).toMatchObject({ there: becomes, due_at: active ? NOW : null });
  });

  test("nothing of a removed one, of a creation, or of one that nobody knows", async () => {
    await set("a1", "wanted = 'removed'");
    await set("a2", "wanted = 'creating'");
    await seen(["a1", false], ["a2", false], ["other", false]);
    for (const id of ["a1", "a2"])
      expect(await row(id)).toMatchObject({ there: "active", due_at: null });
  });
});

describe("doubted", () => {
  const doubted = (...ids: string[]) => batch(DB, [endpointHooks.doubted(ids, NOW)]);

  test("it is due; the record stays what it was", async () => {
    await doubted("a1");
    expect(await row("a1")).toMatchObject({ there: "active", due_at: NOW, updated_at: 1 });
    expect(await row("a2")).toMatchObject({ due_at: null });
  });

  test("what is tried again later is not tried sooner", async () => {
    await set("a1", "due_at = 5000000");
    await doubted("a1");
    expect(await row("a1")).toMatchObject({ due_at: 5_000_000 });
  });
});

describe("reported", () => {
  const reported = (...given: [string, number, string | null][]) =>
    batch(DB, [
      endpointHooks.reported(given.map(([endpointId, at, error]) => ({ endpointId, at, error }))),
    ]);

  test("since when it fails, and the last answer; until something arrives", async () => {
    await reported(["a1", 1_000, "It answered 500."]);
    expect(await row("a1")).toMatchObject({
      failing_since: 1_000,
      failing_error: "It answered 500.",
    });
    await reported(["a1", 2_000, "It answered 502."]);
    expect(await row("a1")).toMatchObject({
      failing_since: 1_000,
      failing_error: "It answered 502.",
    });
    await reported(["a1", 3_000, null]);
    expect(await row("a1")).toMatchObject({ failing_since: null, failing_error: null });
    expect(await row("a2")).toMatchObject({ failing_since: null, updated_at: 1, due_at: null });
  });

  test("of several of one endpoint the last counts", async () => {
    await reported(
      ["a1", 1_000, "x"],
      ["a1", 2_000, null],
      ["a2", 1_000, null],
      ["a2", 2_000, "y"],
    );
    expect(await row("a1")).toMatchObject({ failing_since: null });
    expect(await row("a2")).toMatchObject({ failing_since: 2_000, failing_error: "y" });
  });

  test("is written only if it changes", async () => {
    await reported(["a1", 1_000, "x"]);
    const statement = (at: number, error: string | null) => {
      const [sql, ...values] = endpointHooks.reported([{ endpointId: "a1", at, error }]);
      return DB.prepare(sql)
        .bind(...values)
        .run();
    };
    expect((await statement(2_000, "x")).meta.changes).toBe(0);
    expect((await statement(3_000, null)).meta.changes).toBe(1);
    expect((await statement(4_000, null)).meta.changes).toBe(0);
  });
});

describe("subscribe", () => {
  test.each([
    [
      "makes the one that is lacking",
      async (env: Bindings, uid: string) =>
        void (await atConvoy(env, "DELETE", `/subscriptions/${uid}`)),
      "subscribed",
    ],
    ["leaves one that is there", async () => {}, "subscribed"],
    [
      "does not know without an answer",
      (env: Bindings) => setFaults(env, { status: 503 }),
      "unknown",
    ],
  ])("%s", async (_, prepare, answer) => {
    const env = newEnv();
    const id = await newEndpoint(env);
    const [{ uid } = { uid: "" }] = await listAtConvoy(env, "subscriptions");
    await prepare(env, uid);
    expect(await endpointHooks.subscribe(env, id)).toBe(answer);
    await setFaults(env, {});
    expect(await listAtConvoy(env, "subscriptions")).toHaveLength(1);
  });

  test("says if there is one that does not take all types", async () => {
    const env = newEnv();
    const id = await newEndpoint(env);
    const filtered = withConvoy(env, async (request) => {
      const response = await fetch(request);
      return new Response((await response.text()).replaceAll('["*"]', '["created"]'), response);
    });
    expect(await endpointHooks.subscribe(filtered, id)).toBe("filtered");
    await inConvoy(env, id, { status: "active" });
  });
});
