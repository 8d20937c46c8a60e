/**
 * What the product costs, as ratios within one run: absolute times say more about the machine than
 * about the code. Each route takes turns with a bare Worker that does the same KV and D1 work.
 *
 * --runs N (1)      restarts and measures N times, pooling all pairs of turns
 * --turns N (24)    pairs of turns per figure and run: many short ones, so that other load on the
 *                   machine affects both turns of a pair
 * --ms N (400)      length of a turn
 * --only get,list,post,hang,life
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { latencies, type Shot, type Target, throughput } from "./load.ts";
import { build, type System, start, type WorkerName } from "./system.ts";
import type { Counts } from "./worker/counted.ts";

const CONNECTIONS = 16;
/** Todos that GET /todo lists: a person's list of a few pages. The JSON of 1,000 would hide all else. */
const LIST_SIZE = 100;
/** Posts per turn when comparing a hanging Convoy with a healthy one: each leaves a connection open. */
const HANG_POSTS = 100;
/** Changes whose whole life is counted. */
const LIFE_CHANGES = 640;
/** The cron runs once a minute; a delivery is seen within ten, and purged after more than a week. */
const MINUTE_MS = 60_000;
const RETENTION_MS = 8 * 86_400_000;
const CRON_RUNS_MAX = 120;
/** The owner while AUTH is open. */
const OWNER = "default";

const { values: options } = parseArgs({
  options: {
    runs: { type: "string", default: "1" },
    turns: { type: "string", default: "24" },
    ms: { type: "string", default: "400" },
    only: { type: "string", default: "get,list,post,hang,life" },
  },
});
const turns = Number(options.turns);
const ms = Number(options.ms);
const only = new Set(options.only.split(","));

const ratios = new Map<string, number[]>();
const built = build();
for (let run = 1; run <= Number(options.runs); run++) {
  const system = await start(built);
  await measure(system);
  await system.close();
  // Each life begins with a new clock: the last one ended days ahead of Convoy's.
  for (const endpoints of only.has("life") ? [0, 1, 3] : []) {
    const fresh = await start(built);
    await countLife(fresh, endpoints);
    await fresh.close();
  }
  if (Number(options.runs) > 1) print(`run ${run} of ${options.runs}, pooled so far`);
}
built.remove();
if (Number(options.runs) === 1 && ratios.size > 0)
  print("median (lowest to highest) of the pairs of turns");

async function measure(system: System): Promise<void> {
  const product = await targetOf(system, "product");
  const bare = await targetOf(system, "bare");
  for (const target of [product, bare]) {
    await latencies({ ...target, next: postFrom(0) }, { connections: 1, count: LIST_SIZE });
  }
  for (const name of ["product", "bare"] as const) await addEndpoints(system, name, 1);
  await settled(system, "product");
  const routes: [string, string, () => Shot][] = [
    ["get", "GET /todo/:id", () => ({ method: "GET", path: "/todo/7", status: 200 })],
    ["list", `GET /todo (${LIST_SIZE})`, () => ({ method: "GET", path: "/todo", status: 200 })],
    ["post", "POST /todo", postFrom(1_000)],
  ];
  for (const [name, title, next] of routes) {
    if (!only.has(name)) continue;
    await compare(`${title}, of bare`, async (of) => {
      const target = { ...(of === "first" ? product : bare), next };
      const rate = await throughput(target, { connections: CONNECTIONS, ms });
      await settled(system, "product");
      return rate;
    });
  }
  if (only.has("hang")) await compareHanging(system, { ...product, next: postFrom(1e9) });
}

