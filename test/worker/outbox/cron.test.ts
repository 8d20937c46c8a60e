/** The cron as a whole: each task has its share, none stops another, and the report says what was done. */
import { env as testEnv } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type CronOptions, type Report, runCron, type Task } from "../../../src/outbox/cron.ts";
import { handsOf } from "../../../src/outbox/hand.ts";
import { type Bindings, SettingError } from "../../../src/settings.ts";
import { run as runStatement } from "../../../src/storage.ts";
import {
  deliveryRows,
  eventRows,
  leaveChanges,
  leaveDeliveries,
  leaveEndpoints,
} from "../../support/log-rows.ts";
import { failing, recording } from "../../support/operations.ts";
import { ACCEPTED, FAILED, type Script, scriptedOutbox } from "../../support/scripted-gateway.ts";

const env = testEnv as unknown as Bindings;
const { DB } = env;
const MINUTE_MS = 60_000;
const NOW = Date.UTC(2026, 10, 24, 12);

let said: { level: string; cron: Report }[] = [];
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: NOW });
  // The walk has begun, and the scrub is done.
  await runStatement(DB, "UPDATE cron_state SET walk_since = ?1, scrub_after = '~'", NOW);
  said = [];
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "log").mockImplementation((line) => void said.push(JSON.parse(line)));
});
afterEach(() => void vi.useRealTimers());

type Given = {
  script?: Script;
  settings?: Partial<Bindings>;
  around?: (env: Bindings) => Bindings;
} & CronOptions;

/** One run. @returns its report, what it did, and its error if it failed */
async function cron({
  script = () => ACCEPTED,
  settings,
  around = (one) => one,
  ...rest
}: Given = {}) {
  const { outbox, posts, bind } = scriptedOutbox(script);
  const { env: watched, operations } = recording(around(bind({ ...env, ...settings })));
  const error = await runCron(watched, outbox, rest).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  const report = said.at(-1)?.cron as Report;
  return { report, error, posts, operations };
}

const lastReport = async () => {
  const line = await DB.prepare("SELECT last_report FROM cron_state").first<string>("last_report");
  return line === null ? null : (JSON.parse(line) as Report);
};

/** Leaves a due delivery of each owner, and a due change. */
async function leaveWork(count = 1): Promise<void> {
  await leaveEndpoints(DB, [{ id: "a1", owner: "a" }]);
  await leaveDeliveries(
    DB,
    Array.from({ length: count }, () => ({ occurred_at: NOW })),
  );
  await leaveChanges(
    DB,
    Array.from({ length: count }, (_, n) => ({ resource_id: String(n), occurred_at: NOW })),
    1_000,
  );
}

describe("an idle run", () => {
  test("is one statement, writes nothing, and logs that it ran", async () => {
    const before = await DB.prepare("SELECT * FROM cron_state").first();
    const { operations, report } = await cron();
    expect(operations.map(({ on }) => on)).toEqual(["D1"]);
    expect(await DB.prepare("SELECT * FROM cron_state").first()).toEqual(before);
    const at = new Date(NOW).toISOString();
    expect(report).toEqual({ at, ms: 0, subrequests: 1, failed: [] });
    expect(said[0]?.level).toBe("info");
  });

  test("reads by indexes, whatever waits and whatever is done", async () => {
    await leaveEndpoints(DB, [{ id: "a1", owner: "a", active: false }]);
    await leaveDeliveries(DB, [
      ...Array.from({ length: 300 }, () => ({ status: "delivered" as const, occurred_at: NOW })),
      ...Array.from({ length: 300 }, () => ({ due_at: NOW * 2, occurred_at: NOW })),
      ...Array.from({ length: 300 }, () => ({ status: "held" as const, occurred_at: NOW })),
    ]);
    const { operations } = await cron();
    const [agenda] = operations;
    const { meta } = await DB.prepare(agenda?.what ?? "")
      .bind(NOW)
      .all();
    expect(meta.rows_read).toBeLessThan(40);
  });
});

