// The log at size: bursts, backlogs, pauses and limits, budgets that end midway, at the default budget unless it says
// otherwise. SIZE=10000 is the required size.
import { afterEach, describe, expect, it } from "vitest";
import { valueKey } from "../../src/outbox/store.ts";
import type { Bindings } from "../../src/settings.ts";
import { FRESH } from "../support/kv.ts";
import { modelConvoy, type Trouble } from "../support/model-convoy.ts";
import { brokenPromises } from "../support/promises.ts";
import { thing } from "../support/thing.ts";
import { goOnUntil, pass } from "../support/virtual-clock.ts";
import { type EndpointGiven, openWorld, type World } from "../support/world.ts";

const SIZE = Number(process.env.SIZE ?? 300);
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

let world: World;
afterEach(() => world.close());

/** Opens a world with these endpoints. */
function open(
  settings: Partial<Bindings> = {},
  endpoints: (string | EndpointGiven)[] = ["e1"],
  trouble: Partial<Trouble> = {},
): void {
  world = openWorld({ settings, kv: FRESH, convoy: modelConvoy(trouble) });
  world.endpoints(...endpoints);
}

/** Creates things while Convoy takes nothing. */
async function leave(count: number): Promise<string[]> {
  world.convoy.trouble.mode = "down";
  const ids = await world.createMany(count);
  world.convoy.trouble.mode = "ok";
  world.convoy.posts = [];
  return ids;
}

const isPending = () => (world.statuses().pending ?? 0) > 0;
const isOpen = () => isPending() || (world.statuses().sending ?? 0) > 0;

function expectEachOnce(ids: string[]): void {
  const counts = Map.groupBy(ids, (id) => world.convoy.arrivalsOf(id).length);
  expect([...counts.keys()]).toEqual([1]);
}

/** Rows that D1 has written, as SQLite counts them: an index's are not among them. */
const rowsWritten = () => world.rows<{ n: number }>("SELECT total_changes() AS n")[0]?.n ?? 0;

describe("what an outage leaves", () => {
  it(`${SIZE} deliveries, drained at the default budget`, { timeout: 1_800_000 }, async () => {
    open();
    const ids = await leave(SIZE);
    const runs = await world.cronUntil(() => !isPending(), 600);
    console.info(
      `size: an outage's ${SIZE} are posted in ${runs} min at the default budget, alone`,
    );
    // 28 a run; more hands multiply it.
    expect(runs).toBeLessThanOrEqual(SIZE / 24 + 2);
    await world.cronUntil(() => !isOpen(), 100);
    expectEachOnce(ids);
    expect(world.convoy.posts.length).toBeLessThanOrEqual(SIZE + 10);
  });

  it(`${SIZE} deliveries, drained at the default budget by eight hands`, {
    timeout: 1_800_000,
  }, async () => {
    open({ HANDS: "8" });
    const ids = await leave(SIZE);
    const runs = await world.cronUntil(() => !isPending(), 600);
    console.info(
      `size: an outage's ${SIZE} are posted in ${runs} min at the default budget, by eight hands`,
    );
    expect(runs).toBeLessThanOrEqual(Math.ceil((SIZE * 45) / 10_000) + 1);
    await world.cronUntil(() => !isOpen(), 100);
    expectEachOnce(ids);
    expect(world.convoy.posts.length).toBeLessThanOrEqual(SIZE + 10);
  });

  it(`${SIZE} deliveries, drained with 9,000 subrequests`, { timeout: 1_800_000 }, async () => {
    open({ SUBREQUEST_BUDGET: "9000" });
    const ids = await leave(SIZE);
    Object.assign(world.latencyMs, { Convoy: 50, D1: 5 });
    const runs = await world.cronUntil(() => !isPending(), 60);
    console.info(`size: an outage's ${SIZE} are posted in ${runs} min with 9,000 subrequests`);
    expect(runs).toBeLessThanOrEqual(Math.ceil(SIZE / 4_000) + 1);
    await world.cronUntil(() => !isOpen(), 100);
    expectEachOnce(ids);
    expect(await brokenPromises(world)).toEqual([]);
  });

  it("posted at nine tenths or more of what six connections can do", async () => {
    open({ SUBREQUEST_BUDGET: "9000" });
    const count = Math.min(SIZE, 2_000);
    await leave(count);
    Object.assign(world.latencyMs, { Convoy: 50, D1: 5 });
    await pass(MINUTE_MS - (Date.now() % MINUTE_MS));
    const actor = world.isolate()(world.healthy);
    const begun = Date.now();
    void actor.scheduled(begun);
    await goOnUntil(() => world.convoy.posts.length >= count);
    const took = Number(world.convoy.posts.at(-1)?.at) - begun;
    const best = (count / 6) * 50;
    console.info(`size: ${count} posted in ${took} ms of at best ${Math.round(best)}`);
    expect(best / took).toBeGreaterThanOrEqual(0.9);
    await goOnUntil(actor.idle);
    expect(world.statuses()).toEqual({ sending: count });
  });

  it("to a Convoy that takes 4.8 s for each, in runs that time ends: each once", async () => {
    open({ SUBREQUEST_BUDGET: "9000" });
    await leave(150);
    world.latencyMs.Convoy = 4_800;
    await world.cronUntil(() => !isPending(), 20);
    expect(isPending()).toBe(false);
    expect(world.convoy.posts).toHaveLength(150);
  });
});

