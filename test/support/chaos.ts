/** Rounds of kill -9: load, kill workerd, restart on the same state, sweep, check what is left. */
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import type { Faults } from "../../local/convoy/faults.ts";
import { allTodos, createEndpoint } from "./client.ts";
import { type InboxEvent, localSettings, type ServedInbox, startConvoy } from "./convoy-inbox.ts";
import { type HttpReceiver, startHttpReceiver } from "./http-receiver.ts";
import { startKillable } from "./killable.ts";
import { runLoad } from "./load.ts";
import { type LogRow, lastWords, readLogAndLetTimePass } from "./log-file.ts";
import { migrateEmpty } from "./migrated.ts";
import { randomOf } from "./random.ts";

/** Totals of all rounds; `lost`, `twice` and `phantom` name event ids or todos and should be empty. */
export type ChaosReport = {
  rounds: number;
  acknowledged: number;
  /** Requests that the kill left without an answer. */
  unknown: number;
  /** Acknowledged or committed, but not in the log, at Convoy, at the receiver or in KV. */
  lost: string[];
  /** Accepted by Convoy, or delivered to the receiver, more than once. */
  twice: string[];
  /** At Convoy or at the receiver, but in no log; or in KV against the log's last word. */
  phantom: string[];
};

/** Options of a run. */
export type ChaosOptions = {
  rounds: number;
  /** Repeats the random choices; process timing still varies. */
  seed: number;
  /** Called after each round. */
  onRound?: (round: number, report: ChaosReport) => void;
};

const CLIENTS = 6;
/** The latest a kill comes after the load began. */
const LOAD_MAX_MS = 900;
/** Sweeps allowed after a restart; one is enough unless the budget is small. */
const SWEEPS_MAX = 10;
/** Convoy's possible faults during the load. */
const TROUBLES: Faults[] = [
  {},
  {},
  { latency_ms: 40 },
  { rate: 0.2, drop: true },
  { rate: 0.2, status: 400, message: "an error occurred while creating event" },
];

/** Runs the rounds in a temporary directory and removes it. */
export async function runChaos({ rounds, seed, onRound }: ChaosOptions): Promise<ChaosReport> {
  const root = path.resolve(import.meta.dirname, "../..");
  const state = await mkdtemp(path.join(os.tmpdir(), "todo-chaos-"));
  const [convoy, receiver] = await Promise.all([startConvoy(), startHttpReceiver()]);
  const settings = { ...localSettings(convoy.apiUrl), SUBREQUEST_BUDGET: "10000" };
  const random = randomOf(seed);
  const acknowledged: string[] = [];
  const report: ChaosReport = {
    rounds: 0,
    acknowledged: 0,
    unknown: 0,
    lost: [],
    twice: [],
    phantom: [],
  };
  try {
    await migrateEmpty(root, state);
    let worker = await startKillable(state, settings);
    try {
      receiver.trust((await createEndpoint(worker.call, receiver.url)).secret);
      while (report.rounds < rounds) {
        await convoy.setFaults(TROUBLES[Math.floor(random() * TROUBLES.length)] ?? {});
        const load = runLoad(worker.call, CLIENTS, random);
        const life = random() * LOAD_MAX_MS;
        await new Promise((resolve) => setTimeout(resolve, life / 2));
        // The cron may run at any time, too, and dies with the rest.
        const cron = random() < 0.5 ? worker.sweep().catch(() => undefined) : undefined;
        await new Promise((resolve) => setTimeout(resolve, life / 2));
        await worker.kill();
        const told = await load;
        await cron;
        await convoy.setFaults({});
        acknowledged.push(...told.acknowledged);

        const log = readLogAndLetTimePass(state);
        worker = await startKillable(state, settings);
        await sweepUntilDone(worker.sweep, convoy, log);
        report.rounds++;
        report.acknowledged = acknowledged.length;
        report.unknown += told.unknown;
        const todos = new Map((await allTodos(worker.call)).map((todo) => [todo.id, todo]));
        Object.assign(report, await judge({ acknowledged, log, todos, convoy, receiver }));
        onRound?.(report.rounds, report);
      }
    } finally {
      await worker.kill();
    }
  } finally {
    await Promise.all([convoy.close(), receiver.close()]);
    await rm(state, { recursive: true, force: true });
  }
  return report;
}

/** Sweeps until Convoy has every event of the log, and has delivered it. */
async function sweepUntilDone(sweep: () => Promise<void>, convoy: ServedInbox, log: LogRow[]) {
  for (let sweeps = 0; sweeps < SWEEPS_MAX; sweeps++) {
    await sweep();
    const accepted = new Set((await convoy.events()).map(eventOf));
    if (log.every(({ id }) => accepted.has(id))) break;
  }
  await convoy.idle();
}

/** Everything observable about a run. */
type Evidence = {
  acknowledged: string[];
  log: LogRow[];
  todos: Map<number, unknown>;
  convoy: ServedInbox;
  receiver: HttpReceiver;
};

async function judge({ acknowledged, log, todos, convoy, receiver }: Evidence) {
  const committed = new Set(log.map(({ id }) => id));
  const accepted = count(
    (await convoy.events()).filter((event) => !event.is_duplicate).map(eventOf),
  );
  const delivered = count(
    receiver.received.filter((one) => one.refused === undefined).map((one) => one.body.event_id),
  );
  const expected = lastWords(log);
  const kv = [...new Set([...expected.keys(), ...todos.keys()])].filter(
    (id) => JSON.stringify(todos.get(id)) !== JSON.stringify(expected.get(id)),
  );
  const owed = [...new Set([...acknowledged, ...committed])];
  const known = (id: string) => committed.has(id);
  return {
    lost: [
      ...owed.filter((id) => !(known(id) && accepted.has(id) && delivered.has(id))),
      ...kv.filter((id) => expected.has(id)).map((id) => `todo ${id} in KV`),
    ],
    twice: owed.filter((id) => (accepted.get(id) ?? 0) > 1 || (delivered.get(id) ?? 0) > 1),
    phantom: [
      ...[...accepted.keys(), ...delivered.keys()].filter((id) => !known(id)),
      ...kv.filter((id) => !expected.has(id)).map((id) => `todo ${id} in KV`),
    ],
  };
}

/** The event of a delivery, whichever its key. */
function eventOf({ idempotency_key }: InboxEvent): string {
  return idempotency_key.split(".")[0] ?? "";
}

function count(ids: string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}