describe("the report", () => {
  test("has a field for each task that did something, and is kept", async () => {
    await leaveWork(2);
    const { report } = await cron();
    expect(report).toMatchObject({
      failed: [],
      dispatch: { claimed: 2, posted: 2, accepted: 2, breaker: "closed" },
      project: { puts: 2, projected: 2 },
    });
    expect(await lastReport()).toEqual(report);
  });

  test("counts what the run did, but for keeping it", async () => {
    await leaveWork(10);
    let n = 0;
    const { report, operations } = await cron({ script: () => (++n % 3 ? ACCEPTED : FAILED) });
    expect(report.subrequests).toBe(operations.length - 1);
    expect(operations.length).toBeLessThanOrEqual(45);
  });

  test("of a run that did something does not go on saying so", async () => {
    await leaveWork();
    await cron();
    // It has arrived.
    await runStatement(DB, "DELETE FROM delivery");
    vi.setSystemTime(NOW + MINUTE_MS);
    const { report } = await cron();
    expect(await lastReport()).toEqual(report);
    expect(report.dispatch).toBeUndefined();
    const { operations } = await cron();
    expect(operations).toHaveLength(1);
  });

  test("names settings that no longer exist", async () => {
    const { report, operations } = await cron({
      settings: { AUDIT: "off" } as Partial<Bindings>,
    });
    expect(report.ignored_settings).toEqual(["AUDIT"]);
    expect(operations).toHaveLength(1);
  });

  test("says which setting is wrong, and the run fails", async () => {
    await leaveWork();
    const { report, error, posts } = await cron({ settings: { RETENTION_DAYS: "0.5" } });
    expect(error).toBeInstanceOf(SettingError);
    expect(report).toMatchObject({
      failed: ["settings"],
      settings: expect.stringContaining("RETENTION_DAYS"),
    });
    expect(await lastReport()).toBeNull();
    expect(posts).toEqual([]);
    expect(said[0]?.level).toBe("error");
  });
});

describe("losing D1", () => {
  const lostAt = (match: (what: string, nth: number) => boolean) => (given: Bindings) => {
    let n = 0;
    return failing(given, ({ on, what }) => on === "D1" && match(what, n++));
  };

  test("at the agenda fails the run", async () => {
    await leaveWork();
    const { report, error } = await cron({ around: lostAt((what) => what.includes("AS s")) });
    expect(String(error)).toContain("D1");
    expect(report.failed).toEqual(["agenda"]);
    expect(await lastReport()).toEqual(report);
  });

  test.each([
    // Batches: the dispatcher's claim; then the projection's.
    ["dispatch", 1],
    ["project", 3],
  ])("at %s fails the run, but the other tasks are done", async (task, nth) => {
    await leaveWork();
    const { report, error } = await cron({ around: lostAt((_, n) => n === nth) });
    expect(String(error)).toContain("D1");
    expect(report.failed).toEqual([task]);
    const other = task === "dispatch" ? "project" : "dispatch";
    expect(report[other]).toBeDefined();
    expect(await lastReport()).toEqual(report);
    const sent = (await deliveryRows(DB)).some(({ status }) => status === "sending");
    const projected = (await eventRows(DB)).some((row) => row.projected === 1);
    expect({ sent, projected }).toEqual({
      sent: task !== "dispatch",
      projected: task !== "project",
    });
  });

  test("when the report is to be kept fails the run, which has done its work", async () => {
    await leaveWork();
    const { error } = await cron({ around: lostAt((what) => what.includes("last_report = ?")) });
    expect(String(error)).toContain("D1");
    expect((await deliveryRows(DB))[0]?.status).toBe("sending");
  });
});

/** A task that always has work and uses all that it gets. */
function greedy(name: string, least: number, share = 0.1): Task & { got: number[] } {
  const got: number[] = [];
  return {
    ...{ name, least, share, got },
    due: () => "1",
    columns: `'${name}' AS "${name} column"`,
    async run({ env: own }, { row }, budget) {
      expect(row[`${name} column`]).toBe(name);
      got.push(budget.left());
      for (let n = 0; n < 50 && budget.left() >= 1; n++) await own.DB.prepare("SELECT 1").all();
      return { got: got.at(-1) };
    },
  };
}

