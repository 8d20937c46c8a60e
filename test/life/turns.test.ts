// Every owner its turn: what one owner has waiting, or what never gets through of it, keeps nobody else waiting. Minutes
// of a healthy Convoy, at the default budget of subrequests, beside 1,000 owners that wait for their next try.
import { afterEach, describe, expect, it } from "vitest";
import type { Bindings } from "../../src/settings.ts";
import { FRESH } from "../support/kv.ts";
import { modelConvoy, type Posted } from "../support/model-convoy.ts";
import { brokenPromises } from "../support/promises.ts";
import { settle } from "../support/virtual-clock.ts";
import { openWorld, type World } from "../support/world.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** Promised to a small owner, whatever the others do. */
const SOON = 10;

let world: World;
afterEach(() => world.close());

function open(settings: Partial<Bindings> = {}): void {
  world = openWorld({ settings, kv: FRESH, convoy: modelConvoy() });
  world.endpoints({ id: "big1", owner: "big" }, { id: "small1", owner: "small" });
  const now = Date.now();
  world.d1.sqlite.exec(`
    WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000)
    INSERT INTO endpoint (id, owner, wanted, name, url, description, http_timeout_s, created_at, updated_at)
    SELECT 'w' || n, printf('o%04d', n), 'active', '', 'https://e.test/', '', 10, 0, 0 FROM n;
    INSERT INTO event (id, owner, type, occurred_at)
    SELECT printf('%08x-0000-7000-8000-000000000000', substr(id, 2)), owner, 'ping', ${now}
    FROM endpoint WHERE id LIKE 'w%';
    INSERT INTO delivery (event_seq, endpoint_id, owner, type, status, due_at, failures)
    SELECT seq, 'w' || CAST(substr(owner, 2) AS INTEGER), owner, 'ping', 'pending', ${now + DAY_MS}, 5
    FROM event WHERE owner LIKE 'o%'`);
}

/** What an owner creates while Convoy takes nothing: all of it waits in the log. @returns its events' ids */
async function leave(owner: string, count: number): Promise<string[]> {
  world.convoy.trouble.mode = "down";
  const ids = await world.createMany(count, owner);
  world.convoy.trouble.mode = "ok";
  return ids;
}

const haveArrived = (ids: string[]) => ids.every((id) => world.convoy.arrivalsOf(id).length > 0);

