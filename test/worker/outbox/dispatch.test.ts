/** The cron's posting: what one run posts, records and hands back, and what it does when something breaks. */
import { env as testEnv } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { metered, meterOf } from "../../../src/meter.ts";
import type { KeptBreaker } from "../../../src/outbox/breaker.ts";
import { dispatch, postAsHand } from "../../../src/outbox/dispatch.ts";
import type { Posted } from "../../../src/outbox/gateway.ts";
import { keyOf } from "../../../src/outbox/rows.ts";
import { LEASE_MS } from "../../../src/outbox/write.ts";
import { shareOf } from "../../../src/run.ts";
import { type Bindings, type Settings, settingsOf } from "../../../src/settings.ts";
import { run as runStatement } from "../../../src/storage.ts";
import {
  deliveryRows,
  eventIdOf,
  type LeftDelivery,
  leaveDeliveries,
  leaveEndpoints,
} from "../../support/log-rows.ts";
import { failing, recording } from "../../support/operations.ts";
import { ACCEPTED, FAILED, type Script, scriptedOutbox } from "../../support/scripted-gateway.ts";

const env = testEnv as unknown as Bindings;
const { DB } = env;
const NOW = Date.UTC(2026, 10, 24, 12);
const CLOSED: KeptBreaker = { state: "closed", until: 0 };
const OPEN: KeptBreaker = { state: "open", until: 0 };
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"], now: NOW }));
afterEach(() => void vi.useRealTimers());

const pass = (ms: number) => void vi.setSystemTime(Date.now() + ms);

type Given = {
  script?: Script;
  breaker?: KeptBreaker;
  subrequests?: number;
  endsAt?: number;
  around?: (env: Bindings) => Bindings;
};

/** One run. */
async function dispatchOnce({
  script = () => ACCEPTED,
  breaker = CLOSED,
  subrequests = 200,
  endsAt = Number.POSITIVE_INFINITY,
  around = (one) => one,
}: Given = {}) {
  const { outbox, posts, bind } = scriptedOutbox(script);
  const { env: watched, operations } = recording(around(bind(env)));
  const meter = meterOf(subrequests);
  const own = metered(watched, meter);
  const settings: Settings = settingsOf(env);
  const run = { env: own, outbox, settings, gateway: outbox.connect(own) };
  const running = dispatch(run, { turn: "", breaker }, shareOf(meter, 0, endsAt));
  const outcome = await running.then(
    (report) => ({ report, error: null }),
    (error: unknown) => ({ report: null, error }),
  );
  const owners = posts.map(({ endpointId }) => endpointId.slice(0, -1));
  return { ...outcome, posts, owners, spent: meter.spent(), did: operations.length };
}

/** Leaves endpoints `a1` … of these owners, and so many due deliveries of each. */
async function leave(owners: string[], count: number, given: LeftDelivery = {}): Promise<void> {
  await leaveEndpoints(
    DB,
    owners.map((owner) => ({ id: `${owner}1`, owner })),
  );
  await leaveDeliveries(
    DB,
    owners.flatMap((owner) => Array.from({ length: count }, () => ({ ...given, owner }))),
  );
}

const statuses = async () => (await deliveryRows(DB)).map(({ status }) => status);
const keptBreaker = () => DB.prepare("SELECT breaker, breaker_until FROM cron_state").first();
const refusing =
  (...owners: string[]): Script =>
  ({ endpointId }) =>
    owners.includes(endpointId.slice(0, -1)) ? FAILED : ACCEPTED;

