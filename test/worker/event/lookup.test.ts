/** What Convoy accepted but does not list: posted again, then looked up by its key, at last posted under a new one. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Bindings } from "../../../src/config.ts";
import { passTime } from "../../support/cut-worker.ts";
import { delivered, idOf, leaveBehind, publish } from "../../support/events.ts";
import { recording, refusalOf } from "../../support/operations.ts";
import { type ListedEvent, type ListedPage, scripted } from "../../support/scripted-convoy.ts";
import { accepted, cron, log, newEndpoint, newEnv, setFaults } from "../../support/worker.ts";

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "log").mockImplementation(() => {});
});
afterEach(() => void vi.useRealTimers());

/** The audit's patience, plus the minute that the walk allows for clock skew. */
const PATIENCE_MS = 660_000;
const later = async (env: Bindings) => {
  passTime(PATIENCE_MS);
  await cron(env);
};

/** A Convoy whose list is empty, and that answers look-ups by key from `of`. */
function asked(env: Bindings, of: (key: string, n: number) => ListedEvent[] | Response) {
  let n = 0;
  const convoy = scripted(env, {
    list(query): ListedPage {
      const key = query.get("idempotencyKey");
      if (key === null) return { events: [] };
      const said = of(key, ++n);
      return said instanceof Response ? said : { events: said };
    },
  });
  return { ...convoy, count: () => n };
}
const accept = (env: Bindings, lookups = 0, stranded = 0) =>
  leaveBehind(env, 1, () => ({ state: "accepted", accepted_at: Date.now() })).then(() =>
    env.DB.prepare("UPDATE event SET due_at = ?, lookups = ?, stranded = ?")
      .bind(Date.now() + 600_000, lookups, stranded)
      .run(),
  );

test("an event that Convoy swallowed arrives once, under its own key", async () => {
  const env = newEnv();
  await newEndpoint(env);
  await setFaults(env, { swallow: true });
  const id = await publish(env);
  await setFaults(env, {});
  await cron(env);
  expect(await accepted(env)).toHaveLength(1);
  await later(env);
  // Found to be lost in one run, posted in the next.
  await later(env);
  const [delivery] = await delivered(env, 1);
  expect(delivery?.idempotency_key).toBe(id);
  for (let run = 0; run < 4; run++) await later(env);
  expect(await log(env)).toMatchObject([{ state: "confirmed", replays: 0, due_at: null }]);
  await delivered(env, 1);
});

test("the first time, it is posted again under its key without a look-up", async () => {
  const env = newEnv();
  await accept(env);
  const convoy = asked(env, () => []);
  await later(convoy.env);
  expect(await log(env)).toMatchObject([{ state: "pending", accepted_at: null, lookups: 1 }]);
  await later(convoy.env);
  expect(convoy.keys).toEqual([idOf(1)]);
  expect(convoy.count()).toBe(0);
  expect(await log(env)).toMatchObject([{ state: "accepted", lookups: 1 }]);
});

describe("when looked up by key", () => {
  const its = (event: Partial<ListedEvent> = {}): ListedEvent => ({
    idempotency_key: idOf(1),
    ...event,
  });
  const repeat = its({ is_duplicate_event: true, status: "Processing" });
  const nobody = { status: "Failure", failure_reason: "no subscription matched this event" };
  test.each<[says: string, list: ListedEvent[], row: object]>([
    ["Success", [its()], { state: "confirmed", due_at: null, error: null }],
    ["Success, then duplicates", [its(), repeat, repeat], { state: "confirmed", due_at: null }],
    ["a failure", [its({ status: "Failure", endpoints: ["e"] })], { state: "dead", due_at: null }],
    ["that nobody subscribes", [its(nobody)], { state: "confirmed", due_at: null }],
    ["nothing", [], { state: "pending", replays: 0, attempts: 0 }],
    ["only duplicates", [repeat], { state: "pending", replays: 0 }],
    ["that it is unfinished", [its({ status: "Processing" })], { state: "accepted", lookups: 2 }],
    ["an event of another project", [its({ project_id: "x" })], { state: "accepted", lookups: 1 }],
  ])("an event is treated as Convoy says: %s", async (_, list, row) => {
    const env = newEnv();
    await accept(env, 1);
    await later(asked(env, () => list).env);
    expect(await log(env)).toMatchObject([row]);
  });

  test("no answer does not mean lost: Convoy is asked again", async () => {
    const env = newEnv();
    await accept(env, 1);
    const convoy = asked(env, (_, n) => (n < 4 ? refusalOf(500, "") : [its()]));
    for (let run = 0; run < 3; run++) {
      await later(convoy.env);
      expect(await log(env)).toMatchObject([{ state: "accepted", lookups: 1, replays: 0 }]);
    }
    await later(convoy.env);
    expect(await log(env)).toMatchObject([{ state: "confirmed" }]);
    expect(convoy.keys).toEqual([]);
  });

  test("an event that Convoy never finishes gets up to three new keys, and is then dead", async () => {
    const env = newEnv();
    await accept(env, 1);
    const convoy = asked(env, (key) => [{ idempotency_key: key, status: "Processing" }]);
    for (let run = 0; run < 60; run++) await later(convoy.env);
    expect(await log(env)).toMatchObject([
      { state: "dead", replays: 3, due_at: null, error: expect.stringMatching(/did not finish/) },
    ]);
    expect([...new Set(convoy.keys)]).toEqual([1, 2, 3].map((n) => `${idOf(1)}:${n}`));
    // Half an hour of look-ups for each.
    expect(convoy.count()).toBeGreaterThan(12);
  });
});

test("while the walk is stuck, an event is not posted again for an hour", async () => {
  const env = newEnv();
  await accept(env);
  const blind = scripted(env, { list: () => refusalOf(500, "") });
  for (let run = 0; run < 5; run++) await later(blind.env);
  expect(await log(env)).toMatchObject([{ state: "accepted", lookups: 0 }]);
  for (let run = 0; run < 2; run++) await later(blind.env);
  expect(await log(env)).not.toMatchObject([{ lookups: 0 }]);
});

test("1,500 events that an outage swallowed are each posted again once, within the budget", async () => {
  const env = newEnv();
  await leaveBehind(env, 1_500, () => ({ state: "accepted", accepted_at: 1, due_at: 2 }));
  const convoy = scripted(env, {});
  const small = recording(convoy.env);
  await cron(small.env);
  // The free plan's limit.
  expect(small.operations.length).toBeLessThanOrEqual(50);
  const large = { ...convoy.env, SUBREQUEST_BUDGET: "2000" };
  for (let minute = 0; minute < 2; minute++) await cron(large);
  expect(convoy.keys).toHaveLength(1_500);
  expect(new Set(convoy.keys).size).toBe(1_500);
});