describe("a burst", () => {
  it(`of ${SIZE} is confirmed by one list call for each page, at the default budget`, {
    timeout: 600_000,
  }, async () => {
    open({ RETENTION_DAYS: "1" });
    // What older days left: the purge must not wait for the burst.
    const old = await world.createMany(SIZE / 10);
    await world.cronUntil(() => !isOpen(), 20);
    await pass(DAY_MS + MINUTE_MS);
    world.convoy.lists = 0;
    const ids = await world.createMany(SIZE);
    const runs = await world.cronUntil(() => !isOpen(), 200);
    const pages = Math.ceil(SIZE / 100);
    console.info(
      `size: a burst of ${SIZE}: ${runs} runs, ${world.convoy.lists} list calls, ${pages} pages`,
    );
    expect(runs).toBeLessThanOrEqual(pages / 2 + 6);
    expect(world.convoy.lists).toBeLessThanOrEqual(pages + runs);
    expect(world.convoy.posts).toHaveLength(SIZE / 10 + SIZE);
    expectEachOnce(ids);
    expect(world.rows(`SELECT 1 FROM event WHERE id = '${old[0]}'`)).toEqual([]);
    expect(world.statuses()).toEqual({ delivered: SIZE });
    expect(await brokenPromises(world)).toEqual([]);
  });

  it("of eight a second, other programs' included: the walk keeps up", {
    timeout: 600_000,
  }, async () => {
    open();
    const ids: string[] = [];
    for (let minute = 0; minute < 15; minute++) {
      ids.push(...(await world.createMany(120)));
      world.convoy.produce(360);
      await world.cron();
    }
    // What is not confirmed is younger than the walk's delay and a run.
    expect(world.statuses().sending ?? 0).toBeLessThanOrEqual(4 * 120);
    expect(world.convoy.posts).toHaveLength(ids.length);
    await world.cronUntil(() => !isOpen(), 6);
    expect(isOpen()).toBe(false);
  });
});

describe("an agent that stands still", () => {
  it.each([55, 90, 150])("for %i minutes: each delivery once, under one key", async (minutes) => {
    open({}, ["e1", "e2"]);
    const before = await world.createMany(10);
    await world.cronUntil(() => !isOpen(), 10);
    world.convoy.trouble.agentUpAt = Date.now() + minutes * MINUTE_MS;
    const ids = await world.createMany(40);
    for (let minute = 0; minute < minutes + 40; minute++) {
      if (minute % 10 === 0) ids.push(...(await world.createMany(2)));
      await world.cron();
    }
    await world.cronUntil(() => !isOpen(), 30);
    for (const id of [...before, ...ids]) {
      for (const endpoint of ["e1", "e2"])
        expect(world.convoy.arrivalsOf(id, endpoint)).toHaveLength(1);
    }
    expect(world.rows("SELECT 1 FROM delivery WHERE key_version > 0")).toEqual([]);
    expect(await brokenPromises(world)).toEqual([]);
  });
});

