/** More hands in workerd: further invocations by ctx.exports, each with subrequests of its own. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createTestHarness } from "wrangler";
import type { Report } from "../../src/outbox/cron.ts";
import type { Posted } from "../../src/outbox/gateway.ts";
import type { Invocation, Sent } from "../fixtures/hands/worker.ts";
import { leaveDeliveries, leaveEndpoints } from "../support/log-rows.ts";

type SeenPost = Pick<Invocation, "id" | "kind"> & { key: string };

const FAILED: Posted = { kind: "failed", error: "500", throttled: false, retryAfterMs: null };

let script: (post: SeenPost, nth: number) => Posted;
let posts: SeenPost[] = [];
let did: Invocation[] = [];

const gateway = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const body = JSON.parse(Buffer.concat(chunks).toString()) as SeenPost & Invocation;
    if (request.url === "/did") {
      did.push(body);
      response.end();
      return;
    }
    if (request.url === "/list") {
      response.end();
      return;
    }
    posts.push(body);
    const nth = posts.filter(({ id }) => id === body.id).length;
    response.end(JSON.stringify(script(body, nth)));
  });
});
await new Promise<void>((resolve) => gateway.listen(0, "127.0.0.1", () => resolve()));
const GATEWAY = `http://127.0.0.1:${(gateway.address() as AddressInfo).port}`;

type Worker = Awaited<ReturnType<typeof start>>;

async function start() {
  const root = path.resolve(import.meta.dirname, "../fixtures/hands");
  const secrets = { GATEWAY, HANDS: "4" };
  const harness = createTestHarness({ root, workers: [{ configPath: "wrangler.toml", secrets }] });
  const { url } = await harness.listen();
  await harness.getWorker().applyD1Migrations("DB");
  // workerd closes idle connections.
  const call = async (where: string, body: unknown) => {
    const headers = { Connection: "close" };
    const response = await fetch(new URL(where, url), {
      ...{ method: "POST", headers, body: JSON.stringify(body) },
    });
    expect(response.status).toBe(200);
    return response;
  };
  const sql = async <T>(...sent: Sent[]): Promise<T[][]> =>
    (await (await call("/sql", sent)).json()) as T[][];
  return {
    sql,
    close: () => harness.close(),
    async run(settings = {}): Promise<Report> {
      await call("/run", settings);
      const [rows = []] = await sql<{ last_report: string }>([
        "SELECT last_report FROM cron_state",
      ]);
      return JSON.parse(rows[0]?.last_report ?? "null") as Report;
    },
  };
}

/** Starts over with so many due deliveries of two owners. */
async function leave({ sql }: Worker, count: number): Promise<void> {
  await sql(
    ...["delivery", "event", "endpoint", "cron_state"].map(
      (table): Sent => [`DELETE FROM ${table}`],
    ),
    ["INSERT INTO cron_state (id) VALUES (1)"],
  );
  const prepare = (text: string) => ({ bind: (...values: unknown[]): Sent => [text, ...values] });
  const db = { prepare, batch: (sent: Sent[]) => sql(...sent) } as unknown as D1Database;
  await leaveEndpoints(db, [
    { id: "a1", owner: "a" },
    { id: "b1", owner: "b" },
  ]);
  const owners = Array.from({ length: count }, (_, n) => (n % 2 === 0 ? "a" : "b"));
  await leaveDeliveries(
    db,
    owners.map((owner) => ({ owner })),
  );
}

const pending = async ({ sql }: Worker) => {
  const [rows = []] = await sql<{ due_at: number }>([
    "SELECT due_at FROM delivery WHERE status = 'pending'",
  ]);
  return rows.map(({ due_at }) => due_at);
};

beforeEach(() => {
  posts = [];
  did = [];
  script = () => ({ kind: "accepted" });
});
afterAll(() => void gateway.close());

const invocations = (kind: Invocation["kind"]) => did.filter((one) => one.kind === kind);

describe("with four hands", () => {
  let worker: Worker;
  beforeAll(async () => {
    worker = await start();
  });
  afterAll(() => worker.close());

  test("parts of a backlog go to further invocations, none beyond its own 45 subrequests", async () => {
    await leave(worker, 250);
    const report = await worker.run();
    expect(report.dispatch).toMatchObject({ hands: { asked: 4 } });
    expect(report.dispatch).not.toHaveProperty("hands.stopped");
    expect(invocations("hand")).toHaveLength(4);
    // In workerd itself: what each invocation did, its calls of others included.
    for (const { operations, asked } of did) expect(operations + asked).toBeLessThanOrEqual(45);
    const [run] = invocations("run");
    expect(run?.asked).toBe(4);
    // The run is charged with what it did but for the report itself.
    expect(report.subrequests).toBe((run?.operations ?? 0) + 4 - 1);
    // Each of them posted, and nothing twice.
    expect(new Set(posts.map(({ id }) => id)).size).toBe(5);
    expect(new Set(posts.map(({ key }) => key)).size).toBe(posts.length);
    expect(posts.length).toBeGreaterThan(5 * 35);
    expect(await pending(worker)).toHaveLength(250 - posts.length);
  });

  test("nobody is asked before something got through", async () => {
    await leave(worker, 250);
    script = () => FAILED;
    const report = await worker.run();
    expect(report.dispatch).not.toHaveProperty("hands");
    expect(invocations("hand")).toEqual([]);
  });

  test("nobody is asked for what the run can do alone", async () => {
    await leave(worker, 20);
    const report = await worker.run();
    expect(report.dispatch).toMatchObject({ accepted: 20 });
    expect(invocations("hand")).toEqual([]);
  });

  test("hands that may make no more requests hand their rows back; the run goes on alone and says so", async () => {
    await leave(worker, 250);
    script = ({ kind }, nth) =>
      kind === "hand" && nth > 3
        ? { kind: "not sent", error: "Too many subrequests." }
        : { kind: "accepted" };
    const report = await worker.run();
    const problem = "no more requests: Too many subrequests.";
    expect(report.dispatch).toMatchObject({
      hands: { asked: 4, stopped: 4, accepted: 12, problem },
    });
    const own = posts.filter(({ kind }) => kind === "run").length;
    expect(own).toBeGreaterThan(15);
    const due = await pending(worker);
    expect(due).toHaveLength(250 - own - 12);
    expect(due.every((at) => at <= Date.now())).toBe(true);
  });

  test("hands stop after a few failures in a row, and leave the breaker alone", async () => {
    await leave(worker, 250);
    script = ({ kind }) => (kind === "hand" ? FAILED : { kind: "accepted" });
    const report = await worker.run();
    const byHands = posts.filter(({ kind }) => kind === "hand");
    // Five in a row, and those that were under way.
    expect(byHands.length).toBeLessThanOrEqual(4 * 10);
    expect(report.dispatch).toMatchObject({
      breaker: "closed",
      hands: { stopped: 4, accepted: 0 },
    });
    expect(await worker.sql(["SELECT breaker FROM cron_state"])).toEqual([[{ breaker: "closed" }]]);
  });

  test("HANDS=0: the run does everything alone", async () => {
    await leave(worker, 100);
    const report = await worker.run({ HANDS: "0" });
    expect(report.dispatch).not.toHaveProperty("hands");
    expect(did.map(({ kind }) => kind)).toEqual(["run"]);
  });
});
