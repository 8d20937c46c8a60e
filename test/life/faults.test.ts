// What real servers did with Redis killed and starved, on both versions of the local Convoy: every acknowledged change
// is delivered without help, once but for Convoy's own repeats. FAULTS=400 makes as many changes as there.
import { afterEach, expect, it } from "vitest";
import type { Faults } from "../../local/convoy/index.ts";
import { FRESH } from "../support/kv.ts";
import { type LocalConvoy, localConvoy } from "../support/local-convoy.ts";
import { brokenPromises } from "../support/promises.ts";
import { openWorld, type World } from "../support/world.ts";

const CHANGES = Number(process.env.FAULTS ?? 24);
const MINUTE_MS = 60_000;
/** Half an hour until what is stuck may be told from what is late, as long for the proof, and some more. */
const MINUTES_MAX = 240;

let world: World<LocalConvoy>;
afterEach(() => world.close());

const FAULTS: [name: string, during: Faults, after: Faults][] = [
  ["Redis is down", { redis_down: true }, {}],
  ["Postgres is down", { postgres_down: true }, {}],
  ["Redis loses what is queued", { stall: true }, { redis_lost: true }],
  ["deliveries are stranded", { strand: { what: "delivery", rate: 0.3 } }, {}],
  ["retries are stranded", { strand: { what: "retry", rate: 0.3 } }, {}],
  ["deliveries stay in Processing", { strand: { what: "processing", rate: 0.1 } }, {}],
  ["events are stranded", { strand: { what: "event", rate: 0.3 } }, {}],
];

/** Creates two endpoints at Convoy, and records them. */
async function endpoints(): Promise<void> {
  for (const name of ["one", "two"]) {
    const fields = { name, url: `https://webhook.test/${name}`, owner_id: "default" };
    const { uid } = await world.convoy.api<{ uid: string }>("POST", "/endpoints", fields);
    await world.convoy.api("POST", "/subscriptions", { name, endpoint_id: uid });
    world.endpoints(uid);
  }
}

it.each(
  (["26.6", "26.7"] as const).flatMap((version) =>
    FAULTS.map((fault) => [version, ...fault] as const),
  ),
)(
  "on Convoy %s, though %s, every change arrives",
  { timeout: 600_000 },
  async (version, name, during, after) => {
    const settings = { SUBREQUEST_BUDGET: "500" };
    world = openWorld({ convoy: localConvoy({ version }), settings, kv: FRESH });
    await endpoints();
    const ids = await world.createMany(CHANGES / 3);
    await world.convoy.setFaults(during);
    ids.push(...(await world.createMany(CHANGES / 3)));
    for (let minute = 0; minute < 3; minute++) await world.cron();
    await world.convoy.setFaults(after);
    await world.convoy.setFaults({});
    ids.push(...(await world.createMany(CHANGES / 3)));

    const isOpen = () =>
      world.rows("SELECT 1 FROM delivery WHERE finished_at IS NULL LIMIT 1").length > 0;
    let minutes = 0;
    for (; minutes < MINUTES_MAX && isOpen(); minutes++) {
      // Others are finished meanwhile: the proof that what does not move is stuck.
      if (minutes % 10 === 0) ids.push(...(await world.createMany(1)));
      await world.cron();
    }
    const taken = await world.convoy.taken();
    const repeats = taken.filter(({ key }) => key.split(".").length > 2).length;
    const firsts = world.deliveries().map(({ finished_at }) => Number(finished_at));
    const longest = Math.round((Math.max(...firsts) - Date.now()) / MINUTE_MS + minutes);
    console.info(
      `faults, ${version}, ${name}: ${ids.length} acknowledged, ${2 * ids.length} deliveries, ${repeats} under a further key, all known after ${longest} min`,
    );
    expect(await brokenPromises(world)).toEqual([]);
    // A further key only if Convoy never finished the first.
    if (!/Processing|stranded|loses/.test(name)) expect(repeats).toBe(0);
  },
);