it("gives a stuck delivery its next key though pages see all others arrive before the walk does", async () => {
  open({}, ["e1", { id: "x1", owner: "x" }]);
  world.convoy.trouble.strands = 1;
  const [stuck = ""] = await world.createMany(1);
  await pass(10_000);
  world.convoy.endpoint("e1");
  world.convoy.trouble.strands = 0;
  for (let minute = 0; minute < 120 && world.convoy.arrivalsOf(stuck).length === 0; minute++) {
    await world.createMany(1, "x");
    await pass(10_000);
    // The portal is open: it learns of each at once.
    await world.ask("GET", "/delivery", { owner: "x" });
    await world.cron();
  }
  expect(world.convoy.arrivalsOf(stuck)).toHaveLength(1);
});

describe("an endpoint that takes one in ten seconds", () => {
  it("gets 300 that wait, each once, and is flooded with none", { timeout: 600_000 }, async () => {
    open({}, [{ id: "e1", rate: { requests: 1, perS: 10 } }, "e2"]);
    world.convoy.endpoint("e1").rate = { requests: 1, perMs: 10_000 };
    const ids = await world.createMany(300);
    let most = 0;
    for (let minute = 0; minute < 120 && isOpen(); minute++) {
      if (minute % 10 === 0) ids.push(...(await world.createMany(1)));
      await world.cron();
      most = Math.max(
        most,
        world.convoy.deliveries.filter(({ status }) => status === "Scheduled").length,
      );
    }
    expect(isOpen()).toBe(false);
    expect(world.rows("SELECT 1 FROM delivery WHERE key_version > 0")).toEqual([]);
    for (const id of ids) expect(world.convoy.arrivalsOf(id, "e1")).toHaveLength(1);
    console.info(`size: of 300 for an endpoint with 6 a minute, at most ${most} waited at Convoy`);
    // Ten minutes' worth, and what a run or two add.
    expect(most).toBeLessThanOrEqual(150);
    expect(await brokenPromises(world)).toEqual([]);
  });
});

describe("a paused endpoint", () => {
  it(`with ${SIZE} held ones, activated: two rows written for each, in order`, {
    timeout: 1_800_000,
  }, async () => {
    open({ SUBREQUEST_BUDGET: "9000" }, [{ id: "e1", paused: true }]);
    const ids = await world.createMany(SIZE);
    expect(world.statuses()).toEqual({ held: SIZE });
    const before = rowsWritten();
    await world.ask("POST", "/endpoint/e1/activate");
    // The activation writes the endpoint's record and nothing else.
    expect(rowsWritten() - before).toBe(1);
    await world.cronUntil(() => (world.statuses().held ?? 0) === 0 && !isPending(), 30);
    const each = (rowsWritten() - before) / SIZE;
    console.info(
      `size: ${SIZE} held ones activated: ${each.toFixed(2)} rows written each until sent`,
    );
    expect(each).toBeLessThanOrEqual(2.2);
    const order = world.convoy.posts.map(({ key }) => ids.indexOf(key.slice(0, 36)));
    // Six at a time: nothing overtakes more than a few.
    expect(order.every((at, nth) => Math.abs(at - nth) <= 12)).toBe(true);
    await world.cronUntil(() => !isOpen(), 30);
    expectEachOnce(ids);
  });
});

it("sends other endpoints' deliveries in the next run, though 50 with ten each are gone at Convoy", async () => {
  const gone = [...Array(50).keys()].map((n) => ({ id: `gone${n}`, owner: "g" }));
  open({}, [...gone, "e1"]);
  for (const { id } of gone) world.convoy.endpoint(id).status = "gone";
  await world.createMany(10, "g");
  const waiting = await leave(10);
  await world.cron();
  await world.cron();
  await pass(10_000);
  expectEachOnce(waiting);
  await world.cronUntil(() => !isPending(), 60);
  // Held until it is back, not ranked, and not posted again and again.
  expect(world.rows("SELECT DISTINCT status FROM delivery WHERE owner = 'g'")).toEqual([
    { status: "held" },
  ]);
});

it("delivers 300 once each, though the answers to their posts were lost", async () => {
  open();
  world.convoy.trouble.mode = "lost";
  const ids = await world.createMany(300);
  for (let minute = 0; minute < 3; minute++) await world.cron();
  world.convoy.trouble.mode = "ok";
  await world.cronUntil(() => !isOpen(), 30);
  expect(world.statuses()).toEqual({ delivered: 300 });
  expectEachOnce(ids);
  expect(world.rows("SELECT 1 FROM delivery WHERE key_version > 0")).toEqual([]);
  expect(await brokenPromises(world)).toEqual([]);
});