describe("shares", () => {
  test("a backlog leaves every task its own, and what one leaves goes to those after it", async () => {
    await leaveWork(60);
    const tasks = [greedy("one", 4, 0.16), greedy("two", 6, 0.1)];
    const { report } = await cron({ tasks });
    // 45 less agenda and report; the least of posting, projecting, the walk and these are 22, so that 21 are to spare.
    const [one, two] = tasks.map(({ got }) => got[0] ?? 0);
    expect(one).toBeGreaterThanOrEqual(4 + 3);
    expect(two).toBe(6 + 2);
    expect((report.project as { puts: number }).puts).toBeGreaterThanOrEqual(3);
    // What is left: less three for the walk, and a claim and recording.
    const reserved = 2 + (3 + 3) + (6 + 3) + (4 + 3) + (6 + 2);
    expect((report.dispatch as { posted: number }).posted).toBe(45 - reserved - 2);
    expect(report.subrequests).toBe(44);
  });

  test("time, too: the slow gateway of one task takes none of another's", async () => {
    await leaveWork(60);
    const script: Script = () => {
      vi.setSystemTime(Date.now() + 3_000);
      return ACCEPTED;
    };
    const last = greedy("last", 4, 0.5);
    const { report } = await cron({
      script,
      tasks: [last],
      settings: { SUBREQUEST_BUDGET: "9000" },
    });
    // 50 s, of which half is the last one's and 15 % the projection's.
    expect((report.dispatch as { posted: number }).posted).toBeLessThanOrEqual(6 + 6);
    expect(report).toMatchObject({ last: { got: expect.any(Number) } });
    expect(last.got[0]).toBeGreaterThan(0);
  });

  test("SUBREQUEST_BUDGET at its minimum lets every task progress beside a backlog within a few runs", async () => {
    await leaveWork(200);
    const tasks = [greedy("one", 10, 0.14), greedy("two", 6, 0.1), greedy("three", 3, 0.07)];
    const ran = new Map<string, number>();
    for (let minute = 0; minute < 14; minute++) {
      vi.setSystemTime(NOW + minute * MINUTE_MS);
      const { report, operations } = await cron({ tasks, settings: { SUBREQUEST_BUDGET: "20" } });
      expect(operations.length).toBeLessThanOrEqual(20);
      for (const task of tasks)
        expect(report.waiting?.includes(task.name) ?? false).toBe(!report[task.name]);
      for (const name of ["dispatch", "project", ...tasks.map((one) => one.name)]) {
        if (report[name]) ran.set(name, (ran.get(name) ?? 0) + 1);
      }
    }
    for (const { name, least } of tasks) {
      expect(ran.get(name), name).toBeGreaterThanOrEqual(2);
      const { got } = tasks.find((one) => one.name === name) as { got: number[] };
      expect(Math.min(...got), name).toBeGreaterThanOrEqual(least);
    }
    expect(ran.get("dispatch")).toBeGreaterThanOrEqual(2);
    expect(ran.get("project")).toBeGreaterThanOrEqual(2);
    expect(
      (await deliveryRows(DB)).filter(({ status }) => status === "sending").length,
    ).toBeGreaterThan(7);
    expect((await eventRows(DB)).filter(({ projected }) => projected === 1).length).toBeGreaterThan(
      7,
    );
  }, 60_000);
});

test("nothing is posted while the gateway has asked us to wait", async () => {
  await leaveWork();
  await runStatement(
    DB,
    "UPDATE cron_state SET breaker = 'open', breaker_until = ?1",
    NOW + MINUTE_MS,
  );
  expect((await cron()).posts).toEqual([]);
  vi.setSystemTime(NOW + MINUTE_MS);
  const { posts, report } = await cron();
  expect(posts).toHaveLength(1);
  expect(report.dispatch).toMatchObject({ breaker: "closed" });
});

describe("hands", () => {
  test("that do not come are counted, and what they said is in the report: the run goes on alone", async () => {
    await leaveWork(60);
    const ask = () => Promise.reject(new Error("Too many subrequests."));
    const { report, error } = await cron({ ask, settings: { HANDS: "3" } });
    expect(error).toBeNull();
    expect(report.failed).toEqual([]);
    const problem = "Too many subrequests.";
    const hands = { asked: 3, posted: 0, accepted: 0, stopped: 3, problem };
    expect(report.dispatch).toMatchObject({ hands });
    expect((report.dispatch as { posted: number }).posted).toBeGreaterThan(10);
  });

  test("count as one subrequest each", async () => {
    await leaveWork(60);
    const ask = async () => ({ claimed: 1, posted: 1, accepted: 1 });
    const { report, operations } = await cron({ ask, settings: { HANDS: "3" } });
    expect(report.subrequests).toBe(operations.length - 1 + 3);
    expect(report.dispatch).toMatchObject({ hands: { asked: 3, posted: 3, accepted: 3 } });
  });

  test("never reject, even if one fails at once", async () => {
    const hands = handsOf(
      () => {
        throw new Error("gone");
      },
      { max: 2, endsAt: 0 },
    );
    expect(await hands.help(2, "")).toMatchObject({ asked: 2, stopped: 2, problem: "gone" });
  });
});
