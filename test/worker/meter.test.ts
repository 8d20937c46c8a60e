/** What a run is charged with is what it did. */
import { env as testEnv } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { metered, meterOf } from "../../src/meter.ts";
import { shareOf } from "../../src/run.ts";
import type { Bindings } from "../../src/settings.ts";
import { batch, first, run } from "../../src/storage.ts";
import { acceptance, recording, withConvoy } from "../support/operations.ts";

const env = testEnv as unknown as Bindings;

afterEach(() => void vi.useRealTimers());

/** Bindings that are metered above ones that are watched: both count the same. */
function watched() {
  const { env: below, operations } = recording(withConvoy(env, () => acceptance()));
  const meter = meterOf(100);
  return { env: metered(below, meter), meter, operations };
}

describe("each is one subrequest:", () => {
  const calls: [string, (env: Bindings) => Promise<unknown>][] = [
    ["all", ({ DB }) => DB.prepare("SELECT ?").bind(1).all()],
    ["first", ({ DB }) => first(DB, "SELECT 1 AS n")],
    ["run", ({ DB }) => run(DB, "UPDATE cron_state SET post_turn = ?", "a")],
    ["raw", ({ DB }) => DB.prepare("SELECT 1").raw()],
    ["a batch of three", ({ DB }) => batch(DB, [["SELECT ?", 1], ["SELECT 2"], ["SELECT 3"]])],
    ["a statement that D1 refuses", ({ DB }) => DB.prepare("SELECT * FROM nothing").all()],
    ["KV's put", ({ KV }) => KV.put("k", "v")],
    ["get", ({ KV }) => KV.get("k")],
    ["getWithMetadata", ({ KV }) => KV.getWithMetadata("k")],
    ["a bulk get", ({ KV }) => KV.get(["k", "l"])],
    ["list", ({ KV }) => KV.list()],
    ["delete", ({ KV }) => KV.delete("k")],
    ["a call to Convoy", ({ CONVOY }) => CONVOY!.fetch(new Request("http://convoy.test/v1"))],
  ];

  test.each(calls)("%s", async (_, call) => {
    const { env, meter, operations } = watched();
    await call(env).catch(() => {});
    expect({ spent: meter.spent(), did: operations.length }).toEqual({ spent: 1, did: 1 });
  });

  test("all of them, at once", async () => {
    const { env, meter, operations } = watched();
    await Promise.allSettled(calls.map(([, call]) => call(env)));
    expect(meter.spent()).toBe(calls.length);
    expect(operations).toHaveLength(calls.length);
    expect(meter.left()).toBe(100 - calls.length);
  });
});

test("what is only prepared costs nothing, and results are D1's own", async () => {
  const { env, meter } = watched();
  const statement = env.DB.prepare("SELECT ? AS n").bind(7);
  expect(meter.spent()).toBe(0);
  const [one, two] = await env.DB.batch([statement, env.DB.prepare("SELECT 8 AS n")]);
  expect([one?.results, two?.results]).toEqual([[{ n: 7 }], [{ n: 8 }]]);
  expect(await env.DB.prepare("SELECT 9 AS n").first("n")).toBe(9);
});

test("without a binding to Convoy, fetch is metered", async () => {
  const { CONVOY: _, ...rest } = env;
  const meter = meterOf(10);
  const sent = vi.spyOn(globalThis, "fetch").mockResolvedValue(acceptance());
  await metered(rest as Bindings, meter).CONVOY?.fetch(new Request("http://convoy.test/v1"));
  expect(sent).toHaveBeenCalledTimes(1);
  expect(meter.spent()).toBe(1);
});

test("a share is what the whole has left, less what is kept for others, until its time is over", () => {
  vi.useFakeTimers({ toFake: ["Date"], now: 0 });
  const whole = meterOf(10);
  const share = shareOf(whole, 4, 1_000);
  expect(share.left()).toBe(6);
  for (let n = 0; n < 3; n++) whole.spend();
  expect(share.left()).toBe(3);
  for (let n = 0; n < 5; n++) whole.spend();
  expect([share.left(), whole.left()]).toEqual([0, 2]);
  expect(shareOf(whole, 0, 1_000).left()).toBe(2);
  vi.setSystemTime(1_000);
  expect(shareOf(whole, 0, 1_000).left()).toBe(0);
  expect(shareOf(share, 0, 2_000).left()).toBe(0);
});