/** Gives the owner so many endpoints, all active; Convoy is not asked. */
async function addEndpoints(system: System, name: WorkerName, endpoints: number): Promise<void> {
  await system.query(name, "DELETE FROM endpoint");
  const wanted = {
    name: "bench",
    url: "https://bench.example",
    description: "",
    http_timeout_s: 10,
  };
  await system.query(
    name,
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= ${endpoints})
     INSERT INTO endpoint (id, owner, wanted, name, url, description, http_timeout_s, applied, there, created_at, updated_at)
     SELECT 'e' || i, '${OWNER}', 'active', 'bench', 'https://bench.example', '', 10, '${JSON.stringify(wanted)}', 'active', 0, 0
     FROM n WHERE i <= ${endpoints}`,
  );
}

/** Takes turns; the first pair is only a warm-up. */
async function compare(title: string, turn: (of: "first" | "second") => Promise<number>) {
  const found = ratios.get(title) ?? [];
  for (let pair = 0; pair <= turns; pair++) {
    const ratio = (await turn("first")) / (await turn("second"));
    if (pair > 0) found.push(ratio);
  }
  ratios.set(title, found);
}

async function compareHanging(system: System, target: Target): Promise<void> {
  await compare("POST /todo p50, Convoy hanging / healthy", async (of) => {
    system.setHanging(of === "first");
    const times = await latencies(target, { connections: 1, count: HANG_POSTS });
    system.setHanging(false);
    await settled(system, "product");
    return median(times);
  });
}

/** Counts D1's work for a change from its commit until it leaves the log, as D1 reports it. */
async function countLife(system: System, endpoints: number): Promise<void> {
  const target = await targetOf(system, "counted");
  await addEndpoints(system, "counted", endpoints);
  await countsOf(target, "DELETE", 0);
  const life = { ...target, next: postFrom(endpoints * 1e6) };
  await latencies(life, { connections: CONNECTIONS, count: LIFE_CHANGES });
  await settled(system, "counted");
  const stages = [{ name: "commit and settle", ...(await countsOf(target, "GET", 0)) }];
  const stage = async (name: string, aheadMs: number, left: string) => {
    let counts = await countsOf(target, "POST", aheadMs);
    for (let run = 1; (await count(system, "counted", left)) > 0; run++) {
      if (run === CRON_RUNS_MAX) throw new Error(`${name}: not done after ${run} runs of the cron`);
      counts = await countsOf(target, "POST", MINUTE_MS);
    }
    stages.push({ name, ...counts });
  };
  await stage("delivered", 3 * MINUTE_MS, "delivery WHERE status <> 'delivered'");
  await stage("purge", RETENTION_MS, "event");
  const what = `${LIFE_CHANGES} changes with ${endpoints} endpoints over ${CONNECTIONS} connections`;
  console.log(`D1 for each of ${what}, so far`);
  for (const { name, statements, rowsWritten } of stages) {
    const each = (n: number) => (n / LIFE_CHANGES).toFixed(2).padStart(6);
    console.log(`  ${each(statements)} statements ${each(rowsWritten)} rows written: ${name}`);
  }
}

/** The counted Worker's counts; POST first puts its clock `aheadMs` forward and runs its cron. */
async function countsOf({ url }: Target, method: string, aheadMs: number): Promise<Counts> {
  const response = await fetch(new URL(`/bench?ahead=${aheadMs}`, url), { method });
  if (response.ok) return (await response.json()) as Counts;
  throw new Error(`${method} /bench: ${response.status} ${await response.text()}`);
}

/** Waits until the work in waitUntil is done: no turn may pay for another's work. */
async function settled(system: System, name: WorkerName): Promise<void> {
  while ((await count(system, name, "delivery WHERE status = 'pending'")) > 0) await sleep(50);
  while ((await count(system, name, "event WHERE projected = 0")) > 0) await sleep(50);
}

async function count(system: System, name: WorkerName, rows: string): Promise<number> {
  const row = await system.query(name, `SELECT count(*) AS n FROM ${rows}`);
  return row.n ?? 0;
}

async function targetOf(system: System, name: WorkerName): Promise<Target> {
  return { url: await system.urlOf(name), next: postFrom(0) };
}

/** Posts todos with ids from `first` up: an id from the caller costs a KV read, which bare makes too. */
function postFrom(first: number): () => Shot {
  let id = first;
  return () => {
    const body = { id: id++, item: `Buy milk, and bread for ${id}`, completed: false };
    return { method: "POST", path: "/todo", body, status: 201 };
  };
}

function print(heading: string): void {
  console.log(heading);
  for (const [title, found] of ratios) {
    const [low = 0, high = 0] = [Math.min(...found), Math.max(...found)];
    const range = `${low.toFixed(2)} to ${high.toFixed(2)}, n=${found.length}`;
    console.log(`  ${median(found).toFixed(3)} (${range})  ${title}`);
  }
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
