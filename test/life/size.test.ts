// The log at the size where its first version broke: bursts, backlogs, neighbours, budgets that end in the middle.
import { afterEach, expect, it } from "vitest";
import { todoKey } from "../../src/todo/kv.ts";
import { goOnUntil, pass } from "../support/virtual-clock.ts";
import { createMany, type Life, openLife } from "./world.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

let life: Life | undefined;
afterEach(() => {
  life?.close();
  life = undefined;
});

/** Runs the cron until `done`, at most `most` times. @returns how often it ran */
async function cronUntil(done: () => boolean, most: number): Promise<number> {
  for (let runs = 0; runs < most; runs++) {
    if (done()) return runs;
    await life!.cron();
  }
  return done() ? most : Number.POSITIVE_INFINITY;
}

function expectEachOnce(ids: string[]): void {
  const counts = Map.groupBy(ids, (id) => life!.convoy.deliveredOf(id));
  expect([...counts.keys()]).toEqual([1]);
}

it("confirms a burst of 10,000 at the default budget, each page of Convoy's list read once", {
  timeout: 120_000,
}, async () => {
  life = openLife({ RETENTION_DAYS: "1" });
  life.endpoints(["e", "pausing"]);
  // What a crash and older days left: purge and endpoint life must not wait for the burst.
  const old = await createMany(life, 2_000);
  await cronUntil(() => life!.states().confirmed === 2_000, 20);
  await pass(DAY_MS);
  life.convoy.lists = 0;

  const ids = await createMany(life, 10_000, { endpointOf: () => "e" });
  const runs = await cronUntil(() => (life!.states().confirmed ?? 0) === ids.length, 30);
  const pages = Math.ceil(life.convoy.records.length / 250);
  console.info(`burst of 10,000: ${runs} runs, ${life.convoy.lists} list calls, ${pages} pages`);
  expect(life.convoy.lists).toBeLessThanOrEqual(pages + runs);
  expect(life.convoy.posts).toHaveLength(12_000);
  expectEachOnce(ids);
  expect(life.rows(`SELECT 1 FROM event WHERE id = '${old[0]}'`)).toEqual([]);
  expect(life.states()).toEqual({ confirmed: 10_000 });
});

it("keeps up with eight events a second in the project, other producers' too", {
  timeout: 60_000,
}, async () => {
  life = openLife();
  life.endpoints(["e"]);
  const ids: string[] = [];
  for (let minute = 0; minute < 30; minute++) {
    ids.push(...(await createMany(life, 120, { endpointOf: () => "e" })));
    life.convoy.produce(360);
    await life.cron();
  }
  const { accepted = 0 } = life.states();
  // What is not confirmed is younger than the walk's delay and a run.
  expect(accepted).toBeLessThanOrEqual(4 * 120);
  expect(life.convoy.posts).toHaveLength(ids.length);
  expect(await cronUntil(() => life!.states().confirmed === ids.length, 5)).toBeLessThanOrEqual(5);
});

it("sends the others' events in the next run while 50 endpoints are gone at Convoy, with 10 events each", async () => {
  life = openLife({}, { trouble: { gone: (id) => id.startsWith("gone") } });
  const gone = [...Array(50).keys()].map((n) => `gone${n}`);
  life.endpoints([...gone, "swallowed", "waiting"]);
  for (const id of gone) await createMany(life, 10, { endpointOf: () => id });
  life.convoy.trouble.mode = "swallow";
  const swallowed = await createMany(life, 10, { endpointOf: () => "swallowed" });
  life.convoy.trouble.mode = "down";
  const waiting = await createMany(life, 20, { endpointOf: () => "waiting" });
  life.convoy.trouble.mode = "ok";

  await life.cron();
  await pass(10_000);
  expectEachOnce(waiting);
  expect(life.rows("SELECT DISTINCT status FROM endpoint WHERE id LIKE 'gone%'")).toEqual([
    { status: "missing" },
  ]);
  // What Convoy swallowed is found out all the same.
  await cronUntil(() => swallowed.every((id) => life!.convoy.deliveredOf(id) === 1), 15);
  expectEachOnce(swallowed);
});

it("delivers 500 events once whose posts were taken and whose answers were lost", async () => {
  life = openLife();
  life.endpoints(["e"]);
  life.convoy.trouble.mode = "lost";
  const ids = await createMany(life, 500, { endpointOf: () => "e" });
  for (let minute = 0; minute < 5; minute++) await life.cron();
  life.convoy.trouble.mode = "ok";
  await cronUntil(() => life!.states().confirmed === 500, 30);
  expect(life.states()).toEqual({ confirmed: 500 });
  expectEachOnce(ids);
  expect(life.rows("SELECT 1 FROM event WHERE replays > 0")).toEqual([]);
});

it("finds an event by its key under more repeats than a page holds", async () => {
  life = openLife();
  life.endpoints(["e"]);
  const [id] = await createMany(life, 1, { endpointOf: () => "e" });
  await pass(10_000);
  expect(life.convoy.deliveredOf(id!)).toBe(1);
  const [original] = life.convoy.records;
  for (let n = 0; n < 40; n++) life.convoy.records.push({ ...original!, duplicate: true });
  // The walk is over its time, and the row has been posted again before.
  life.d1.sqlite.exec(`UPDATE cron_state SET walk_since = ${Date.now() + DAY_MS};
    UPDATE event SET lookups = 1, due_at = 1`);
  await life.cron();
  expect(life.rows()).toMatchObject([{ state: "confirmed", replays: 0 }]);
});

