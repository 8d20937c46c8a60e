/**
 * Random schedules of the real code over the whole life of an event: Convoy swallows, loses answers,
 * stalls, strands and restarts, its clock is off, workers die or are slow at any step, crons overlap,
 * events are replayed. LIFE=n runs more schedules than CI does.
 */
import { expect, it } from "vitest";
import { GIVE_UP } from "../../src/config.ts";
import type { Around } from "../support/actors.ts";
import { recordEndpoints } from "../support/endpoint-records.ts";
import { FRESH } from "../support/kv.ts";
import { modelConvoy } from "../support/model-convoy.ts";
import { brokenPromises } from "../support/promises.ts";
import { randomOf } from "../support/random.ts";
import { goOnUntil } from "../support/virtual-clock.ts";
import { openWorld } from "../support/world.ts";

const SCHEDULES = Number(process.env.LIFE ?? 40);
const FIRST_SEED = Number(process.env.SEED ?? 1);
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HEALED_MS = 50 * MINUTE_MS;
const END_MS = 8 * 60 * MINUTE_MS;
const EVENTS = 12;

it(`loses nothing, sends nothing twice, leaves nothing stuck: ${SCHEDULES} schedules`, {
  timeout: 3_600_000,
}, async () => {
  const broken: string[] = [];
  const total = { events: 0, died: 0, posts: 0, lists: 0 };
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SCHEDULES; seed++) {
    const { wrong, ...counted } = await play(seed);
    for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += counted[name];
    broken.push(...wrong.map((each) => `seed ${seed}: ${each}`));
  }
  console.info(`life: ${SCHEDULES} schedules, ${JSON.stringify(total)}, ${broken.length} broken`);
  expect(broken).toEqual([]);
});

async function play(seed: number) {
  const random = randomOf(seed);
  const convoy = modelConvoy({}, random);
  Object.assign(GIVE_UP, { maxTries: 6, maxAgeMs: 0 });
  const world = openWorld({ kv: FRESH, convoy });
  const begun = Date.now();
  const pick = <T>(of: T[]): T => of[Math.floor(random() * of.length)] as T;
  const at = (ms: number, run: () => void) => void setTimeout(run, ms);
  let healed = false;
  let died = 0;
  const gone = (id: string) => id === "gone";
  Object.assign(convoy.trouble, {
    skewMs: Math.floor((random() - 0.5) * 60 * SECOND_MS),
    strands: 0.01,
    loses: 0.02,
    lagMs: 5 * SECOND_MS,
    gone,
    poisoned: (id: string) => id === "poisoned" && Date.now() - begun < 40 * MINUTE_MS,
  });
  recordEndpoints(world, ["good", "gone", "poisoned"]);

  // A worker that dies never goes on; a slow one is held up before and after its step.
  const frail = (): Around => {
    let dead = false;
    const dies = () => {
      if (healed || dead || random() >= 0.01) return dead;
      died++;
      dead = true;
      return dead;
    };
    const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
    return async (_step, run) => {
      const slow = !healed && random() < 0.01 ? (100 + random() * 100) * SECOND_MS : 0;
      await pause(10 + slow / 2);
      if (dies()) return new Promise<never>(() => {});
      const answer = await run();
      await pause(10 + slow / 2);
      return dies() ? new Promise<never>(() => {}) : answer;
    };
  };

  let shared = world.isolate();
  for (let i = 0; i < EVENTS; i++) {
    const endpoint = pick(["good", "good", "good", "good", "gone", "poisoned", undefined]);
    at(random() * 20 * MINUTE_MS, () => {
      // Isolates come and go.
      if (random() < 0.5) shared = world.isolate();
      const url = endpoint ? `/todo?endpoint=${endpoint}` : "/todo";
      world.call(shared(frail()), "POST", url, { item: "milk" });
    });
  }
  for (let i = 0; i < 5; i++) {
    const from = random() * 25 * MINUTE_MS;
    const length = random() * 400 * SECOND_MS;
    const trouble = pick(["down", "swallow", "lost", "stall", "ok"] as const);
    at(from, () => {
      if (trouble === "stall") convoy.trouble.stalledUntil = Date.now() + 3 * length;
      else convoy.trouble.mode = trouble;
    });
    at(from + length, () => {
      convoy.trouble.mode = "ok";
    });
  }
  for (let i = 0; i < 3; i++) {
    at((27 + random() * 50) * MINUTE_MS, () => {
      const finished = world.rows().filter(({ due_at }) => due_at === null);
      const row = finished.length > 0 ? pick(finished) : undefined;
      if (row) world.call(world.isolate()(frail()), "POST", `/event/${row.id}/replay`);
    });
  }
  at(HEALED_MS, () => {
    healed = true;
    Object.assign(convoy.trouble, { mode: "ok", stalledUntil: 0, strands: 0, loses: 0 });
  });
  const cron = () => {
    const elapsed = Date.now() - begun;
    if (elapsed >= END_MS || (elapsed > HEALED_MS + 90 * MINUTE_MS && open().length === 0)) return;
    const runs = random() < 0.1 ? 2 : 1;
    for (let i = 0; i < runs; i++) {
      void world
        .isolate()(healed ? world.healthy : frail())
        .scheduled(Date.now());
    }
    at(elapsed < HEALED_MS + 60 * MINUTE_MS ? MINUTE_MS : 5 * MINUTE_MS, cron);
  };
  const open = () =>
    world.rows().filter((row) => row.due_at !== null && !gone(row.endpoint_id ?? ""));
  at(MINUTE_MS, cron);
  await goOnUntil(() => false);

  const wrong = await brokenPromises(world, { gone, poisoned: (id) => id === "poisoned" });
  const counted = { died, posts: convoy.posts.length, lists: convoy.lists };
  const events = world.history().length;
  await world.close();
  return { wrong, events, ...counted };
}
