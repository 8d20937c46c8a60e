/**
 * Random schedules of the real code over the whole life of an event: Convoy swallows, loses answers, stalls, strands,
 * discards, stands still for hours; its clock is off; receivers fail; owners pause, activate, resend, remove; workers die
 * or are slow at any step; crons overlap. LIFE=n runs more schedules than CI does, from SEED on.
 */
import { expect, it } from "vitest";
import type { Around } from "../support/actors.ts";
import { FRESH } from "../support/kv.ts";
import { modelConvoy, type Posted } from "../support/model-convoy.ts";
import { brokenPromises } from "../support/promises.ts";
import { randomOf } from "../support/random.ts";
import { goOnUntil } from "../support/virtual-clock.ts";
import { openWorld } from "../support/world.ts";

const SCHEDULES = Number(process.env.LIFE ?? 4);
const FIRST_SEED = Number(process.env.SEED ?? 1);
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
/** From here on everything is healthy; what was asked for, or failed, is sent again later. */
const HEALED_MS = 60 * MINUTE_MS;
const RESENT_MS = 100 * MINUTE_MS;
const END_MS = 6 * 60 * MINUTE_MS;
const CHANGES = 16;
const OWNERS = ["a", "b"];
/** What a firewall before Convoy never lets through. */
const FORBIDDEN = "forbidden";

it(`loses nothing, sends nothing twice, leaves nothing behind: ${SCHEDULES} schedules`, {
  timeout: 3_600_000,
}, async () => {
  const broken: string[] = [];
  const total = { events: 0, deliveries: 0, died: 0, posts: 0, lists: 0, resends: 0 };
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SCHEDULES; seed++) {
    const { wrong, ...counted } = await play(seed);
    for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += counted[name];
    broken.push(...wrong.map((each) => `seed ${seed}: ${each}`));
  }
  console.info(`life: ${SCHEDULES} schedules, ${JSON.stringify(total)}, ${broken.length} broken`);
  expect(broken).toEqual([]);
});

const isForbidden = (data: unknown) => JSON.stringify(data).includes(FORBIDDEN);

function refuses({ data }: Posted): Response | undefined {
  return isForbidden(data) ? new Response("<html>blocked</html>", { status: 403 }) : undefined;
}

