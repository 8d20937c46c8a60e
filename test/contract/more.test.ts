// The local Convoy against recorded-more.json: 81 calls, in order, comparing all that it supports.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RETRY_INTERVAL_MS } from "../../local/convoy/context.ts";
import { RECORDED_MORE, type RecordedCall } from "./recorded.ts";
import { differing, report, startReplay } from "./replay.ts";

const PROJECT = "01M86MV0DZAAWSKKG575NWHNMC";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

/** What the local Convoy does not have: events for several endpoints, with their deliveries, and batch retries. */
const FAN_OUT = 12;
const DELIVERIES_OF_FAN_OUT = 30;
const BROADCAST = 39;
const DYNAMIC = 40;
const BATCH_RETRIES = [57, 58];
const GONE = new Set([FAN_OUT, DELIVERIES_OF_FAN_OUT, BROADCAST, DYNAMIC, ...BATCH_RETRIES]);

/** Endpoints that the fan-out or the broadcast reached: one event for each is sent instead, with a key of its own. */
const SIMPLE = "01M86MWR1WDWHPHHJF3KHV574C";
const FAILING = "01M86MXAGEWNYVHH6X30J33WZK";
const SLOW = "01M86MXAGQV7E30Y6QQH7AS7QG";
const KEY_FOR_SLOW = "acme1795519569g2";

/** The recording as it had been with these events: what tells them apart is replaced. */
function asSingle(call: RecordedCall, at: number): RecordedCall {
  let text = JSON.stringify(call).replace(
    /"endpoints":\["\w+","\w+"\]/g,
    `"endpoints":["${SIMPLE}"]`,
  );
  if (at === 45)
    text = text
      .replaceAll("acme1795519569g1", KEY_FOR_SLOW)
      .replaceAll("01M86MY60WJ25T618NNJ5CN7EP", "01M86MY60WJ25T618NNJ5CN7E0");
  return JSON.parse(text) as RecordedCall;
}

test("each call of recorded-more.json that is played is answered as recorded", async () => {
  const { clock, convoy, process, send, replay, replayed, faults } = startReplay(
    PROJECT,
    "2026-11-24T11:26:09.970Z",
  );

  /** Sends the event of a recorded call to one endpoint. */
  const single = async (at: number, endpoint_id: string, fields: object = {}) => {
    const call = RECORDED_MORE[at]!;
    const { owner_id: _, ...event } = call.request.body as Record<string, unknown>;
    const path = "/api/v1/projects/{projectID}/events";
    const body = { ...event, ...fields, endpoint_id };
    await replay({ ...call, request: { ...call.request, path, body } }, at);
  };

  /** What happened between the recorded calls without being recorded. */
  const before: Record<number, () => Promise<void>> = {
    [FAN_OUT]: () => single(FAN_OUT, SIMPLE),
    [BROADCAST]: async () => {
      await single(BROADCAST, FAILING);
      await single(BROADCAST, SLOW, { idempotency_key: KEY_FOR_SLOW });
      await process();
    },
    // A retry of the failing delivery, 100 s after the first attempt.
    48: async () => {
      clock.now += RETRY_INTERVAL_MS;
      vi.advanceTimersByTime(RETRY_INTERVAL_MS);
      await process();
    },
    // What the batch retry sent again.
    57: async () => {
      const listed = await send("GET", "/eventdeliveries?status=Discarded");
      const { data } = (await listed.json()) as { data: { content: { uid: string }[] } };
      for (const { uid } of data.content) await replayed(uid);
      await process();
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
      await process();
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
    await process();
    await before[at]?.();
    if (GONE.has(at)) continue;
    const body = at === 79 ? lostEvent() : outageBodies[at];
    outcomes.push(await replay(asSingle(call, at), at, body ? { body } : {}));
  }
  function lostEvent() {
    const made = RECORDED_MORE[65]?.response.body as { data: { uid: string } };
    return { endpoint_id: made.data.uid, event_type: "created", data: {}, idempotency_key: "lost" };
  }

  await faults({});
  await process();
  const listed = (await (await send("GET", "/events?idempotencyKey=lost")).json()) as {
    data: { content: unknown[] };
  };
  expect(listed.data.content).toEqual([]);
  await convoy.close();
  console.log(report("recorded-more.json", outcomes, 0));
  expect(differing(outcomes)).toEqual([]);
  expect(outcomes).toHaveLength(81 - GONE.size);
});
