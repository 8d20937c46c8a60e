// The log at the size where its first version broke: bursts, backlogs, other endpoints, budgets that end midway.
import { afterEach, expect, it } from "vitest";
import type { Bindings } from "../../src/config.ts";
import { todoKey } from "../../src/todo/kv.ts";
import { recordEndpoints } from "../support/endpoint-records.ts";
import { FRESH } from "../support/kv.ts";
import { type ModelConvoy, modelConvoy, type Trouble } from "../support/model-convoy.ts";
import { brokenPromises } from "../support/promises.ts";
import { goOnUntil, pass } from "../support/virtual-clock.ts";
import { openWorld, type World } from "../support/world.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

let world: World<ModelConvoy>;
afterEach(() => world.close());

/** Opens a world with a model of Convoy, and these endpoints. */
function open(
  settings: Partial<Bindings> = {},
  endpoints: string[] = ["e"],
  trouble: Partial<Trouble> = {},
): void {
  world = openWorld({ settings, kv: FRESH, convoy: modelConvoy(trouble) });
  recordEndpoints(world, endpoints);
}

/** Runs the cron until `done`, at most `most` times. @returns how often it ran */
async function cronUntil(done: () => boolean, most: number): Promise<number> {
  for (let runs = 0; runs < most; runs++) {
    if (done()) return runs;
    await world.cron();
  }
  return done() ? most : Number.POSITIVE_INFINITY;
}

function expectEachOnce(ids: string[]): void {
  const counts = Map.groupBy(ids, (id) => world.convoy.deliveredOf(id));
  expect([...counts.keys()]).toEqual([1]);
}

/** BURST=10000 is the required size; the first version never finished 4,300. */
const BURST = Number(process.env.BURST ?? 6_000);
const OLD = BURST / 5;

it(`confirms a burst of ${BURST} at the default budget, each page of Convoy's list read once`, {
  timeout: 120_000,
}, async () => {
  open({ RETENTION_DAYS: "1" }, ["e", "pausing"]);
  // What older days left: the purge must not wait for the burst.
  const old = await world.createMany(OLD);
  await cronUntil(() => world.states().confirmed === OLD, 20);
  await pass(DAY_MS);
  world.convoy.lists = 0;

  const ids = await world.createMany(BURST, "e");
  // A pause that a crash cut off ends in the first run, long before the burst is confirmed.
  world.rows(`UPDATE endpoint SET status = 'pausing', due_at = 1 WHERE id = 'pausing' RETURNING 1`);
  await world.cron();
  const pausing = world.rows("SELECT status FROM endpoint WHERE id = 'pausing'");
  expect(pausing).toEqual([{ status: "paused" }]);
  expect(world.states().confirmed ?? 0).toBeLessThan(ids.length);
  const runs = 1 + (await cronUntil(() => world.states().confirmed === ids.length, 30));
  const pages = Math.ceil(world.convoy.records.length / 250);
  console.info(`burst of ${BURST}: ${runs} runs, ${world.convoy.lists} list calls, ${pages} pages`);
  expect(world.convoy.lists).toBeLessThanOrEqual(pages + runs);
  expect(world.convoy.posts).toHaveLength(OLD + BURST);
  expectEachOnce(ids);
  expect(world.rows(`SELECT 1 FROM event WHERE id = '${old[0]}'`)).toEqual([]);
  expect(world.states()).toEqual({ confirmed: BURST });
  expect(await brokenPromises(world)).toEqual([]);
});

it("keeps up with eight events a second in the project, other producers' included", {
  timeout: 60_000,
}, async () => {
  open();
  const ids: string[] = [];
  for (let minute = 0; minute < 30; minute++) {
    ids.push(...(await world.createMany(120, "e")));
    world.convoy.produce(360);
    await world.cron();
  }
  const { accepted = 0 } = world.states();
  // What is not confirmed is younger than the walk's delay and a run.
  expect(accepted).toBeLessThanOrEqual(4 * 120);
  expect(world.convoy.posts).toHaveLength(ids.length);
  expect(await cronUntil(() => world.states().confirmed === ids.length, 5)).toBeLessThanOrEqual(5);
  expect(await brokenPromises(world)).toEqual([]);
});