async function play(seed: number) {
  const random = randomOf(seed);
  const convoy = modelConvoy({}, random);
  const world = openWorld({ kv: FRESH, convoy, settings: { WALK_DELAY_S: "120" } });
  const begun = Date.now();
  const chance = (share: number) => random() < share;
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  const at = (ms: number, run: () => void) => void setTimeout(run, ms);
  let healed = false;
  let died = 0;
  Object.assign(convoy.trouble, {
    skewMs: Math.floor((random() - 0.5) * 60 * SECOND_MS),
    ...{ strands: 0.02, processing: 0.01, loses: 0.02, lagMs: 3 * SECOND_MS },
    cacheMs: chance(0.5) ? 2 * MINUTE_MS : 0,
    refuses,
  });
  const endpoints = OWNERS.flatMap((owner) =>
    [1, 2, 3].map((n) => ({ id: `${owner}${n}`, owner })),
  );
  world.endpoints(
    ...endpoints.map((one) => (one.id === "b3" ? { ...one, types: ["thing.created"] } : one)),
  );

  // A worker that dies never continues; a slow one is held up before and after its step.
  const frail = (): Around => {
    let dead = false;
    const dies = () => {
      if (healed || dead || !chance(0.01)) return dead;
      died++;
      dead = true;
      return dead;
    };
    const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
    return async (_step, run) => {
      const slow = !healed && chance(0.01) ? (100 + random() * 100) * SECOND_MS : 0;
      await pause(10 + slow / 2);
      if (dies()) return new Promise<never>(() => {});
      const answer = await run();
      await pause(10 + slow / 2);
      return dies() ? new Promise<never>(() => {}) : answer;
    };
  };

  // Callers: changes, and what they do to endpoints and deliveries. Isolates come and go.
  let shared = world.isolate();
  const call = (owner: string, method: string, url: string, body?: Record<string, unknown>) => {
    if (chance(0.5)) shared = world.isolate();
    return world.call(shared(frail()), method, url, { owner, ...(body ? { body } : {}) });
  };
  const change = (owner: string) => {
    const name = chance(0.06) ? FORBIDDEN : "bolt";
    const [some] = world.rows<{ resource_id: string }>(
      `SELECT resource_id FROM event WHERE owner = '${owner}' ORDER BY random() LIMIT 1`,
    );
    const named = chance(0.2) ? `?endpoint=${owner}1` : "";
    if (some && chance(0.3)) call(owner, "PUT", `/thing/${some.resource_id}${named}`, { name });
    else call(owner, "POST", `/thing${named}`, { name });
  };
  for (let i = 0; i < CHANGES; i++) {
    at(random() * 25 * MINUTE_MS, () => change(pick(OWNERS)));
  }
  for (let minute = 60; minute < 250; minute += 20) {
    at((minute + random()) * MINUTE_MS, () => change(pick(OWNERS)));
  }
  for (let i = 0; i < 2; i++) {
    const { id, owner } = pick(endpoints);
    const from = random() * 25 * MINUTE_MS;
    at(from, () => void call(owner, "POST", `/endpoint/${id}/pause`));
    at(
      from + random() * 25 * MINUTE_MS,
      () => void call(owner, "POST", `/endpoint/${id}/activate`),
    );
  }
  const removed = chance(0.3) ? pick(endpoints) : null;
  if (removed) {
    const { id, owner } = removed;
    at(random() * 40 * MINUTE_MS, () => void call(owner, "DELETE", `/endpoint/${id}`));
  }
  for (let i = 0; i < 3; i++) {
    at((5 + random() * 50) * MINUTE_MS, () => {
      const rows = world.rows<{ id: string; endpoint_id: string; owner: string }>(
        "SELECT id, endpoint_id, d.owner FROM delivery AS d JOIN event ON seq = event_seq WHERE finished_at IS NOT NULL",
      );
      if (rows.length === 0) return;
      const { id, endpoint_id, owner } = pick(rows);
      call(
        owner,
        "POST",
        chance(0.5) ? `/delivery/${id}.${endpoint_id}/resend` : `/event/${id}/replay`,
      );
    });
  }
  at(RESENT_MS, () => {
    for (const owner of OWNERS) {
      // A pause may have landed after its activation.
      for (const { id } of endpoints.filter((one) => one.owner === owner)) {
        call(owner, "POST", `/endpoint/${id}/activate`);
      }
    }
  });
  at(RESENT_MS + 60 * MINUTE_MS, () => {
    for (const owner of OWNERS) call(owner, "POST", "/delivery/resend", {});
  });

  // Trouble: Convoy's, its agent's, receivers'.
  for (let i = 0; i < 5; i++) {
    const from = random() * 30 * MINUTE_MS;
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
  if (chance(0.3)) {
    const length = (10 + random() * 150) * MINUTE_MS;
    at(random() * 15 * MINUTE_MS, () => {
      convoy.trouble.agentUpAt = Date.now() + length;
    });
  }
  {
    const { id } = pick(endpoints);
    const from = random() * 25 * MINUTE_MS;
    at(from, () => convoy.setActive(id, false));
    at(from + (3 + random() * 25) * MINUTE_MS, () => convoy.setActive(id, true));
  }
  {
    const { id } = pick(endpoints);
    const from = random() * 20 * MINUTE_MS;
    at(from, () => {
      convoy.endpoint(id).isDown = true;
    });
    at(from + (10 + random() * 40) * MINUTE_MS, () => {
      convoy.endpoint(id).isDown = false;
    });
  }
  at(HEALED_MS, () => {
    healed = true;
    Object.assign(convoy.trouble, {
      mode: "ok",
      stalledUntil: 0,
      strands: 0,
      processing: 0,
      loses: 0,
    });
  });

  const cron = () => {
    const elapsed = Date.now() - begun;
    if (elapsed >= END_MS) return;
    const runs = chance(0.1) ? 2 : 1;
    for (let i = 0; i < runs; i++) {
      void world
        .isolate()(healed ? world.healthy : frail())
        .scheduled(Date.now());
    }
    at(MINUTE_MS, cron);
  };
  at(MINUTE_MS, cron);
  await goOnUntil(() => false);

  const refused = ({ id }: { id: string }) => {
    const [event] = world.rows<{ data: string }>(`SELECT data FROM history WHERE id = '${id}'`);
    return isForbidden(event?.data);
  };
  // Held up for 200 s at each of a few steps.
  const wrong = await brokenPromises(world, { refused, lateMs: 8 * MINUTE_MS });
  const counted = { died, posts: convoy.posts.length, lists: convoy.lists };
  const resends = world.calls.filter(({ url }) => /(resend|replay)$/.test(url)).length;
  const deliveries = world.deliveries().length;
  const events = world.history().length;
  await world.close();
  return { wrong, events, deliveries, resends, ...counted };
}