// At 28 posts a run, 200 take 8 runs with nobody beside them; two owners with enough to do share them evenly.
/** How many runs of the cron it takes until all have arrived. `each` happens before each run. */
async function runsUntil(ids: string[], most: number, each: () => unknown = () => {}) {
  let runs = 0;
  for (; runs < most && !haveArrived(ids); runs++) {
    await each();
    await world.cron();
    // What was just posted arrives within seconds.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return haveArrived(ids) ? runs : Number.POSITIVE_INFINITY;
}

const named = (name: string) => (post: Posted) => JSON.stringify(post.data).includes(name);
const FORBIDDEN = () => new Response("<html>blocked</html>", { status: 403 });
const createNamed = (owner: string, name: string) =>
  world.ask("POST", "/thing", { owner, body: { name } });

/** BACKLOG=9000 is the required size. */
const BACKLOG = Number(process.env.BACKLOG ?? 400);

describe.each([
  ["0", 12],
  ["8", SOON],
])("with %s hands, nobody waits longer than %i minutes beside", (hands, soon) => {
  it("an owner that replays what is dead, once a minute", async () => {
    open({ HANDS: hands });
    const isPoisoned = named("poison");
    world.convoy.trouble.refuses = (post) =>
      isPoisoned(post)
        ? Response.json({ status: false, message: "x" }, { status: 413 })
        : undefined;
    const dead: string[] = [];
    for (let n = 0; n < 5; n++) {
      const { eventId } = await createNamed("big", "poison");
      dead.push(String(eventId));
    }
    const waiting = await leave("small", 200);
    const runs = await runsUntil(waiting, 60, async () => {
      await world.ask("POST", "/delivery/resend", { owner: "big", body: {} });
    });
    console.info(
      `turns: beside an owner that replays ${dead.length} dead ones a minute, 200 take ${runs} min`,
    );
    expect(runs).toBeLessThanOrEqual(soon);
  });

  it("two events a minute that a firewall refuses", async () => {
    open({ HANDS: hands });
    const isForbidden = named("forbidden");
    world.convoy.trouble.refuses = (post) => (isForbidden(post) ? FORBIDDEN() : undefined);
    const waiting = await leave("small", 200);
    const runs = await runsUntil(waiting, 60, async () => {
      await createNamed("big", "forbidden");
      await createNamed("big", "forbidden");
    });
    console.info(`turns: beside two refused events a minute, 200 take ${runs} min`);
    expect(runs).toBeLessThanOrEqual(soon);
  });

  it("one event whose answer is Retry-After: 3600, every 20 minutes", async () => {
    open({ HANDS: hands });
    const isGreedy = named("greedy");
    const headers = { "Retry-After": "3600" };
    world.convoy.trouble.refuses = (post) =>
      isGreedy(post) ? Response.json({ status: false }, { status: 429, headers }) : undefined;
    await createNamed("big", "greedy");
    const waiting = await leave("small", 200);
    let minute = 0;
    const runs = await runsUntil(waiting, 60, async () => {
      if (minute++ % 20 === 0) await createNamed("big", "greedy");
    });
    // Then for half an hour: something of this one every minute.
    let worst = runs;
    for (let more = 0; more < 30; more++) {
      if (minute++ % 20 === 0) await createNamed("big", "greedy");
      worst = Math.max(worst, await runsUntil(await leave("small", 1), 60));
    }
    console.info(
      `turns: beside one event with Retry-After 3,600, 200 take ${runs} min, one ${worst}`,
    );
    expect(worst).toBeLessThanOrEqual(soon);
  });

  it(`${BACKLOG} of one owner before ten of another`, { timeout: 600_000 }, async () => {
    open({ HANDS: hands });
    await leave("big", BACKLOG);
    const waiting = await leave("small", 10);
    const runs = await runsUntil(waiting, 60);
    console.info(`turns: behind ${BACKLOG} of one owner, ten of another take ${runs} min`);
    expect(runs).toBeLessThanOrEqual(soon);
    // The backlog is not kept waiting either.
    const left = world.rows("SELECT 1 FROM delivery WHERE owner = 'big' AND status = 'pending'");
    expect(left.length).toBeLessThan(BACKLOG);
  });
});

it.each([
  [20, 100],
  // So few that one claim has them all.
  [6, 3],
])(
  "an owner's own %i refused events before %i, though nobody else has anything to do",
  async (refused, count) => {
    open();
    const isForbidden = named("forbidden");
    world.convoy.trouble.refuses = (post) => (isForbidden(post) ? FORBIDDEN() : undefined);
    for (let n = 0; n < refused; n++) await createNamed("big", "forbidden");
    const waiting = await leave("big", count);
    const runs = await runsUntil(waiting, 60);
    console.info(`turns: behind ${refused} refused events of its own, ${count} take ${runs} min`);
    expect(runs).toBeLessThanOrEqual(SOON);
  },
);

it("what Convoy swallowed, beside an owner whose receiver is dead", {
  timeout: 600_000,
}, async () => {
  open();
  world.convoy.endpoint("big1").isDown = true;
  const busy = async () => {
    await world.createMany(20, "big");
    await world.cron();
  };
  // Its deliveries are tried for 17 minutes each: hundreds are under way.
  for (let minute = 0; minute < 15; minute++) await busy();
  world.convoy.trouble.mode = "swallow";
  const swallowed = await world.createMany(4, "small");
  world.convoy.trouble.mode = "ok";
  const begun = Date.now();
  let minutes = 0;
  for (; minutes < 60 && !haveArrived(swallowed); minutes++) await busy();
  const took = Math.round((Date.now() - begun) / MINUTE_MS);
  console.info(`turns: swallowed ones beside a dead receiver arrive after ${took} min`);
  expect(took).toBeLessThanOrEqual(20);
  await settle();
  const promises = await brokenPromises(world, {
    failing: (id) => id === "big1",
    refused: () => true,
  });
  expect(promises.filter((one) => !/ is sending/.test(one))).toEqual([]);
});
