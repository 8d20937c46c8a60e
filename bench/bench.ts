/**
 * How long requests take, as ratios to a read of one todo in the same run: absolute times say more of
 * the machine than of the code. The built Worker in Miniflare, without the dev server's proxy.
 */
import "../local/wrangler-env.ts";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { serveConvoy } from "../local/convoy/server.ts";

const root = path.resolve(import.meta.dirname, "..");
const ROUNDS = 300;
const WARM_UP = 50;
const LIST_SIZE = 1_000;

const dist = mkdtempSync(path.join(os.tmpdir(), "todo-bench-"));
const wrangler = path.join(root, "node_modules/wrangler/bin/wrangler.js");
execFileSync(process.execPath, [wrangler, "deploy", "--dry-run", "--outdir", dist], { cwd: root });

const convoy = await serveConvoy({ port: await freePort() });
const port = await freePort();
const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    name: "bench",
    modules: true,
    modulesRoot: dist,
    scriptPath: path.join(dist, "index.js"),
    compatibilityDate: "2026-10-01",
    kvNamespaces: ["KV"],
    d1Databases: ["DB"],
    bindings: {
      AUTH: "open",
      CONVOY_BASE_URL: `${convoy.url}/api`,
      CONVOY_API_KEY: "local",
      CONVOY_PROJECT_ID: "local",
    },
    host: "127.0.0.1",
    cf: false,
    unsafeDirectSockets: [{ host: "127.0.0.1", port }],
  }),
);
const db = await miniflare.getD1Database("DB");
const migrations = path.join(root, "migrations");
for (const file of readdirSync(migrations).sort()) {
  const sql = readFileSync(path.join(migrations, file), "utf8").replaceAll(/--.*$/gm, "");
  for (const statement of sql.split(";")) if (statement.trim()) await db.prepare(statement).run();
}
const base = `http://127.0.0.1:${port}`;

const made = await send("POST", "/todo", { id: 0, item: "read me" });
if (made !== 201) throw new Error(`POST /todo answered ${made}`);
for (let id = 1; id < LIST_SIZE; id++) await send("POST", "/todo", { id, item: `todo ${id}` });

const results = new Map<string, number>();
results.set("GET /todo/:id", await median(() => send("GET", "/todo/0")));
results.set(`GET /todo (${LIST_SIZE} todos)`, await median(() => send("GET", "/todo")));
results.set("POST /todo", await median(() => send("POST", "/todo", { item: "new" })));
results.set("PUT /todo/:id", await median((i) => send("PUT", `/todo/${i}`, { item: `v${i}` })));
await setFaults({ hang: true });
results.set(
  "POST /todo, Convoy hanging",
  await median(() => send("POST", "/todo", { item: "new" })),
);
await setFaults({});

const unit = results.get("GET /todo/:id") ?? 1;
console.log(`median of ${ROUNDS}, one after the other; 1.0 is GET /todo/:id of this run`);
for (const [name, ms] of results) console.log(`${(ms / unit).toFixed(1).padStart(8)}  ${name}`);
const hanging = results.get("POST /todo, Convoy hanging") ?? 0;
const healthy = results.get("POST /todo") ?? 1;
console.log(`POST /todo with Convoy hanging / healthy: ${(hanging / healthy).toFixed(2)}`);

await convoy.close();
await miniflare.dispose();
rmSync(dist, { recursive: true });

async function send(method: string, url: string, body?: object): Promise<number> {
  const response = await fetch(base + url, {
    method,
    ...(body
      ? { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }
      : {}),
  });
  await response.arrayBuffer();
  if (!response.ok) throw new Error(`${method} ${url} answered ${response.status}`);
  return response.status;
}

async function median(run: (round: number) => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    const begun = performance.now();
    await run(round);
    if (round >= WARM_UP) times.push(performance.now() - begun);
  }
  times.sort((a, b) => a - b);
  return times[Math.floor(times.length / 2)] ?? 0;
}

async function setFaults(faults: object): Promise<void> {
  const response = await fetch(`${convoy.url}/inbox/faults`, {
    method: "PUT",
    body: JSON.stringify(faults),
    headers: { "Content-Type": "application/json" },
  });
  await response.arrayBuffer();
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
