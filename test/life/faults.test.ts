// What real servers did with Redis killed and starved, on both versions of the local Convoy: every acknowledged
// change is delivered without help, once but for Convoy's own repeats. FAULTS=400 makes as many changes as there.
import { afterEach, expect, it } from "vitest";
import type { Faults } from "../../local/convoy/index.ts";
import { FRESH } from "../support/kv.ts";
import { localConvoy } from "../support/local-convoy.ts";
import { pass } from "../support/virtual-clock.ts";
import { openWorld, type World } from "../support/world.ts";

const CHANGES = Number(process.env.FAULTS ?? 40);
const MINUTE_MS = 60_000;
/** Half an hour until what is stuck is looked for, an hour of backing off, and some more. */
const MINUTES_MAX = 180;
/** Long enough for what stays in Processing to be posted again. */
const MINUTES_MIN = 60;

type Delivery = {
  idempotency_key: string;
  status: string;
  received_at: string | null;
  duplicate: boolean;
};

let world: World | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});

const FAULTS: [name: string, during: Faults, after: Faults][] = [
  ["Redis is down", { redis_down: true }, {}],
  ["Redis loses what is queued", { stall: true }, { redis_lost: true }],
  ["deliveries are stranded", { strand: { what: "delivery", rate: 0.3 } }, {}],
  ["retries are stranded", { strand: { what: "retry", rate: 0.3 } }, {}],
  ["deliveries stay in Processing", { strand: { what: "processing", rate: 0.1 } }, {}],
  ["events are stranded", { strand: { what: "event", rate: 0.3 } }, {}],
];

it.each(
  (["26.6", "26.7"] as const).flatMap((version) =>
    FAULTS.map((fault) => [version, ...fault] as const),
  ),
)(
  "on Convoy %s, though %s, every change arrives",
  { timeout: 600_000 },
  async (version, name, during, after) => {
    world = openWorld({
      convoy: localConvoy({ version }),
      settings: { SUBREQUEST_BUDGET: "500" },
      kv: FRESH,
    });
    const made = await world.ask("POST", "/endpoint", {
      name: "e",
      url: "https://receiver.test/hook",
    });
    const endpoint = String(made.answer?.["Endpoint ID"]);
    const ids = await world.createMany(CHANGES / 4, endpoint);
    await world.convoy.setFaults(during);
    ids.push(
      ...(await world.createMany(CHANGES / 4, endpoint)),
      ...(await world.createMany(CHANGES / 4)),
    );
    for (let minute = 0; minute < 3; minute++) await world.cron();
    await world.convoy.setFaults(after);
    await world.convoy.setFaults({});
    ids.push(...(await world.createMany(CHANGES / 4, endpoint)));

    const arrived = async () => {
      const all = await world!.convoy.inbox<Delivery>("deliveries", 10_000);
      // One stuck in Processing has arrived all the same (recorded).
      const there = all.filter(
        (each) =>
          each.status === "Success" || (each.status === "Processing" && each.received_at !== null),
      );
      return Map.groupBy(there, (each) => each.idempotency_key.slice(0, 36));
    };
    const isOpen = async () => {
      const got = await arrived();
      return (
        ids.some((id) => !got.has(id)) ||
        world!.rows("SELECT 1 FROM event WHERE due_at IS NOT NULL").length > 0
      );
    };
    let minutes = 0;
    for (; minutes < MINUTES_MIN || (minutes < MINUTES_MAX && (await isOpen())); minutes++)
      await world.cron();
    await pass(MINUTE_MS);

    const got = await arrived();
    const lost = ids.filter((id) => !got.has(id));
    const keys = [...got.values()].filter(
      (each) => new Set(each.map((d) => d.idempotency_key)).size > 1,
    );
    const delays = ids.map((id) => {
      const first = got
        .get(id)
        ?.map((each) => Date.parse(each.received_at ?? ""))
        .sort((a, b) => a - b)[0];
      return (first ?? Number.NaN) - Number.parseInt(id.replace("-", "").slice(0, 12), 16);
    });
    const longest = Math.round(Math.max(...delays) / MINUTE_MS);
    console.info(
      `${version}, ${name}: ${ids.length} acknowledged, ${lost.length} lost, ${keys.length} under a second key, longest delay ${longest} min`,
    );
    expect(lost).toEqual([]);
    // A second key only if Convoy never finished the first.
    if (!/Processing|events|loses/.test(name)) expect(keys).toEqual([]);
  },
);
