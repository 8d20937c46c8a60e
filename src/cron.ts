/** What the cron does each minute: every task has its share, and none stops another. */

import {
  CRON_SHARES,
  CRON_TIME_MS,
  type DeliverySettings,
  deliverySettings,
  SCRUB_DELAY_MS,
} from "./config.ts";
import { convoyOf } from "./convoy/client.ts";
import { recoverDeliveries } from "./endpoint/recover.ts";
import { finishMoves } from "./endpoint/sync.ts";
import { type Agenda, type AgendaTimes, readAgenda } from "./event/cron-state.ts";
import { projectDue } from "./event/project.ts";
import { purge } from "./event/purge.ts";
import { idAt, scrub } from "./event/scrub.ts";
import { postDue } from "./event/sweep.ts";
import { lookUp, walk } from "./event/walk.ts";
import { type Budget, budgetOf, logError, shareOf } from "./run.ts";
import { type Bindings, SettingError, settingsOf } from "./settings.ts";

/** One of the cron's tasks. `run` returns its entry in the report; null if nothing was done. */
type Task = { name: keyof typeof CRON_SHARES; run: (budget: Budget) => Promise<unknown> };

/**
 * A run's report, one line of JSON: its fields are a contract (docs/operate.md). `failed`: tasks that
 * got no response from D1 or KV. Each task that did something has a field of its own.
 */
type Report = {
  ms: number;
  subrequests: number;
  failed: string[];
  /** Settings that are set but no longer exist. */
  ignored_settings?: readonly string[];
} & { [task in Task["name"]]?: unknown };

/**
 * One run of the cron: post, project, scrub, walk Convoy's list, look up, endpoint life, purge. Each
 * task with work to do has its share of subrequests and time; what it leaves goes to those after it.
 * @throws SettingError if a setting is wrong: nothing is done. StorageError if D1 did not respond to a
 * task: the others have still run
 */
export async function runCron(env: Bindings): Promise<void> {
  const settings = settingsOrLine(env);
  const begun = Date.now();
  const times = {
    now: begun,
    scrubUntil: idAt(begun - SCRUB_DELAY_MS),
    purgeBefore: begun - settings.retentionMs,
  };
  // No end time: what a run used is read after its time is over.
  const whole = budgetOf(settings.subrequestBudget, Number.POSITIVE_INFINITY);
  const { ignored } = settingsOf(env);
  const report: Report = {
    ms: 0,
    subrequests: 0,
    failed: [],
    ...(ignored.length > 0 ? { ignored_settings: ignored } : {}),
  };
  const failures: unknown[] = [];
  const fail = (task: string, error: unknown) => {
    logError({ cron: task }, error);
    report.failed.push(task);
    failures.push(error);
  };
  whole.take(1);
  const agenda = await readAgenda(env.DB, times).catch((error) => fail("agenda", error));
  const tasks = agenda ? tasksOf(env, settings, agenda, times) : [];
  let reserved = tasks.reduce((sum, { name }) => sum + CRON_SHARES[name], 0);
  for (const { name, run } of tasks) {
    reserved -= CRON_SHARES[name];
    const keep = Math.floor(settings.subrequestBudget * reserved);
    try {
      const done = await run(shareOf(whole, keep, begun + CRON_TIME_MS * (1 - reserved)));
      if (done) report[name] = done;
    } catch (error) {
      fail(name, error);
    }
  }
  report.ms = Date.now() - begun;
  report.subrequests = settings.subrequestBudget - whole.left();
  console.log(JSON.stringify({ level: failures.length > 0 ? "error" : "info", cron: report }));
  if (failures.length > 0) throw failures[0];
}

/** The settings; if one is wrong, the run's line says which. */
function settingsOrLine(env: Bindings): DeliverySettings {
  try {
    return deliverySettings(env);
  } catch (error) {
    if (error instanceof SettingError) {
      const cron = { ms: 0, subrequests: 0, failed: ["settings"], settings: error.message };
      console.log(JSON.stringify({ level: "error", cron }));
    }
    throw error;
  }
}

/** The tasks with work to do, in order. */
function tasksOf(
  env: Bindings,
  settings: DeliverySettings,
  agenda: Agenda,
  times: AgendaTimes,
): Task[] {
  const convoy = convoyOf(env);
  const tasks: Task[] = [];
  const place = { walk: agenda.walk };
  const run = { db: env.DB, convoy, settings };
  if (agenda.toPost && times.now >= agenda.closedUntil) {
    tasks.push({ name: "post", run: (budget) => postDue(run, budget) });
  }
  // Rows posted in this run may lack their todo in KV.
  if (agenda.toProject || agenda.toPost) {
    tasks.push({ name: "project", run: (budget) => projectDue({ env, settings }, budget) });
  }
  if (agenda.toScrub) {
    const range = { after: agenda.scrubAfter, until: times.scrubUntil };
    tasks.push({ name: "scrub", run: (budget) => scrub(env, range, budget) });
  }
  tasks.push({
    name: "walk",
    run: async (budget) => {
      const report = await walk(run, agenda, budget);
      place.walk = report.place;
      return report.pages > 0 || report.problem ? report : null;
    },
  });
  if (agenda.toLookUp) {
    tasks.push({ name: "lookUp", run: (budget) => lookUp(run, place.walk, budget) });
  }
  if (agenda.toMove) {
    tasks.push({ name: "moves", run: (budget) => finishMoves(env.DB, convoy, budget) });
  }
  if (agenda.toRecover) {
    tasks.push({ name: "recover", run: (budget) => recoverDeliveries(env.DB, convoy, budget) });
  }
  if (agenda.toPurge) {
    const { purgeBefore } = times;
    tasks.push({
      name: "purge",
      run: (budget) => purge(env.DB, purgeBefore, agenda.purgeAfter, budget),
    });
  }
  return tasks;
}
