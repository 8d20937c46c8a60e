/** npm run bench -- log: what each route and an idle cron run cost with 1,000,000 rows in the log, and with 1,000. */
import { build, type System, start } from "./system.ts";
import type { Counts } from "./worker/counted.ts";

const SIZES = [1_000, Number(process.env.ROWS ?? 1_000_000)];
/** Calls of each kind; their median counts. */
const CALLS = 15;
const ROWS_A_STATEMENT = 50_000;
const DAY_MS = 86_400_000;
const TODO_KEY = "todo:ZGVmYXVsdA==:0000000000000001";

type Cost = { ms: number; rowsRead: number };

const CALLED: [method: string, url: string, body?: object][] = [
  ["GET", "/event"],
  ["GET", "/event?type=ping"],
  ["GET", "/event?type=deleted"],
  ["GET", "/event?status=dead"],
  ["GET", "/delivery"],
  ["GET", "/delivery?status=pending"],
  ["GET", "/delivery?status=dead"],
  ["GET", "/delivery?status=delivered"],
  ["GET", "/delivery?endpoint=y"],
  ["GET", "/event/summary"],
  ["GET", "/event?endpoint=x"],
  ["GET", "/event/00000064-0000-7000-8000-000000000064"],
  ["GET", "/health?deep"],
  ["POST", "/delivery/resend", { status: "dead" }],
  ["POST", "/event/00000065-0000-7000-8000-000000000065/replay"],
  ["POST", "/todo", { item: "milk" }],
  ["PUT", "/todo/1", { item: "milk" }],
  // An idle run of the cron.
  ["POST", "/bench?ahead=0"],
];

const built = build();
const costs: Cost[][] = [];
for (const size of SIZES) {
  const system = await start(built);
  await fill(system, size);
  costs.push(await measure(await system.urlOf("counted")));
  await system.close();
}
built.remove();
const [small = [], large = []] = costs;
console.log(`rows: ${SIZES.join(" and ")}; median of ${CALLS} calls, rows read by each`);
for (const [at, [method, url]] of CALLED.entries()) {
  const [one, other] = [small[at], large[at]];
  if (!one || !other) continue;
  const ratio = (other.ms / one.ms).toFixed(2);
  const times = `${one.ms.toFixed(2)} → ${other.ms.toFixed(2)} ms (x${ratio})`;
  const rows = `rows read ${one.rowsRead.toFixed()} → ${other.rowsRead.toFixed()}`;
  console.log(`${`${method} ${url}`.padEnd(56)} ${times.padEnd(32)} ${rows}`);
}

/** One owner's events with a delivery each, delivered except for a few that are pending or dead; none may be purged. */
async function fill(system: System, size: number): Promise<void> {
  const now = Date.now();
  for (let from = 0; from < size; from += ROWS_A_STATEMENT) {
    const to = Math.min(from + ROWS_A_STATEMENT, size);
    const numbers = `WITH RECURSIVE n (i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ${to})`;
    const unlessPing = (value: string) => `iif(i % 1000 = 7, NULL, ${value})`;
    await system.query(
      "counted",
      `${numbers}
       INSERT INTO event (seq, id, owner, type, occurred_at, resource, resource_id, change, data, projected)
       SELECT i + 1, printf('0%07x-0000-7000-8000-%012x', i, i), 'default',
         iif(i % 1000 = 7, 'ping', 'updated'), ${now - DAY_MS} + i, ${unlessPing("'todo'")}, ${unlessPing("i % 5000")},
         ${unlessPing("'update'")}, ${unlessPing(`'{"id":1,"item":"x","completed":false}'`)}, ${unlessPing("1")}
       FROM n`,
    );
    await system.query(
      "counted",
      `${numbers}
       INSERT INTO delivery (event_seq, endpoint_id, owner, type, status, failures, error, accepted_at, finished_at, due_at)
       SELECT i + 1, 'x', 'default', iif(i % 1000 = 7, 'ping', 'updated'),
         iif(i < 20, 'pending', iif(i < 40, 'dead', 'delivered')), iif(i < 20, 1, 0),
         iif(i < 40, 'Convoy answered 400', NULL), iif(i < 20, NULL, 1), iif(i < 20, NULL, ${now - DAY_MS} + i),
         iif(i < 20, ${now + DAY_MS}, NULL)
       FROM n`,
    );
  }
  await system.query("counted", `UPDATE cron_state SET scrub_after = 'f', walk_since = ${now}`);
  await system.put("counted", TODO_KEY, '{"id":1,"item":"x","completed":false}');
}

/** Each call's cost up to its answer; what it leaves to waitUntil counts among the rows. */
async function measure(worker: URL): Promise<Cost[]> {
  const counts = async (method: "GET" | "DELETE") =>
    (await (await fetch(new URL("/bench", worker), { method })).json()) as Counts;
  const found: Cost[] = [];
  for (const [method, url, body] of CALLED) {
    const headers = { "Content-Type": "application/json" };
    const sent = { method, ...(body ? { body: JSON.stringify(body), headers } : {}) };
    const times: number[] = [];
    await counts("DELETE");
    for (let call = 0; call < CALLS; call++) {
      const begun = performance.now();
      await (await fetch(new URL(url, worker), sent)).text();
      times.push(performance.now() - begun);
    }
    times.sort((a, b) => a - b);
    const { rowsRead } = await counts("GET");
    found.push({ ms: times[Math.floor(CALLS / 2)] ?? 0, rowsRead: rowsRead / CALLS });
  }
  return found;
}
