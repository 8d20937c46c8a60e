/** Only a row that is still ours is recorded. */
import { env as testEnv } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { type Attempted, outcomeOf } from "../../../src/outbox/outcome.ts";
import {
  handBackStatement,
  type Leased,
  recordStatement,
  type Settled,
} from "../../../src/outbox/settle-delivery.ts";
import type { Bindings } from "../../../src/settings.ts";
import { all } from "../../../src/storage.ts";
import {
  deliveryRows,
  type LeftDelivery,
  leaveDeliveries,
  planOf,
} from "../../support/log-rows.ts";

const { DB } = testEnv as unknown as Bindings;
const LEASE = 5_000;

function attempted(given: Partial<Attempted> = {}): Attempted {
  return {
    event_seq: 1,
    endpoint_id: "a1",
    key_version: 0,
    lease: LEASE,
    failures: 0,
    own_failures: 0,
    occurred_at: 0,
    askedAt: 900,
    answer: { kind: "accepted" },
    isOwn: false,
    ...given,
  };
}

const FAILED = { kind: "failed", error: "500", throttled: false, retryAfterMs: null } as const;

function record(...all_: Attempted[]): Promise<Settled[]> {
  const outcomes = all_.map((one) => outcomeOf(one, { now: 1_000, unprovenWaitMs: 7 }));
  return all<Settled>(DB, ...recordStatement(outcomes));
}

describe("recorded in one statement", () => {
  test("each answer, and nothing of other rows", async () => {
    const error = "before";
    await leaveDeliveries(
      DB,
      [1, 2, 3, 4].map(() => ({ due_at: LEASE, error, looks: 1 })),
    );
    const settled = await record(
      attempted(),
      attempted({ event_seq: 2, answer: FAILED }),
      attempted({ event_seq: 3, answer: { kind: "too large", error: "413" } }),
    );
    expect(settled).toHaveLength(3);
    expect(settled[0]).toEqual({
      event_seq: 1,
      endpoint_id: "a1",
      status: "sending",
      due_at: 601_000,
    });
    const rows = await deliveryRows(DB);
    expect(rows[0]).toMatchObject({ status: "sending", accepted_at: 1_000, error: null, looks: 1 });
    expect(rows[1]).toMatchObject({
      status: "pending",
      due_at: 1_007,
      error: "500",
      failed_at: 900,
    });
    expect(rows[2]).toMatchObject({ status: "dead", due_at: null, finished_at: 1_000 });
    expect(rows[3]).toMatchObject({ status: "pending", due_at: LEASE, error });
  });

  test.each<[string, LeftDelivery]>([
    ["that another worker has claimed", { due_at: LEASE + 1 }],
    ["that has got its next key", { due_at: LEASE, key_version: 1 }],
    ["that the walk has seen at the gateway", { status: "sending", due_at: LEASE }],
    ["that was delivered meanwhile", { status: "delivered" }],
    ["whose endpoint was removed", { status: "dead" }],
    ["that was held", { status: "held" }],
  ])("but no row %s", async (_, left) => {
    await leaveDeliveries(DB, [left]);
    const before = await deliveryRows(DB);
    expect(await record(attempted({ answer: FAILED }))).toEqual([]);
    expect(await all(DB, ...handBackStatement([attempted()], 1_000))).toEqual([]);
    expect(await deliveryRows(DB)).toEqual(before);
  });
});

test("a row that was not tried is due again, and nothing else of it changes", async () => {
  await leaveDeliveries(DB, [{ due_at: LEASE, failures: 3, error: "500" }]);
  const [before] = await deliveryRows(DB);
  const leased: Leased[] = [attempted()];
  expect(await all(DB, ...handBackStatement(leased, 1_000))).toHaveLength(1);
  expect(await deliveryRows(DB)).toEqual([{ ...before, due_at: 1_000 }]);
});

test("both are served by the primary key", async () => {
  for (const [sql, ...values] of [recordStatement([]), handBackStatement([], 1)]) {
    const plan = await planOf(DB, sql, ...values);
    expect(plan).toContain("SEARCH delivery USING PRIMARY KEY (event_seq=? AND endpoint_id=?)");
  }
});
