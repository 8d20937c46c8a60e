/** What becomes of a delivery that was posted, and what the log records of it: only of a row that is still ours. */
import { env as testEnv } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import {
  type Answered,
  type Attempted,
  backoffMs,
  doubtedAmong,
  handedBack,
  MAX_AGE_MS,
  MAX_OWN_FAILURES,
  type Outcome,
  outcomeOf,
  recordStatement,
} from "../../../src/outbox/outcome.ts";
import type { DeliveryRow } from "../../../src/outbox/rows.ts";
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
const FAILED: Answered = { kind: "failed", error: "500", throttled: false, retryAfterMs: null };
const THROTTLED: Answered = { ...FAILED, throttled: true, retryAfterMs: 3_600_000 };
const UNKNOWN: Answered = { kind: "unknown endpoint", error: "404" };

const ours: DeliveryRow = {
  ...{ event_seq: 1, endpoint_id: "a1", owner: "a", type: "ping", status: "pending" },
  ...{ key_version: 2, since_version: 0, resends: 0, failures: 4 },
  ...{ own_failures: MAX_OWN_FAILURES - 1, failed_at: null, looks: 0, stuck: 0, discards: 0 },
  ...{ attempts: 0, last_http_status: null, error: null, accepted_at: null, finished_at: null },
  due_at: LEASE,
};
const attempted: Attempted = { ours, occurredAt: 0, askedAt: 500, answer: FAILED };
const OLD = MAX_AGE_MS;
const through = (now: number) => ({ now, isOwn: true, unprovenWaitMs: null });
/** The row afterwards. */
const rowOf = ({ ours: before, to }: Outcome): DeliveryRow => ({ ...before, ...to });

describe("dead", () => {
  test("after ten failures of its own, once it is old", () => {
    expect(rowOf(outcomeOf(attempted, through(OLD)))).toMatchObject({
      status: "dead",
      due_at: null,
      finished_at: OLD,
      own_failures: MAX_OWN_FAILURES,
      error: "500",
    });
  });

  test.each<[string, Partial<Attempted>, Partial<DeliveryRow>, boolean, number]>([
    ["it is younger", {}, {}, true, OLD - 1],
    ["it has fewer failures of its own", {}, { own_failures: MAX_OWN_FAILURES - 2 }, true, OLD],
    ["nothing of others got through", {}, {}, false, OLD],
    ["the gateway asks for fewer calls", { answer: THROTTLED }, {}, true, OLD],
    ["the gateway has no such endpoint", { answer: UNKNOWN }, {}, true, OLD],
  ])("not while %s", (_, given, row, isOwn, now) => {
    const one = { ...attempted, ...given, ours: { ...ours, ...row } };
    const after = rowOf(outcomeOf(one, { ...through(now), isOwn }));
    expect(after).toMatchObject({ status: "pending", finished_at: null, failed_at: 500 });
    expect(after.due_at).toBeGreaterThan(now);
  });

  test("at once if it is too large, whatever else", () => {
    const answer: Answered = { kind: "too large", error: "413" };
    const one = { ...attempted, answer, ours: { ...ours, own_failures: 0 } };
    const { to } = outcomeOf(one, { ...through(1), isOwn: false });
    expect(to).toMatchObject({ status: "dead", error: "413", own_failures: 0 });
  });
});

test("accepted: sending, and all failures are forgotten", () => {
  const { to } = outcomeOf({ ...attempted, answer: { kind: "accepted" } }, through(1_000));
  expect(to).toEqual({
    status: "sending",
    failures: 0,
    own_failures: 0,
    failed_at: null,
    error: null,
    accepted_at: 1_000,
    due_at: 601_000,
  });
});

test("a failure that is not its own counts as none of its own", () => {
  for (const [answer, isOwn] of [
    [FAILED, false],
    [THROTTLED, true],
    [UNKNOWN, true],
  ] as const) {
    const { to } = outcomeOf({ ...attempted, answer }, { ...through(1), isOwn });
    expect(to.own_failures).toBe(MAX_OWN_FAILURES - 1);
  }
});

test("waits 30 to 60 s, doubled each time, an hour at most; Retry-After does not matter", () => {
  const waits = [1, 2, 3, 6, 7, 60].map((n) => {
    const many = Array.from({ length: 200 }, () => backoffMs(n) / 1_000);
    return [Math.min(...many), Math.max(...many)];
  });
  for (const [index, longest] of [60, 120, 240, 1_920, 3_600, 3_600].entries()) {
    const [least = 0, most = 0] = waits[index] ?? [];
    expect(least).toBeGreaterThanOrEqual(longest / 2);
    expect(most).toBeLessThanOrEqual(longest);
    expect(most - least).toBeGreaterThan(longest / 4);
  }
  const throttled = { ...attempted, ours: { ...ours, failures: 0 }, answer: THROTTLED };
  expect(outcomeOf(throttled, through(0)).to.due_at).toBeLessThanOrEqual(60_000);
});

test("in an outage it is due in the next run, and no later wait grows", () => {
  const { to } = outcomeOf(attempted, { ...through(1_000), unprovenWaitMs: 50_000 });
  expect(to).toMatchObject({ due_at: 51_000, failures: 4, error: "500", failed_at: 500 });
});

test("endpoints that the gateway does not know are doubted, each once", () => {
  const unknown = { ...attempted, answer: UNKNOWN };
  const other = { ...unknown, ours: { ...ours, endpoint_id: "f" } };
  expect(doubtedAmong([unknown, attempted, unknown, other])).toEqual(["a1", "f"]);
});

/** Records what came of posts of these rows, left with this lease. */
async function record(...posts: [row: DeliveryRow | undefined, answer: Answered][]) {
  const seen = { now: 1_000, isOwn: false, unprovenWaitMs: 7 };
  const outcomes = posts.flatMap(([row, answer]) =>
    row ? [outcomeOf({ ours: row, occurredAt: 0, askedAt: 900, answer }, seen)] : [],
  );
  return all(DB, ...recordStatement(outcomes));
}

describe("recorded in one statement", () => {
  test("each answer, and nothing of other rows", async () => {
    const error = "before";
    await leaveDeliveries(
      DB,
      [1, 2, 3, 4].map(() => ({ due_at: LEASE, error, looks: 1 })),
    );
    const [first, second, third] = await deliveryRows(DB);
    const settled = await record(
      [first, { kind: "accepted" }],
      [second, FAILED],
      [third, { kind: "too large", error: "413" }],
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
    const stale: DeliveryRow = { ...ours, key_version: 0 };
    expect(await record([stale, FAILED])).toEqual([]);
    expect(await all(DB, ...recordStatement(handedBack([stale], 1_000)))).toEqual([]);
    expect(await deliveryRows(DB)).toEqual(before);
  });
});

test("a row that was not tried is due again, and nothing else of it changes", async () => {
  await leaveDeliveries(DB, [{ due_at: LEASE, failures: 3, error: "500" }]);
  const before = await deliveryRows(DB);
  expect(await all(DB, ...recordStatement(handedBack(before, 1_000)))).toHaveLength(1);
  expect(await deliveryRows(DB)).toEqual([{ ...before[0], due_at: 1_000 }]);
});

test("recording is served by the primary key", async () => {
  const plan = await planOf(DB, ...recordStatement([]));
  expect(plan).toContain("SEARCH delivery USING PRIMARY KEY (event_seq=? AND endpoint_id=?)");
});
