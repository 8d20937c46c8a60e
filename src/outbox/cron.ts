/** What the cron does each minute: every task has its share, and none stops another. */
import { type Budget, logError, shareOf } from "../run.ts";
import type { Bindings, Settings } from "../settings.ts";
import { first, run as runStatement } from "../storage.ts";
import { beginRun, type Run } from "./cron-run.ts";
import type { PostReport } from "./dispatch.ts";
import { type HandTask, handsOf } from "./hand.ts";
import type { Outbox } from "./outbox.ts";
import type { CronRow } from "./rows.ts";
import { TASKS } from "./tasks.ts";

/** What a run starts from: when, where the cron is (`cron_state`), and the columns that tasks asked for. */
export type Agenda = { now: number; row: CronRow & Record<string, number | string | null> };

/** One of the cron's tasks. */
export type Task = {
  /** Its field in the report. */
  name: string;
  /** SQL: whether it has work. ?1 is the time (ms), `s` the row of cron_state. */
  due: (settings: Settings) => string;
  /** Further columns of the agenda: `… AS name, …`. */
  columns?: string;
  /** Subrequests without which it gets nowhere; and which part of the rest, and of the time, is reserved for it. */
  least: number;
  share: number;
  /** @returns its entry in the report; null, or nothing but zeros, if it did nothing */
  run: (run: Run, agenda: Agenda, budget: Budget) => Promise<object | null>;
};

/**
 * A run's report, one line of JSON: its fields are a contract (docs/operate.md). `failed`: tasks that got no response
 * from D1 or KV. `waiting`: tasks for which SUBREQUEST_BUDGET is too small beside the others: it is their turn in the
 * next run. Each task that did something has a field of its own.
 */
export type Report = {
  at: string;
  ms: number;
  subrequests: number;
  failed: string[];
  waiting?: string[];
  /** Settings that are set but no longer exist. */
  ignored_settings?: readonly string[];
  /** Settings that are missing or wrong: nothing else was done. */
  settings?: string;
} & { [task: string]: unknown };

/** What a run is given. `tasks`: others' beside the log's own. `ask`: how further invocations are called, if they are. */
export type CronOptions = {
  tasks?: Task[];
  ask?: (task: HandTask) => Promise<PostReport>;
};

// Time for one run: the next one begins after 60 s.
const TIME_MS = 50_000;
const MINUTE_MS = 60_000;

/**
 * One run of the cron. Each task with work to do has its share of subrequests and time; what it leaves goes to those
 * after it.
 * @throws SettingError if a setting is wrong; StorageError if D1 did not respond to a task: the others have still run
 */
export async function runCron(
  env: Bindings,
  outbox: Outbox,
  options: CronOptions = {},
): Promise<void> {
  const begun = Date.now();
  const report: Report = { at: new Date(begun).toISOString(), ms: 0, subrequests: 0, failed: [] };
  const failures: unknown[] = [];
  const fail = (task: string, error: unknown) => {
    logError({ cron: task }, error);
    report.failed.push(task);
    failures.push(error);
  };
  const last = await work(env, outbox, options, { report, fail, begun });
  report.ms = Date.now() - begun;
  const line = JSON.stringify(report);
  console.log(`{"level":"${failures.length > 0 ? "error" : "info"}","cron":${line}}`);
  // An idle run writes nothing, unless the last report says otherwise; nor does one with a wrong setting.
  if (report.settings === undefined && !(isIdle(line) && isIdle(last))) {
    await runStatement(env.DB, "UPDATE cron_state SET last_report = ?", line).catch((error) =>
      fail("report", error),
    );
  }
  if (failures.length > 0) throw failures[0];
}

type Noting = { report: Report; fail: (task: string, error: unknown) => void; begun: number };

/** @returns the last run's report */
async function work(
  env: Bindings,
  outbox: Outbox,
  { tasks: others = [], ask }: CronOptions,
  noting: Noting,
): Promise<string | null> {
  const { report, fail, begun } = noting;
  try {
    const { run, meter } = beginRun(env, outbox);
    const { ignored, hands: max } = run.settings;
    if (ignored.length > 0) report.ignored_settings = ignored;
    if (ask) {
      const askMetered = (task: HandTask) => {
        meter.spend();
        return ask(task);
      };
      run.hands = handsOf(askMetered, { max, endsAt: begun + TIME_MS });
    }
    const tasks = [...TASKS, ...others];
    try {
      const agenda = await readAgenda(run, tasks, begun);
      await runTasks({ ...noting, run, agenda, meter }, tasks);
      return agenda.row.last_report;
    } catch (error) {
      fail("agenda", error);
    } finally {
      report.subrequests = meter.spent();
    }
  } catch (error) {
    report.settings = error instanceof Error ? error.message : String(error);
    fail("settings", error);
  }
  return null;
}

/** Whether a report says that nothing was done and nothing failed. */
function isIdle(line: string | null): boolean {
  if (line === null) return true;
  const idle = ["at", "ms", "subrequests", "ignored_settings"];
  try {
    const { failed, ...rest } = JSON.parse(line) as Report;
    return failed.length === 0 && Object.keys(rest).every((name) => idle.includes(name));
  } catch {
    return false;
  }
}

/** The state, and which tasks have work: one statement. */
async function readAgenda(run: Run, tasks: Task[], now: number): Promise<Agenda> {
  const columns = tasks.flatMap(({ name, due, columns: further }) => [
    `(${due(run.settings)}) AS "due ${name}"`,
    ...(further ? [further] : []),
  ]);
  const sql = `SELECT s.*, ${columns.join(", ")} FROM cron_state AS s`;
  const row = await first<Agenda["row"]>(run.env.DB, sql, now);
  if (!row) throw new Error("The table cron_state has no row.");
  return { now, row };
}

type Running = Noting & { run: Run; agenda: Agenda; meter: Budget };

/** Runs those with work to do, in order. */
async function runTasks({ run, agenda, meter, report, fail }: Running, all: Task[]): Promise<void> {
  const due = all.filter(({ name }) => agenda.row[`due ${name}`] === 1);
  // One more is kept for the report.
  const room = meter.left() - 1;
  const fitting = thatFit(due, room, agenda.now);
  const waiting = due.filter((task) => !fitting.includes(task)).map(({ name }) => name);
  if (waiting.length > 0) report.waiting = waiting;
  const spare = room - sumOf(fitting, ({ least }) => least);
  for (const [index, task] of fitting.entries()) {
    const after = fitting.slice(index + 1);
    const keep = sumOf(after, ({ least, share }) => least + Math.floor(share * spare));
    const endsAt = agenda.now + TIME_MS * (1 - sumOf(after, ({ share }) => share));
    try {
      const done = await task.run(run, agenda, shareOf(meter, keep + 1, endsAt));
      if (done && Object.values(done).some((value) => value !== 0)) report[task.name] = done;
    } catch (error) {
      fail(task.name, error);
    }
  }
}

/** As many tasks as can progress with so many subrequests, in their order; those that do not fit are first next time. */
function thatFit(tasks: Task[], subrequests: number, now: number): Task[] {
  const start = Math.floor(now / MINUTE_MS) % Math.max(1, tasks.length);
  const fitting = new Set<Task>();
  let rest = subrequests;
  for (const task of [...tasks.slice(start), ...tasks.slice(0, start)]) {
    if (task.least > rest) continue;
    rest -= task.least;
    fitting.add(task);
  }
  return tasks.filter((task) => fitting.has(task));
}

function sumOf(tasks: Task[], of: (task: Task) => number): number {
  return tasks.reduce((sum, task) => sum + of(task), 0);
}
