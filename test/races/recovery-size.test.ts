// Recovery at scale: thousands of discarded deliveries of hundreds of endpoints, on a small budget per run.
import { afterAll, expect, test } from "vitest";
import { convoyOf } from "../../src/convoy/client.ts";
import { recoverDeliveries } from "../../src/endpoint/recover.ts";
import { budgetOf } from "../../src/run.ts";
import { recordEndpoints } from "../support/endpoint-records.ts";
import { pass, settle } from "../support/virtual-clock.ts";
import { openWorld } from "../support/world.ts";

const world = openWorld();
afterAll(() => world.close());

/** RECOVERY=2000 is the required size; it takes minutes. */
const ENDPOINTS = Number(process.env.RECOVERY ?? 200);
const EACH = 5;
const BUDGET = 8;
const MINUTE_MS = 60_000;

test(`${ENDPOINTS * EACH} discarded deliveries of ${ENDPOINTS} endpoints arrive, with ${BUDGET} subrequests a run`, {
  timeout: 600_000,
}, async () => {
  const { api, setStatus } = world.convoy;
  const ids: string[] = [];
  for (let i = 0; i < ENDPOINTS; i++) {
    const fields = { name: "n", url: "https://webhook.test/x", owner_id: `owner ${i % 50}` };
    const { uid } = await api<{ uid: string }>("POST", "/endpoints", fields);
    await api("POST", "/subscriptions", { name: "n", endpoint_id: uid });
    await setStatus(uid, "inactive");
    recordEndpoints(world, [uid], `owner ${i % 50}`);
    ids.push(uid);
  }
  for (let i = 0; i < ENDPOINTS * EACH; i++) {
    // One endpoint after the other, so that no page has all endpoints of a group.
    const endpoint_id = ids[Math.floor(i / EACH)];
    await api("POST", "/events", {
      endpoint_id,
      event_type: "created",
      idempotency_key: `k${i}`,
      data: { i },
    });
  }
  await world.convoy.idle();
  // Half of them stay inactive: their deliveries stay discarded, but are not forgotten.
  const active = ids.filter((_, i) => i % 2 === 0);
  for (const uid of active) await setStatus(uid, "active");

  const counts = async () => {
    const all = await world.convoy.inbox<{ status: string }>("deliveries", 20_000);
    return all.filter(({ status }) => status === "Discarded").length;
  };
  let calls = 0;
  const convoy = {
    ...convoyOf({
      CONVOY_API_KEY: "local",
      CONVOY_PROJECT_ID: "local",
      CONVOY_BASE_URL: "http://convoy.test/api",
    } as never),
    send: (request: Request) => {
      calls++;
      return world.stores.convoy.fetch(request);
    },
  };
  const run = async () => {
    const before = calls;
    const budget = budgetOf(BUDGET, Number.POSITIVE_INFINITY);
    await recoverDeliveries(world.d1.db, convoy, budget);
    expect(calls - before).toBeLessThanOrEqual(BUDGET);
    await settle();
    await world.convoy.idle();
    await pass(MINUTE_MS);
  };
  const until = async (left: number) => {
    let runs = 0;
    for (; runs < 3_000 && (runs % 10 > 0 || (await counts()) > left); runs++) await run();
    return runs;
  };
  const half = (ENDPOINTS * EACH) / 2;
  const first = { runs: await until(half), calls };
  // Hours in which the inactive ones are checked: their deliveries are not forgotten.
  for (let minute = 0; minute < 240; minute++) await run();
  expect(await counts()).toBe(half);
  for (const uid of ids) await setStatus(uid, "active");
  const second = { runs: await until(0), calls: calls - first.calls };
  expect(await counts()).toBe(0);
  console.info(
    `recovery at size: ${JSON.stringify({ endpoints: ENDPOINTS, each: EACH, first, second })}`,
  );
});