it("posts each event once to a Convoy that takes 4.8 s, with a budget that time ends", async () => {
  life = openLife({ SUBREQUEST_BUDGET: "9000" });
  life.endpoints(["e"]);
  life.convoy.trouble.mode = "down";
  const ids = await createMany(life, 200, { endpointOf: () => "e" });
  life.convoy.trouble.mode = "ok";
  life.latencyMs.Convoy = 4_800;
  life.convoy.posts = [];
  await cronUntil(() => life!.states().pending === undefined, 20);
  expect(life.states().pending).toBeUndefined();
  expect(life.convoy.posts).toHaveLength(ids.length);
});

it("posts what is due although KV refuses every write, and asks KV for little", async () => {
  life = openLife();
  life.endpoints(["e"]);
  let puts = 0;
  life.kv.put = () => {
    puts++;
    return Promise.reject(new Error("KV PUT failed: 429 Too Many Requests"));
  };
  life.convoy.trouble.mode = "down";
  const ids = await createMany(life, 60, { endpointOf: () => "e" });
  life.convoy.trouble.mode = "ok";
  puts = 0;
  const runs = await cronUntil(() => ids.every((id) => life!.convoy.deliveredOf(id) === 1), 6);
  expect(runs).toBeLessThanOrEqual(4);
  expect(puts).toBeLessThanOrEqual(10 * runs);
});

it("writes no row of the backlog while Convoy asks for time", async () => {
  life = openLife();
  life.endpoints(["e"]);
  life.convoy.trouble.mode = "down";
  await createMany(life, 1_000, { endpointOf: () => "e" });
  const { fetch } = life.convoy;
  life.convoy.fetch = async () =>
    Response.json({ status: false }, { status: 429, headers: { "Retry-After": "3600" } });
  await life.cron();
  const before = life.rows();
  const counted = () => life!.rows<{ n: number }>("SELECT total_changes() AS n")[0]!.n;
  const changes = counted();
  for (let minute = 0; minute < 50; minute++) await life.cron();
  expect(life.rows()).toEqual(before);
  expect(counted() - changes).toBeLessThanOrEqual(50);

  life.convoy.fetch = fetch;
  life.convoy.trouble.mode = "ok";
  for (let minute = 0; minute < 12; minute++) await life.cron();
  expect(life.states().pending ?? 0).toBeLessThan(1_000);
});

it("purges 5,000 rows of one todo in a few runs, and none before its older ones", async () => {
  life = openLife({ RETENTION_DAYS: "1" });
  const insert = life.d1.sqlite.prepare(
    `INSERT INTO event (id, owner, type, occurred_at, todo_id, todo, stored, state, accepted_at, finished_at)
     VALUES (?, 'default', 'updated', ?, 1, '{"id":1}', 1, 'confirmed', 1, ?)`,
  );
  const now = Date.now();
  for (let n = 0; n < 5_000; n++) insert.run(`old-${n}`, now + n, now + n);
  // One of them was replayed lately: it stays, and so does every later one.
  life.d1.sqlite.exec(`UPDATE event SET finished_at = ${now + 3 * DAY_MS} WHERE id = 'old-4000'`);
  await pass(2 * DAY_MS);
  const runs = await cronUntil(() => life!.rows().length === 1_000, 12);
  expect(runs).toBeLessThanOrEqual(10);
  expect(life.rows()[0]!.id).toBe("old-4000");
  for (let n = 0; n < 12; n++) await life.cron();
  expect(life.rows()).toHaveLength(1_000);
  await pass(2 * DAY_MS);
  await cronUntil(() => life!.rows().length === 0, 12);
  expect(life.rows()).toEqual([]);
});

it("compares every one of 3,000 todos with KV, not only the newest", async () => {
  life = openLife();
  const ids = await createMany(life, 3_000);
  await cronUntil(() => life!.states().confirmed === ids.length, 20);
  // A put that landed late, on the todo that was changed first.
  const [first] = life.rows<{ todo_id: number }>("SELECT todo_id FROM event ORDER BY seq LIMIT 1");
  const key = todoKey("default", first!.todo_id);
  await life.kv.put(key, "late", { metadata: { seq: 0 } });
  const repaired = async () => (await life!.kv.get(key)) !== "late";
  let runs = 0;
  for (; runs < 60 && !(await repaired()); runs++) await life.cron();
  expect(await repaired()).toBe(true);
  expect(life.rows("SELECT 1 FROM event WHERE due_at IS NOT NULL")).toEqual([]);
});

it("drains 2,000 events at nine tenths of what six connections can do", async () => {
  life = openLife({ SUBREQUEST_BUDGET: "10000" });
  life.endpoints(["e"]);
  life.convoy.trouble.mode = "down";
  await createMany(life, 2_000, { endpointOf: () => "e" });
  life.convoy.trouble.mode = "ok";
  life.convoy.posts = [];
  Object.assign(life.latencyMs, { Convoy: 50, D1: 5 });
  await pass(MINUTE_MS - (Date.now() % MINUTE_MS));
  const actor = life.isolate()(life.healthy);
  const begun = Date.now();
  void actor.scheduled(begun);
  await goOnUntil(() => life!.convoy.posts.length >= 2_000);
  const took = life.convoy.posts.at(-1)!.at - begun;
  const best = (2_000 / 6) * 50;
  console.info(
    `drain of 2,000: ${took} ms of at best ${Math.round(best)}, ${(best / took).toFixed(3)}`,
  );
  expect(best / took).toBeGreaterThanOrEqual(0.9);
  await goOnUntil(actor.idle);
  expect(life.states()).toEqual({ accepted: 2_000 });
});