describe("a run", () => {
  test("posts what is due under its key, and records it as sending", async () => {
    await leave(["a"], 2);
    await runStatement(DB, "UPDATE delivery SET key_version = 3 WHERE event_seq = 2");
    const { report, posts } = await dispatchOnce();
    expect(report).toEqual({ claimed: 2, posted: 2, accepted: 2, breaker: "closed" });
    expect(posts.map(({ key }) => key)).toEqual([
      keyOf(eventIdOf(1), "a1", 0),
      keyOf(eventIdOf(2), "a1", 3),
    ]);
    expect(posts[0]?.body).toMatchObject({ event: "ping", event_id: eventIdOf(1), sequence: 1 });
    for (const row of await deliveryRows(DB)) {
      expect(row).toMatchObject({ status: "sending", accepted_at: NOW, due_at: NOW + 600_000 });
    }
  });

  test("is charged with what it did, and keeps to its budget, whatever happens", async () => {
    await leave(["a", "b", "c", "d", "e", "f"], 60);
    let n = 0;
    const flapping: Script = () => {
      n++;
      if (n % 7 === 3) return FAILED;
      return n % 5 === 0 ? { kind: "unknown endpoint", error: "404" } : ACCEPTED;
    };
    for (const subrequests of [1, 2, 3, 4, 10, 33, 200]) {
      const { spent, did, report } = await dispatchOnce({ script: flapping, subrequests });
      expect(spent).toBe(did);
      expect(spent).toBeLessThanOrEqual(subrequests);
      expect((report?.posted ?? 0) > 0).toBe(subrequests >= 3);
    }
  });

  test("keeps to it also where a round ends, though six posts are under way", async () => {
    await leave(["a", "b"], 400);
    for (let subrequests = 101; subrequests < 108; subrequests++) {
      const { spent } = await dispatchOnce({ subrequests });
      expect(spent).toBeLessThanOrEqual(subrequests);
    }
  });

  test("posts 29 of a backlog with 31 subrequests", async () => {
    await leave(["a"], 60);
    const { report, spent } = await dispatchOnce({ subrequests: 31 });
    expect(report).toMatchObject({ claimed: 29, posted: 29 });
    expect(spent).toBe(31);
  });

  test("claims, posts and records round after round, each row once", async () => {
    await leave(["a", "b"], 500);
    const { report, posts, spent } = await dispatchOnce({ subrequests: 9_000 });
    expect(report).toMatchObject({ claimed: 1_000, posted: 1_000, accepted: 1_000 });
    expect(new Set(posts.map(({ key }) => key)).size).toBe(1_000);
    expect(spent).toBeLessThanOrEqual(1_000 + 14);
    expect(new Set(await statuses())).toEqual(new Set(["sending"]));
  }, 60_000);

  test("posts six at a time, and never more", async () => {
    await leave(["a", "b"], 30);
    let underWay = 0;
    let most = 0;
    const script: Script = async () => {
      most = Math.max(most, ++underWay);
      await new Promise((resolve) => setTimeout(resolve, 1));
      underWay--;
      return ACCEPTED;
    };
    await dispatchOnce({ script });
    expect(most).toBe(6);
  });

  test("that time ends records what it posted, and makes the rest due at once", async () => {
    await leave(["a", "b"], 30);
    const script: Script = () => {
      pass(1_000);
      return ACCEPTED;
    };
    const { report } = await dispatchOnce({ script, endsAt: NOW + 10_000 });
    expect(report?.posted).toBeGreaterThanOrEqual(10);
    expect(report?.posted).toBeLessThan(20);
    for (const { status, due_at } of await deliveryRows(DB)) {
      if (status !== "sending") expect(due_at).toBeLessThanOrEqual(Date.now());
    }
    expect((await statuses()).filter((status) => status === "sending")).toHaveLength(
      report?.posted ?? 0,
    );
  });

  test("holds what is for an endpoint that is not active, and says so", async () => {
    await leave(["a", "b"], 2);
    await runStatement(DB, "UPDATE endpoint SET wanted = 'paused' WHERE id = 'a1'");
    await leaveDeliveries(DB, [{ owner: "c" }], 50);
    const { report, owners } = await dispatchOnce();
    expect(owners).toEqual(["b", "b"]);
    expect(report).toMatchObject({ claimed: 2, held: 2, dead: 1 });
  });

  test("of one row whose body cannot be built posts the others", async () => {
    await leave(["a"], 3);
    await runStatement(
      DB,
      `UPDATE event SET resource = 'thing', resource_id = '1', data = '{' WHERE seq = 1`,
    );
    const { report } = await dispatchOnce();
    expect(report).toMatchObject({ posted: 3, accepted: 2 });
    expect((await deliveryRows(DB))[0]).toMatchObject({ status: "pending", failures: 1 });
  });
});

test("what is held for an endpoint that is activated costs six row writes until the gateway has it", async () => {
  await leave(["a", "b"], 1);
  await runStatement(DB, "DELETE FROM delivery");
  await leaveDeliveries(
    DB,
    Array.from({ length: 500 }, () => ({ status: "held" })),
    100,
  );
  let written = 0;
  const counting = (given: Bindings): Bindings => ({
    ...given,
    DB: {
      prepare: (sql: string) => given.DB.prepare(sql),
      async batch(statements: D1PreparedStatement[]) {
        const results = await given.DB.batch(statements);
        for (const { meta } of results) written += meta.rows_written;
        return results;
      },
    } as unknown as D1Database,
  });
  const { report } = await dispatchOnce({ subrequests: 9_000, around: counting });
  expect(report).toMatchObject({ accepted: 500 });
  // Out of one index, into another, twice; the turn at each claim.
  expect(written).toBeLessThanOrEqual(500 * 6 + 10);
}, 60_000);

