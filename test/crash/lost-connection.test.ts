/** The connection to D1 is lost at the commit, committed or not: the caller's answer and the log agree. */
import { afterEach, expect, it } from "vitest";
import { broken, history, keepPurged } from "../support/invariants.ts";
import { type Around, type Simulation, startSimulation } from "../support/simulation.ts";

let world: Simulation;
afterEach(async () => {
  await world?.close();
});

/** Loses the answers of D1 calls number `from` to `to`; `effect`: they took effect all the same. */
function losing(from: number, to: number, effect: boolean): Around {
  let call = 0;
  return async ({ store }, run) => {
    if (store !== "D1") return run();
    const lost = call >= from && call < to;
    call++;
    if (lost && !effect) throw new Error("Network connection lost.");
    const answer = await run();
    if (lost) throw new Error("Network connection lost.");
    return answer;
  };
}

const FOREVER = 100;
const REQUESTS = [
  { method: "POST", url: "/todo", body: { id: 1, item: "new" }, type: "created", exists: false },
  { method: "POST", url: "/todo", body: { id: 1, item: "new" }, type: "created", exists: true },
  { method: "PUT", url: "/todo/1", body: { item: "new" }, type: "updated", exists: true },
  { method: "PUT", url: "/todo/1", body: { item: "new" }, type: "updated", exists: false },
  { method: "DELETE", url: "/todo/1", type: "deleted", exists: true },
];
const CASES = REQUESTS.flatMap((request) =>
  [true, false].flatMap((effect) =>
    [
      [0, 1],
      [0, 2],
      [0, FOREVER],
      [1, 2],
      [1, FOREVER],
    ].map(([from = 0, to = 0]) => ({ ...request, effect, from, to })),
  ),
);

it.each(CASES)(
  "$method $url (exists: $exists), D1 calls $from to $to lost, effect: $effect",
  async ({ method, url, body, type, exists, effect, from, to }) => {
    world = await startSimulation({ SUBREQUEST_BUDGET: "10000" });
    keepPurged(world);
    if (exists) await world.call("POST", "/todo", { id: 1, item: "old" });
    await world.drain();
    const before = history(world).length;

    const invocation = world.invocation(losing(from, to, effect));
    const response = await world.finish(invocation.fetch(method, url, body));
    while (invocation.pending.size > 0) await world.finish(Promise.all(invocation.pending));
    const logged = history(world).slice(before);

    const status = response?.status ?? 0;
    const id = response?.headers.get("X-Event-Id") ?? "";
    if (status === 503) {
      // Unknown: the id tells, and retries have committed it once at most.
      expect(id).not.toBe("");
      expect(logged.length).toBeLessThanOrEqual(1);
      const told = await world.call("GET", `/event/${id}`);
      expect(told.status).toBe(logged.length === 1 ? 200 : 404);
    } else if (status < 300) {
      expect(logged.map((row) => [row.id, row.type])).toEqual([[id, type]]);
    } else {
      expect([404, 409]).toContain(status);
      expect(logged).toEqual([]);
    }
    for (let minute = 0; minute < 6; minute++) await world.cron();
    expect(await broken(world, status < 300 ? [{ id, type }] : [])).toEqual([]);
  },
);
