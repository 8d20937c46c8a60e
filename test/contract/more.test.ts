// The local Convoy against recorded-more.json: 81 calls, in order, comparing all that it supports.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RETRY_INTERVAL_MS } from "../../local/config.ts";
import { RECORDED_MORE } from "./recorded.ts";
import { differing, report, startReplay } from "./replay.ts";

const PROJECT = "01M86MV0DZAAWSKKG575NWHNMC";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

/** What the local Convoy does not have: broadcast and dynamic events, batch retries. */
const BROADCAST = 39;
const DYNAMIC = 40;
const BATCH_RETRIES = [57, 58];
const GONE = new Set([BROADCAST, DYNAMIC, ...BATCH_RETRIES]);

test("each call of recorded-more.json that is played is answered as recorded", async () => {
  const { clock, convoy, send, replay, replayed, faults } = startReplay(
    PROJECT,
    "2026-11-24T11:26:09.970Z",
  );

  /** What happened between the recorded calls without being recorded. */
  const before: Record<number, () => Promise<void>> = {
    // All endpoints have one owner, so that a fan-out delivers what the broadcast did.
    [BROADCAST]: async () => {
      const body = RECORDED_MORE[BROADCAST]!.request.body as object;
      await send("POST", "/events/fanout", { ...body, owner_id: "acme1795519569" });
      await convoy.process();
    },
    // A retry of the failing delivery, 100 s after the first attempt.
    48: async () => {
      clock.now += RETRY_INTERVAL_MS;
      vi.advanceTimersByTime(RETRY_INTERVAL_MS);
      await convoy.process();
    },
    // What the batch retry sent again.
    57: async () => {
      const listed = await send("GET", "/eventdeliveries?status=Discarded");
      const { data } = (await listed.json()) as { data: { content: { uid: string }[] } };
      for (const { uid } of data.content) await replayed(uid);
      await convoy.process();
    },
    // Five events for a separate endpoint, of which the window shows two pages of two.
    75: async () => {
      clock.now = Date.parse("2026-11-24T11:36:16.000Z");
      const made = await send("POST", "/endpoints", { name: "w", url: "http://127.0.0.1:9099/w" });
      const { data } = (await made.json()) as { data: { uid: string } };
      const filter = { event_types: ["*"] };
      await send("POST", "/subscriptions", {
        name: "w",
        endpoint_id: data.uid,
        filter_config: filter,
      });
      for (const key of ["w0", "w1", "w2", "w3", "w4"]) {
        await send("POST", "/events", {
          endpoint_id: data.uid,
          event_type: "created",
          data: { event: "created", description: "audit" },
          idempotency_key: `acme1795520176${key}`,
        });
      }
      await convoy.process();
    },
    78: async () => void (await faults(saying(78))),
    79: async () => void (await faults({ swallow: true })),
    80: async () => void (await faults(saying(80))),
  };
  const saying = (at: number) => {
    const { status, body } = RECORDED_MORE[at]!.response;
    return { status, message: (body as { message: string }).message };
  };
  const outageBodies: Record<number, object> = {
    78: { endpoint_id: "e", event_type: "created", data: {} },
    80: { owner_id: "o", event_type: "created", data: {} },
  };

  const outcomes = [];
  for (const [at, call] of RECORDED_MORE.entries()) {
    // Between two recorded calls the real one had time to finish everything.
    await convoy.process();
    await before[at]?.();
    if (GONE.has(at)) continue;
    const body = at === 79 ? lostEvent() : outageBodies[at];
    outcomes.push(await replay(call, at, body ? { body } : {}));
  }
  function lostEvent() {
    const made = RECORDED_MORE[65]?.response.body as { data: { uid: string } };
    return { endpoint_id: made.data.uid, event_type: "created", data: {}, idempotency_key: "lost" };
  }

  await faults({});
  await convoy.process();
  const listed = (await (await send("GET", "/events?idempotencyKey=lost")).json()) as {
    data: { content: unknown[] };
  };
  expect(listed.data.content).toEqual([]);
  await convoy.close();
  console.log(report("recorded-more.json", outcomes, 0));
  expect(differing(outcomes)).toEqual([]);
  expect(outcomes).toHaveLength(81 - GONE.size);
});