describe("a failure", () => {
  test("backs off if something got through, else is due in the next run", async () => {
    await leave(["a", "b"], 1);
    await dispatchOnce({ script: refusing("a") });
    const [backedOff] = await deliveryRows(DB);
    expect(backedOff).toMatchObject({ status: "pending", failures: 1, failed_at: NOW });
    expect(backedOff?.due_at).toBeGreaterThan(NOW + 29_000);
    expect(backedOff?.due_at).toBeLessThanOrEqual(NOW + 60_000);
    await runStatement(DB, "UPDATE delivery SET due_at = 1 WHERE status = 'pending'");
    await dispatchOnce({ script: refusing("a") });
    const [again] = await deliveryRows(DB);
    expect(again).toMatchObject({ failures: 1, due_at: NOW + 50_000 });
  });

  test("is its own if something of another owner was accepted in this run since it last failed", async () => {
    await leave(["a", "b"], 1);
    // The first to be posted is the one that fails: b's was accepted in an earlier run.
    await dispatchOnce({ script: refusing("a") });
    const own = async () => (await deliveryRows(DB))[0]?.own_failures;
    const first = await own();
    await runStatement(DB, "UPDATE delivery SET due_at = 1 WHERE status = 'pending'");
    // Nothing since: an outage.
    pass(HOUR_MS);
    await dispatchOnce({ script: refusing("a") });
    expect(await own()).toBe(first);
    // A request's post got through in the meantime.
    pass(HOUR_MS);
    await leaveDeliveries(DB, [{ owner: "b", status: "sending" }], 20);
    await runStatement(DB, "UPDATE delivery SET accepted_at = ?1 WHERE event_seq = 20", Date.now());
    await runStatement(DB, "UPDATE delivery SET due_at = 1 WHERE status = 'pending'");
    pass(1_000);
    await dispatchOnce({ script: refusing("a") });
    expect(await own()).toBe((first ?? 0) + 1);
  });

  test("is its own if another's was accepted since it last failed, however long ago", async () => {
    await leave(["a"], 1);
    await leaveDeliveries(DB, [{ owner: "b", status: "sending" }], 20);
    for (const [ago, expected] of [
      [21, 0],
      [19, 1],
    ] as const) {
      await runStatement(
        DB,
        "UPDATE delivery SET accepted_at = ?1 WHERE event_seq = 20",
        NOW - ago * MINUTE_MS,
      );
      await runStatement(
        DB,
        "UPDATE delivery SET due_at = 1, failed_at = ?1 WHERE event_seq = 1",
        NOW - 20 * MINUTE_MS,
      );
      await dispatchOnce({ script: refusing("a") });
      expect((await deliveryRows(DB))[0]?.own_failures).toBe(expected);
    }
  });

  test("before its first one: since its post began, minus a minute", async () => {
    await leave(["a"], 1);
    await leaveDeliveries(DB, [{ owner: "b", status: "sending" }], 20);
    for (const [ago, expected] of [
      [61_000, 0],
      [59_000, 1],
    ] as const) {
      await runStatement(
        DB,
        "UPDATE delivery SET accepted_at = ?1 WHERE event_seq = 20",
        NOW - ago,
      );
      await runStatement(
        DB,
        "UPDATE delivery SET due_at = 1, failed_at = NULL WHERE event_seq = 1",
      );
      await dispatchOnce({ script: refusing("a") });
      expect((await deliveryRows(DB))[0]?.own_failures).toBe(expected);
    }
  });

  test.each([
    ["another endpoint's delivery, if there is no other owner", "a", "a2", 1],
    ["nothing of the same endpoint", "a", "a1", 0],
    ["nothing of the same owner, if there is another one", "b", "a2", 0],
  ])("is shown to be its own by %s", async (_, other, accepted, expected) => {
    await leave(["a"], 1);
    await leaveDeliveries(
      DB,
      [
        { owner: "a", endpoint_id: accepted, status: "sending", accepted_at: NOW - 1 },
        { owner: other, endpoint_id: "x1", status: "held" },
      ],
      20,
    );
    await dispatchOnce({ script: refusing("a") });
    expect((await deliveryRows(DB))[0]?.own_failures).toBe(expected);
  });

  test("is nobody's if the gateway asks for fewer calls; Retry-After makes no row wait", async () => {
    await leave(["a", "b"], 1);
    const busy: Posted = { ...FAILED, throttled: true, retryAfterMs: HOUR_MS } as Posted;
    const script: Script = ({ endpointId }) => (endpointId === "a1" ? busy : ACCEPTED);
    await dispatchOnce({ script });
    const [row] = await deliveryRows(DB);
    expect(row).toMatchObject({ own_failures: 0, failures: 1 });
    expect(row?.due_at).toBeLessThanOrEqual(NOW + 60_000);
  });

  test("of its own is final after ten and 72 hours; a 413 at once", async () => {
    await leave(["a", "b"], 1, { own_failures: 9, occurred_at: NOW - 72 * HOUR_MS });
    await dispatchOnce({ script: refusing("a") });
    await runStatement(DB, "UPDATE delivery SET due_at = 1 WHERE status = 'pending'");
    expect((await deliveryRows(DB))[0]).toMatchObject({ status: "dead", own_failures: 10 });
    await leave(["c"], 0);
    await leaveDeliveries(DB, [{ owner: "c" }], 30);
    await dispatchOnce({ script: () => ({ kind: "too large", error: "Convoy answered 413" }) });
    expect((await deliveryRows(DB)).at(-1)).toMatchObject({ status: "dead", own_failures: 0 });
  });

  test("to find the endpoint is told to those who keep them", async () => {
    await leave(["a", "b"], 1);
    const script: Script = ({ endpointId }) =>
      endpointId === "a1" ? { kind: "unknown endpoint", error: "404" } : ACCEPTED;
    await dispatchOnce({ script });
    const { results } = await DB.prepare("SELECT id, due_at FROM endpoint ORDER BY id").all();
    expect(results).toEqual([
      { id: "a1", due_at: NOW },
      { id: "b1", due_at: null },
    ]);
    expect((await statuses())[0]).toBe("pending");
  });
});