it("sends other endpoints' events in the next run, though 50 with 10 events each are gone at Convoy", async () => {
  const gone = [...Array(50).keys()].map((n) => `gone${n}`);
  open({}, [...gone, "swallowed", "waiting"], { gone: (id) => id.startsWith("gone") });
  for (const id of gone) await world.createMany(10, id);
  world.convoy.trouble.mode = "swallow";
  const swallowed = await world.createMany(10, "swallowed");
  world.convoy.trouble.mode = "down";
  const waiting = await world.createMany(20, "waiting");
  world.convoy.trouble.mode = "ok";

  await world.cron();
  await pass(10_000);
  expectEachOnce(waiting);
  expect(world.rows("SELECT DISTINCT status FROM endpoint WHERE id LIKE 'gone%'")).toEqual([
    { status: "missing" },
  ]);
  // What Convoy swallowed is found all the same.
  await cronUntil(() => swallowed.every((id) => world.convoy.deliveredOf(id) === 1), 15);
  expectEachOnce(swallowed);
});

it("delivers 500 events once each, though the answers to their posts were lost", async () => {
  open();
  world.convoy.trouble.mode = "lost";
  const ids = await world.createMany(500, "e");
  for (let minute = 0; minute < 5; minute++) await world.cron();
  world.convoy.trouble.mode = "ok";
  await cronUntil(() => world.states().confirmed === 500, 30);
  expect(world.states()).toEqual({ confirmed: 500 });
  expectEachOnce(ids);
  expect(world.rows("SELECT 1 FROM event WHERE replays > 0")).toEqual([]);
  expect(await brokenPromises(world)).toEqual([]);
});

it("finds an event by its key among more duplicates than a page holds", async () => {
  open();
  const [id] = await world.createMany(1, "e");
  await pass(10_000);
  expect(world.convoy.deliveredOf(id!)).toBe(1);
  const [original] = world.convoy.records;
  for (let n = 0; n < 40; n++) world.convoy.records.push({ ...original!, duplicate: true });
  // The walk is past it, and the row has been posted again already.
  world.d1.sqlite.exec(`UPDATE cron_state SET walk_since = ${Date.now() + DAY_MS};
    UPDATE event SET lookups = 1, due_at = 1`);
  await world.cron();
  expect(world.rows()).toMatchObject([{ state: "confirmed", replays: 0 }]);
});

it("posts each event once to a Convoy that takes 4.8 s, in runs that time ends", async () => {
  open({ SUBREQUEST_BUDGET: "9000" });
  world.convoy.trouble.mode = "down";
  const ids = await world.createMany(200, "e");
  world.convoy.trouble.mode = "ok";
  world.latencyMs.Convoy = 4_800;
  world.convoy.posts = [];
  await cronUntil(() => world.states().pending === undefined, 20);
  expect(world.states().pending).toBeUndefined();
  expect(world.convoy.posts).toHaveLength(ids.length);
});

it("posts what is due though KV refuses every write, and tries few writes", async () => {
  open();
  let puts = 0;
  world.kv.kv.put = () => {
    puts++;
    return Promise.reject(new Error("KV PUT failed: 429 Too Many Requests"));
  };
  world.convoy.trouble.mode = "down";
  const ids = await world.createMany(60, "e");
  world.convoy.trouble.mode = "ok";
  puts = 0;
  const runs = await cronUntil(() => ids.every((id) => world.convoy.deliveredOf(id) === 1), 6);
  expect(runs).toBeLessThanOrEqual(4);
  expect(puts).toBeLessThanOrEqual(10 * runs);
});

