/**
 * npm run bench -- scale [--rows N] [--commit-ms N] [--per-owner N]: how much one D1 database can carry, from
 * measuring a change's statements and simulating 10, 100 and 1,000 owners on one and four databases.
 */
import { parseArgs } from "node:util";
import { SETTLE_WAIT_MS } from "../src/config.ts";
import { type Cost, type Costs, measure } from "./scale/measure.ts";
import { type Busy, type Load, simulate } from "./scale/simulate.ts";

const { values } = parseArgs({
  args: process.argv.slice(3),
  options: {
    /** Rows in the log besides those measured. */
    rows: { type: "string", default: "200000" },
    /** How long a commit takes on your D1 (its dashboard, Query latency); the other times scale with it. */
    "commit-ms": { type: "string", default: "1" },
    /** Changes per second of each owner, on average. */
    "per-owner": { type: "string", default: "1" },
  },
});
/** Statements of each kind to average over. */
const COUNT = 1_000;
/** A database should not be busier than this: towards 1, waits grow without bound. */
const BUSY_MAX = 0.7;
const DATABASE_BYTES = 10e9;
const WEEK_S = 7 * 86_400;
const ISOLATES = 16;
const POST_MS = 50;

const costs = await measure(Number(values.rows), COUNT);
printCosts(costs);
printSize(costs);
const here = busyOf(costs, 1);
const factor = Number(values["commit-ms"]) / costs.commit.ms;
printSimulation("with the times measured here", here);
printSimulation(`with a commit of ${values["commit-ms"]} ms`, busyOf(costs, factor));

function busyOf({ commit, settle, settleMore, confirm, purge }: Costs, times: number): Busy {
  return {
    commit: commit.ms * times,
    settle: settle.ms * times,
    row: settleMore.ms * times,
    cron: (confirm.ms + purge.ms) * times,
  };
}

function printCosts(all: Costs): void {
  console.log(
    `A change in a log of ${values.rows} rows (average of ${COUNT} statements of each kind)`,
  );
  console.log("      ms  rows read  written");
  const line = (name: string, { ms, rowsRead, rowsWritten }: Cost) =>
    console.log(
      `${ms.toFixed(3).padStart(8)} ${rowsRead.toFixed(1).padStart(10)} ${rowsWritten.toFixed(1).padStart(8)}  ${name}`,
    );
  line("commit", all.commit);
  line("settle, alone", all.settle);
  line("settle, each further row of a shared statement", all.settleMore);
  line("confirm, of a page of 250", all.confirm);
  line("purge, of a window of 500", all.purge);
  const { commit, settle, settleMore, confirm, purge } = all;
  const ms = (one: Cost) => commit.ms + one.ms + confirm.ms + purge.ms;
  const rate = (one: Cost) => Math.floor((1_000 * BUSY_MAX) / ms(one));
  console.log(
    `One database, ${BUSY_MAX * 100}% busy: ${rate(settle)} changes a second settled alone, ${rate(settleMore)} at most settled together`,
  );
}

function printSize({ rowBytes }: Costs): void {
  const rows = DATABASE_BYTES / rowBytes;
  console.log(
    `A row is ${Math.round(rowBytes)} bytes with its indexes: 10 GB hold ${(rows / 1e6).toFixed(1)} million, ${(rows / WEEK_S).toFixed(1)} changes a second for RETENTION_DAYS = 7\n`,
  );
}

function printSimulation(title: string, busy: Busy): void {
  console.log(
    `${title}: ${values["per-owner"]} change per second and owner on average (the n-th owner makes 1/n of the first one's); ${ISOLATES} isolates`,
  );
  console.log("  owners  databases  Queues  busiest    statements/change  commit p50    p99 (ms)");
  for (const owners of [10, 100, 1_000]) {
    for (const databases of [1, 4]) {
      for (const queue of [false, true]) {
        const rate = owners * Number(values["per-owner"]);
        const fixed = { isolates: ISOLATES, postMs: POST_MS, settleWaitMs: SETTLE_WAIT_MS };
        const load: Load = { owners, rate, databases, queue, ...fixed };
        const found = simulate(load, busy);
        const over = found.busy >= 1;
        const cells = [
          String(owners).padStart(8),
          String(databases).padStart(10),
          (queue ? "yes" : "no").padStart(8),
          `${(found.busy * 100).toFixed(1)}%`.padStart(9),
          found.statements.toFixed(2).padStart(20),
          (over ? "grows" : found.p50.toFixed(2)).padStart(12),
          (over ? "" : found.p99.toFixed(2)).padStart(8),
        ];
        console.log(cells.join(""));
      }
    }
  }
  console.log();
}
