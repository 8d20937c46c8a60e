// A receiver that gets only the real Worker's webhooks, late, twice and in any order, ends up with exactly its list.
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { createActor } from "../support/actors.ts";
import { appWorker } from "../support/app-worker.ts";
import { type LocalConvoy, localConvoy } from "../support/local-convoy.ts";
import { startReceiver } from "../support/receiver.ts";
import { goOnUntil, pass } from "../support/virtual-clock.ts";
import { openWorld, type World } from "../support/world.ts";

/** CONVERGENCE=n runs more than CI does. */
const RUNS = Number(process.env.CONVERGENCE ?? 60);
const settings = { RETENTION_DAYS: "1" };
const world = openWorld({ worker: appWorker, convoy: localConvoy(), settings });
afterAll(() => world.close());

/** What concurrent callers do, and what happens meanwhile. */
const burst = fc.record({
  calls: fc.array(
    fc.record({
      kind: fc.constantFrom("create", "update", "complete", "delete", "read"),
      id: fc.nat({ max: 2 }),
      item: fc.string({ minLength: 1, maxLength: 5, unit: "grapheme" }),
      named: fc.boolean(),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  /** Whether Convoy is down, so that the cron posts these events, after later ones. */
  outage: fc.boolean(),
  /** Whether the endpoint is paused, so that they are held. */
  pause: fc.boolean(),
  again: fc.constantFrom("nothing", "an event", "a delivery", "all that was lost"),
  minutes: fc.nat({ max: 2 }),
});
type Burst = typeof burst extends fc.Arbitrary<infer T> ? T : never;

function begin(call: Burst["calls"][number], endpoint: string): void {
  const query = call.named ? `?endpoint=${endpoint}` : "";
  const actor = createActor(world.stores, world.healthy);
  const { id, item } = call;
  const put = (body: Record<string, unknown>) =>
    world.call(actor, "PUT", `/todo/${id}${query}`, { body });
  if (call.kind === "create") {
    world.call(actor, "POST", `/todo${query}`, { body: { id, item } });
  }
  if (call.kind === "update") put({ item });
  if (call.kind === "complete") put({ completed: true });
  if (call.kind === "delete") world.call(actor, "DELETE", `/todo/${id}${query}`);
  if (call.kind === "read") world.call(actor, "GET", `/todo/${id}${query}`);
}

function setConvoy(up: boolean): Promise<void> {
  return world.convoy.setFaults(up ? {} : { status: 503 });
}

/** Sends something again, as a user may at any time. */
async function again(what: Burst["again"]): Promise<void> {
  const sql = `SELECT event.id, event.id || '.' || endpoint_id AS delivery FROM delivery
    JOIN event ON seq = event_seq ORDER BY random() LIMIT 1`;
  const [one] = world.rows<{ id: string; delivery: string }>(sql);
  if (what === "an event" && one) await world.ask("POST", `/event/${one.id}/replay`);
  if (what === "a delivery" && one) await world.ask("POST", `/delivery/${one.delivery}/resend`);
  if (what === "all that was lost") await world.ask("POST", "/delivery/resend", { body: {} });
}

async function play(burst: Burst, endpoint: string): Promise<void> {
  const { calls, outage, pause, minutes } = burst;
  await setConvoy(!outage);
  if (pause) await world.ask("POST", `/endpoint/${endpoint}/pause`);
  for (const call of calls) begin(call, endpoint);
  // Long enough for waitUntil to give up on a Convoy that is down.
  await goOnUntil(() => false);
  await setConvoy(true);
  await again(burst.again);
  if (pause) await world.ask("POST", `/endpoint/${endpoint}/activate`);
  await pass(minutes * 60_000);
}

/** The bodies that the receiver was sent, in the order of sending. */
async function webhooks(of: World<LocalConvoy>): Promise<string[]> {
  const deliveries = await of.convoy.inbox<{ body: string }>("deliveries");
  return deliveries.map(({ body }) => body).reverse();
}

const timeout = RUNS * 1_000;
test("the copy equals the list, whatever the order and repeats", { timeout }, async () => {
  const seen = { applied: 0, late: 0, repeat: 0, ignored: 0 };
  const shuffle = fc.infiniteStream(fc.nat());
  const history = fc.array(burst, { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(history, shuffle, async (bursts, random) => {
      await world.reset();
      const url = "https://webhook.test/copy";
      const made = await world.ask("POST", "/endpoint", { body: { name: "copy", url } });
      for (const each of bursts) await play(each, String(made.answer?.["Endpoint ID"]));
      await world.recover();

      const receiver = startReceiver();
      const sent = await webhooks(world);
      const twice = sent.filter(() => (random.next().value ?? 0) % 3 === 0);
      const arriving = [...sent, ...twice]
        .map((body) => ({ body, at: random.next().value ?? 0 }))
        .sort((a, b) => a.at - b.at);
      for (const { body } of arriving) {
        const answer = await receiver.post(body);
        expect(answer.status).toBeLessThan(300);
        const { result } = (await answer.json()) as { result: keyof typeof seen };
        seen[result]++;
      }
      const list = await world.ask("GET", "/todo");
      expect(await receiver.list()).toEqual(list.answer?.data);
      receiver.double.close();
    }),
    { numRuns: RUNS, seed: Number(process.env.SEED ?? 1) },
  );
  // Otherwise the order of arrival would prove nothing.
  expect(Math.min(seen.applied, seen.late, seen.repeat)).toBeGreaterThan(RUNS / 4);
  console.info(`convergence: ${JSON.stringify(seen)}`);
});