it("writes no row of the backlog while Convoy asks us to wait", async () => {
  open();
  world.convoy.trouble.mode = "down";
  await world.createMany(1_000, "e");
  const { fetch } = world.convoy;
  world.convoy.fetch = async () =>
    Response.json({ status: false }, { status: 429, headers: { "Retry-After": "3600" } });
  await world.cron();
  const before = world.rows();
  const counted = () => world.rows<{ n: number }>("SELECT total_changes() AS n")[0]!.n;
  const changes = counted();
  for (let minute = 0; minute < 50; minute++) await world.cron();
  expect(world.rows()).toEqual(before);
  expect(counted() - changes).toBeLessThanOrEqual(50);

  world.convoy.fetch = fetch;
  world.convoy.trouble.mode = "ok";
  for (let minute = 0; minute < 12; minute++) await world.cron();
  expect(world.states().pending ?? 0).toBeLessThan(1_000);
});

it("purges 5,000 rows of one todo in a few runs, and none before its older ones", async () => {
  open({ RETENTION_DAYS: "1" });
  const insert = world.d1.sqlite.prepare(
    `INSERT INTO event (id, owner, type, occurred_at, todo_id, todo, stored, state, accepted_at, finished_at)
     VALUES (?, 'default', 'updated', ?, 1, '{"id":1}', 1, 'confirmed', 1, ?)`,
  );
  const now = Date.now();
  for (let n = 0; n < 5_000; n++) insert.run(`old-${n}`, now + n, now + n);
  // One of them was replayed lately: it stays, and so does every later one.
  world.d1.sqlite.exec(`UPDATE event SET finished_at = ${now + 3 * DAY_MS} WHERE id = 'old-4000'`);
  await pass(2 * DAY_MS);
  const runs = await cronUntil(() => world.rows().length === 1_000, 12);
  expect(runs).toBeLessThanOrEqual(10);
  expect(world.rows()[0]!.id).toBe("old-4000");
  for (let n = 0; n < 12; n++) await world.cron();
  expect(world.rows()).toHaveLength(1_000);
  await pass(2 * DAY_MS);
  await cronUntil(() => world.rows().length === 0, 12);
  expect(world.rows()).toEqual([]);
});

it("repairs the oldest of 3,000 todos in KV", async () => {
  open();
  const ids = await world.createMany(3_000);
  await cronUntil(() => world.states().confirmed === ids.length, 20);
  // A put that landed late, on the todo that was changed first.
  const [first] = world.rows<{ todo_id: number }>("SELECT todo_id FROM event ORDER BY seq LIMIT 1");
  const key = todoKey("default", first!.todo_id);
  world.kv.write(key, "late", { seq: 0 });
  const repaired = () => world.kv.now().get(key)?.value !== "late";
  let runs = 0;
  for (; runs < 60 && !repaired(); runs++) await world.cron();
  expect(repaired()).toBe(true);
  expect(world.rows("SELECT 1 FROM event WHERE due_at IS NOT NULL")).toEqual([]);
});

it("drains 2,000 events at nine tenths or more of what six connections can do", async () => {
  open({ SUBREQUEST_BUDGET: "10000" });
  world.convoy.trouble.mode = "down";
  await world.createMany(2_000, "e");
  world.convoy.trouble.mode = "ok";
  world.convoy.posts = [];
  Object.assign(world.latencyMs, { Convoy: 50, D1: 5 });
  await pass(MINUTE_MS - (Date.now() % MINUTE_MS));
  const actor = world.isolate()(world.healthy);
  const begun = Date.now();
  void actor.scheduled(begun);
  await goOnUntil(() => world.convoy.posts.length >= 2_000);
  const took = world.convoy.posts.at(-1)!.at - begun;
  const best = (2_000 / 6) * 50;
  console.info(
    `drain of 2,000: ${took} ms of at best ${Math.round(best)}, ${(best / took).toFixed(3)}`,
  );
  expect(best / took).toBeGreaterThanOrEqual(0.9);
  await goOnUntil(actor.idle);
  expect(world.states()).toEqual({ accepted: 2_000 });
});