it("posts what is due though KV refuses every write, and tries few writes", async () => {
  open();
  let puts = 0;
  world.kv.kv.put = () => {
    puts++;
    return Promise.reject(new Error("KV PUT failed: 429 Too Many Requests"));
  };
  const ids = await leave(60);
  puts = 0;
  const runs = await world.cronUntil(
    () => ids.every((id) => world.convoy.arrivalsOf(id).length === 1),
    6,
  );
  expect(runs).toBeLessThanOrEqual(4);
  expect(puts).toBeLessThanOrEqual(12 * runs);
});

it("writes little of the backlog while Convoy asks us to wait", async () => {
  open();
  await leave(500);
  const headers = { "Retry-After": "3600" };
  world.convoy.trouble.refuses = () => Response.json({ status: false }, { status: 429, headers });
  await world.cron();
  const before = rowsWritten();
  // Five minutes at most, whatever it asks for: then one probe.
  for (let minute = 0; minute < 50; minute++) await world.cron();
  expect(rowsWritten() - before).toBeLessThanOrEqual(50 * 10);
  world.convoy.trouble.refuses = () => undefined;
  await world.cronUntil(() => (world.statuses().pending ?? 0) < 450, 8);
  expect(world.statuses().pending ?? 0).toBeLessThan(450);
});

it("writes little in an outage of an hour, and no wait outlives it", async () => {
  open();
  world.convoy.trouble.mode = "down";
  await world.createMany(50);
  const [before, posted] = [rowsWritten(), world.convoy.posts.length];
  for (let minute = 0; minute < 60; minute++) await world.cron();
  // A run: ten rows claimed, and recorded or handed back; the turn, the breaker, the report.
  expect(rowsWritten() - before).toBeLessThanOrEqual(60 * 25 + 200);
  expect(world.convoy.posts.length - posted).toBeLessThanOrEqual(60 * 6);
  const due = world.rows<{ due_at: number }>("SELECT due_at FROM delivery");
  expect(due).toHaveLength(50);
  expect(due.every(({ due_at }) => due_at <= Date.now() + MINUTE_MS)).toBe(true);
});

it("purges 5,000 rows of one thing in a few runs, and none before its older ones", async () => {
  open({ RETENTION_DAYS: "1" });
  const now = Date.now();
  world.d1.sqlite.exec(`
    WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 4999)
    INSERT INTO event (seq, id, owner, type, occurred_at, resource, resource_id, change, data, projected)
    SELECT n + 1, printf('%08x-0000-7000-8000-000000000000', n), 'default', 'thing.updated', ${now} + n, 'thing', '1', 'update',
      '{"id":1}', 1 FROM n;
    INSERT INTO delivery (event_seq, endpoint_id, owner, type, status, accepted_at, finished_at)
    SELECT seq, 'e1', owner, type, 'delivered', occurred_at, occurred_at FROM event;
    UPDATE delivery SET finished_at = ${now + 3 * DAY_MS} WHERE event_seq = 4001;
    UPDATE cron_state SET scrub_after = '~'`);
  await pass(2 * DAY_MS);
  // One of them was sent again lately: it stays, and so does every later one.
  const runs = await world.cronUntil(() => world.rows().length === 1_000, 20);
  expect(runs).toBeLessThanOrEqual(15);
  for (let n = 0; n < 15; n++) await world.cron();
  expect(world.rows()[0]?.seq).toBe(4001);
  expect(world.rows()).toHaveLength(1_000);
  await pass(2 * DAY_MS);
  await world.cronUntil(() => world.rows().length === 0, 20);
  expect(world.rows()).toEqual([]);
  expect(world.rows("SELECT 1 FROM delivery")).toEqual([]);
});

it("repairs the oldest of 2,000 things in KV", { timeout: 600_000 }, async () => {
  open({}, []);
  await world.createMany(2_000);
  // A put that landed late, on the thing that was changed first.
  const [first] = world.rows();
  const key = valueKey(thing, "default", String(first?.resource_id));
  world.kv.write(key, "late", { seq: 0 });
  const isRepaired = () => world.kv.now().get(key)?.value !== "late";
  expect(await world.cronUntil(isRepaired, 60)).toBeLessThanOrEqual(60);
  expect(world.rows("SELECT 1 FROM event WHERE due_at IS NOT NULL")).toEqual([]);
});