describe("the breaker", () => {
  const all = ["a", "b", "c", "d", "e", "f", "g"];

  test("opens when nothing gets through: few are tried, each owner once, and the rest is due at once", async () => {
    await leave(all, 10);
    const { report, owners } = await dispatchOnce({ script: () => FAILED });
    expect(report).toMatchObject({ breaker: "open", accepted: 0 });
    expect(new Set(owners)).toEqual(new Set(all));
    // Six at once until it opened, then one of each owner.
    expect(owners.length).toBeLessThanOrEqual(12);
    expect(await keptBreaker()).toEqual({ breaker: "open", breaker_until: 0 });
    const rows = await deliveryRows(DB);
    const tried = rows.filter(({ failed_at }) => failed_at !== null);
    expect(tried).toHaveLength(owners.length);
    for (const row of rows) {
      if (tried.includes(row)) expect(row.due_at).toBe(NOW + 50_000);
      else expect(row.due_at).toBeLessThanOrEqual(NOW);
    }
  });

  test("is half-open in the run after: one at a time until one gets through, then six", async () => {
    await leave(all, 10);
    let underWay = 0;
    const seen: number[] = [];
    const script: Script = async () => {
      seen.push(++underWay);
      await new Promise((resolve) => setTimeout(resolve, 1));
      underWay--;
      return seen.length < 4 ? FAILED : ACCEPTED;
    };
    const { report } = await dispatchOnce({ script, breaker: OPEN });
    expect(report).toMatchObject({ breaker: "closed", posted: 70, accepted: 67 });
    expect(seen.slice(0, 4)).toEqual([1, 1, 1, 1]);
    expect(Math.max(...seen)).toBe(6);
    expect(await keptBreaker()).toEqual({ breaker: "closed", breaker_until: 0 });
  });

  test("half-open claims few rows while nothing gets through", async () => {
    await leave(all, 50);
    const { report, owners } = await dispatchOnce({ script: () => FAILED, breaker: OPEN });
    expect(report).toMatchObject({ claimed: 10, breaker: "open" });
    expect(new Set(owners)).toEqual(new Set(all));
  });

  test("lets an owner whose posts get through close it, whatever another's do", async () => {
    await leave(["a", "b"], 50);
    const { report, owners } = await dispatchOnce({ script: refusing("a"), breaker: OPEN });
    expect(report?.breaker).toBe("closed");
    expect(owners.filter((owner) => owner === "b")).toHaveLength(50);
  });

  test("waits as the gateway asks, if it opens", async () => {
    await leave(["a"], 10);
    const busy = { ...FAILED, throttled: true, retryAfterMs: HOUR_MS } as Posted;
    await dispatchOnce({ script: () => busy });
    expect(await keptBreaker()).toEqual({ breaker: "open", breaker_until: NOW + 300_000 });
  });

  test("is left alone if nothing changed", async () => {
    await leave(["a"], 1);
    const { did } = await dispatchOnce({ script: () => FAILED, breaker: OPEN });
    // A claim, a post, the look at what others got through, recording.
    expect(did).toBe(4);
  });
});

