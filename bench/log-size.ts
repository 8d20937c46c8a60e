/** npm run bench -- log: what each route and an idle cron run cost with 1,000,000 rows in the log, and with 1,000. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { app, cronTasks, outbox } from "../src/app.ts";
import { runCron } from "../src/outbox/cron.ts";
import type { Bindings } from "../src/settings.ts";
import { metered } from "./metered.ts";

const MIGRATIONS = path.resolve(import.meta.dirname, "../migrations");
const SIZES = [1_000, Number(process.env.ROWS ?? 1_000_000)];
/** Calls of each kind; their median counts. */
const CALLS = 15;
const DAY_MS = 86_400_000;

type Cost = { ms: number; rowsRead: number };

// One owner's events with a delivery each, delivered except for a few that are pending or dead; none may be purged.
const NUMBERS =
  "WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)";
const FILL_EVENTS = `${NUMBERS}
INSERT INTO event (seq, id, owner, type, occurred_at, resource, resource_id, change, data, projected)
SELECT i + 1, printf('0%07x-0000-7000-8000-%012x', i, i), 'default',
  iif(i % 1000 = 7, 'ping', 'updated'), ?3 + i, iif(i % 1000 = 7, NULL, 'todo'), iif(i % 1000 = 7, NULL, i % 5000),
  iif(i % 1000 = 7, NULL, 'update'), iif(i % 1000 = 7, NULL, '{"id":1,"item":"x","completed":false}'), iif(i % 1000 = 7, NULL, 1)
FROM n`;
const FILL_DELIVERIES = `${NUMBERS}
INSERT INTO delivery (event_seq, endpoint_id, owner, type, status, failures, error, accepted_at, finished_at, due_at)
SELECT i + 1, 'x', 'default', iif(i % 1000 = 7, 'ping', 'updated'),
  iif(i < 20, 'pending', iif(i < 40, 'dead', 'delivered')), iif(i < 20, 1, 0), iif(i < 40, 'Convoy answered 400', NULL),
  iif(i < 20, NULL, 1), iif(i < 20, NULL, ?3 + i), iif(i < 20, ?4, NULL)
FROM n`;

const CALLED: [name: string, method: string, url: string, body?: object][] = [
  ["GET /event", "GET", "/event"],
  ["GET /event?type=ping", "GET", "/event?type=ping"],
  ["GET /event?type=deleted", "GET", "/event?type=deleted"],
  ["GET /event?status=dead", "GET", "/event?status=dead"],
  ["GET /delivery", "GET", "/delivery"],
  ["GET /delivery?status=pending", "GET", "/delivery?status=pending"],
  ["GET /delivery?status=dead", "GET", "/delivery?status=dead"],
  ["GET /delivery?status=delivered", "GET", "/delivery?status=delivered"],
  ["GET /delivery?endpoint=y", "GET", "/delivery?endpoint=y"],
  ["GET /event/summary", "GET", "/event/summary"],
  ["GET /event?endpoint=x", "GET", "/event?endpoint=x"],
  ["GET /event/:id", "GET", "/event/00000064-0000-7000-8000-000000000064"],
  ["GET /health?deep", "GET", "/health?deep"],
  ["POST /delivery/resend", "POST", "/delivery/resend", { status: "dead" }],
  ["POST /event/:id/replay", "POST", "/event/00000065-0000-7000-8000-000000000065/replay"],
  ["POST /todo", "POST", "/todo", { item: "milk" }],
  ["PUT /todo/:id", "PUT", "/todo/1", { item: "milk" }],
  ["idle cron", "CRON", ""],
];

const SETTINGS = {
  AUTH: "open",
  CONVOY_BASE_URL: "http://convoy.test/api",
  CONVOY_API_KEY: "local",
  CONVOY_PROJECT_ID: "local",
  CONVOY: {
    fetch: async () =>
      Response.json({
        status: true,
        message: "",
        data: { uid: "local", content: [], pagination: { has_next_page: false } },
      }),
  },
};

const costs = [];
for (const size of SIZES) costs.push(await measure(size));
const [small, large] = costs as [Map<string, Cost>, Map<string, Cost>];
console.log(`rows: ${SIZES.join(" and ")}; median of ${CALLS} calls`);
for (const [name, cost] of small) {
  const other = large.get(name)!;
  const ratio = (other.ms / cost.ms).toFixed(2);
  const times = `${cost.ms.toFixed(2)} → ${other.ms.toFixed(2)} ms (x${ratio})`;
  console.log(
    `${name.padEnd(28)} ${times.padEnd(32)} rows read ${cost.rowsRead} → ${other.rowsRead}`,
  );
}

async function measure(size: number): Promise<Map<string, Cost>> {
  const mf = new Miniflare(
    convertV4MiniflareOptions({
      name: "log",
      modules: true,
      script: "export default { fetch() { return new Response('') } }",
      compatibilityDate: "2026-10-01",
      kvNamespaces: ["KV"],
      d1Databases: ["DB"],
    }),
  );
  try {
    const db = (await mf.getD1Database("DB")) as unknown as D1Database;
    const kv = (await mf.getKVNamespace("KV")) as unknown as KVNamespace;
    for (const file of readdirSync(MIGRATIONS).sort()) {
      const sql = readFileSync(path.join(MIGRATIONS, file), "utf8").replace(/--.*$/gm, "");
      for (const each of sql.split(";").filter((part) => part.trim() !== "")) {
        await db.prepare(each).run();
      }
    }
    const now = Date.now();
    for (let from = 0; from < size; from += 50_000) {
      const to = Math.min(from + 50_000, size);
      await db
        .prepare(FILL_EVENTS)
        .bind(from, to, now - DAY_MS)
        .run();
      await db
        .prepare(FILL_DELIVERIES)
        .bind(from, to, now - DAY_MS, now + DAY_MS)
        .run();
    }
    await db.prepare("UPDATE cron_state SET scrub_after = 'f', walk_since = ?").bind(now).run();
    await kv.put("todo:ZGVmYXVsdA==:0000000000000001", '{"id":1,"item":"x","completed":false}');
    const meter: D1Meta[] = [];
    const env = { DB: metered(db, meter), KV: kv, ...SETTINGS } as unknown as Bindings;
    const found = new Map<string, Cost>();
    for (const [name, method, url, body] of CALLED) {
      const all: Cost[] = [];
      for (let call = 0; call < CALLS; call++) {
        meter.length = 0;
        const begun = performance.now();
        await callOnce(env, method, url, body);
        const ms = performance.now() - begun;
        all.push({ ms, rowsRead: meter.reduce((rows, meta) => rows + meta.rows_read, 0) });
      }
      all.sort((a, b) => a.ms - b.ms);
      found.set(name, all[Math.floor(CALLS / 2)]!);
    }
    return found;
  } finally {
    await mf.dispose();
  }
}

/** One call up to its answer, without its waitUntil work: that time is Convoy's. */
async function callOnce(env: Bindings, method: string, url: string, body?: object) {
  if (method === "CRON") {
    await runCron(env, outbox, { tasks: cronTasks });
    return;
  }
  const work: Promise<unknown>[] = [];
  const ctx = { waitUntil: (promise: Promise<unknown>) => void work.push(promise) };
  const sent = body && {
    body: JSON.stringify(body),
    headers: { "Content-Type": "application/json" },
  };
  const request = new Request(`http://localhost${url}`, { method, ...sent });
  const response = await app.fetch(request as never, env, ctx as never);
  await response.text();
}