describe("no more requests in this invocation", () => {
  test("what could not be sent is handed back, the run stops, and the report says so", async () => {
    await leave(["a"], 30);
    let n = 0;
    const script: Script = () =>
      ++n <= 8 ? ACCEPTED : { kind: "not sent", error: "Too many subrequests." };
    const { report, posts } = await dispatchOnce({ script });
    expect(report).toMatchObject({
      accepted: 8,
      problem: "no more requests: Too many subrequests.",
    });
    expect(posts.length).toBeLessThan(16);
    const rows = await deliveryRows(DB);
    expect(rows.filter(({ status }) => status === "sending")).toHaveLength(8);
    for (const row of rows.filter(({ status }) => status === "pending")) {
      expect(row).toMatchObject({ due_at: NOW, failures: 0, error: null });
    }
  });
});

describe("a hand", () => {
  const hand = async (script: Script) => {
    const { outbox, posts, bind } = scriptedOutbox(script);
    const own = bind(env);
    const run = { env: own, outbox, settings: settingsOf(env), gateway: outbox.connect(own) };
    const budget = shareOf(meterOf(200), 0, Number.POSITIVE_INFINITY);
    return { report: await postAsHand(run, { turn: "", failuresMax: 5 }, budget), posts };
  };

  test("stops after five failures in a row, whoever's, and leaves the breaker alone", async () => {
    await leave(["a", "b"], 50);
    const { report, posts } = await hand(() => FAILED);
    expect(report).toMatchObject({ accepted: 0, problem: "5 failures in a row" });
    // Those that were under way.
    expect(posts.length).toBeLessThanOrEqual(10);
    expect(await keptBreaker()).toEqual({ breaker: "closed", breaker_until: 0 });
    const waiting = (await deliveryRows(DB)).filter(({ failed_at }) => failed_at === null);
    expect(waiting.every(({ due_at }) => (due_at ?? 0) <= NOW)).toBe(true);
  });

  test("does not stop for failures between successes, or for what is too large", async () => {
    await leave(["a", "b"], 30);
    const tooLarge: Posted = { kind: "too large", error: "413" };
    expect((await hand(() => tooLarge)).report.posted).toBe(60);
    await runStatement(DB, "DELETE FROM delivery");
    await leaveDeliveries(
      DB,
      Array.from({ length: 60 }, () => ({})),
      1_000,
    );
    let n = 0;
    const { report } = await hand(() => (++n % 4 === 0 ? ACCEPTED : FAILED));
    expect(report.posted).toBe(60);
    expect(report).not.toHaveProperty("problem");
  });
});

describe("D1 failing in mid-run", () => {
  let unhandled: unknown[] = [];
  const note = ({ reason }: PromiseRejectionEvent) => void unhandled.push(reason);
  beforeEach(() => {
    unhandled = [];
    addEventListener("unhandledrejection", note);
  });
  afterEach(() => removeEventListener("unhandledrejection", note));

  /** D1 whose n-th batch and later ones fail. */
  const failingFrom = (from: number) => (given: Bindings) => {
    let n = 0;
    return failing(given, ({ on, what }) => on === "D1" && what === "batch" && ++n >= from);
  };

  test.each([
    ["the first claim", 1, 0],
    ["the second claim", 3, 300],
    ["recording the second round", 4, 300],
  ])(
    "at %s: the run fails, nothing is unhandled, and rows are due when the lease ends",
    async (_, from, count) => {
      await leave(["a"], Math.max(count, 3));
      const { error } = await dispatchOnce({ around: failingFrom(from), subrequests: 9_000 });
      expect(String(error)).toContain("D1");
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(unhandled).toEqual([]);
      for (const row of await deliveryRows(DB)) {
        expect(row.due_at === 1 || row.due_at === NOW + LEASE_MS || row.status === "sending").toBe(
          true,
        );
      }
    },
  );

  test("when it looks at what others got through: the failure is nobody's", async () => {
    await leave(["a"], 1);
    const lost = (given: Bindings) =>
      failing(given, ({ on, what }) => on === "D1" && what.includes("max(accepted_at)"));
    const { error, report } = await dispatchOnce({ script: () => FAILED, around: lost });
    expect(error).toBeNull();
    expect(report?.posted).toBe(1);
    expect((await deliveryRows(DB))[0]).toMatchObject({ own_failures: 0, failed_at: NOW });
  });
});
