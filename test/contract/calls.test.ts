// The local Convoy against recorded-calls.json: 54 calls, in order, comparing all that it supports.
import { expect, test } from "vitest";
import { Ids } from "./compare.ts";
import { RECORDED_CALLS, type RecordedCall } from "./recorded.ts";
import { differing, report, startReplay } from "./replay.ts";

const PROJECT = "01M85F4EG11HMK2PSDZM5NDP00";

/** Lists in no fixed order: several workers of the real one made their rows at the same moment. */
const UNORDERED = new Set([33, 34, 36]);

/** Fan-outs that reached one endpoint: the same event for that endpoint is sent instead. Two reached none. */
const FAN_OUTS = new Set([25, 30]);

/** What the local Convoy does not have: an API version of 2023, fan-outs, and Convoy's portal. */
const GONE = new Set([3, ...FAN_OUTS, 31, 32, 40, 41]);

/** The keys of the fan-outs that reached none. */
const TO_NOBODY = new Set(["acme1795480083f3", "f-3"]);

function asSingle(call: RecordedCall): RecordedCall {
  const { owner_id: _, ...event } = call.request.body as Record<string, unknown>;
  const body = { ...event, endpoint_id: "01M85F7Q25TVS54JBZF8384T9D" };
  const path = call.request.path.replace("/fanout", "");
  return { ...call, request: { ...call.request, path, body } };
}

/** The call to the old API version, in the form of the current one. */
const asCurrent = (call: RecordedCall) => ({
  ...(call.request.body as object),
  http_timeout: 10,
  advanced_signatures: false,
});

/** The recorded lists also show what an earlier run of the same calls left, under other names. */
const EARLIER_RUN = { beforeProcessing: [1, 2, 3, 7, 15, 18, 19, 24, 25], after: [27, 30] };

function ofEarlierRun(at: number): RecordedCall {
  const text = JSON.stringify(RECORDED_CALLS[at])
    .replaceAll("acme1795480083k", "k-")
    .replaceAll("acme1795480083f", "f-")
    .replaceAll("acme1795480083", "acme");
  return JSON.parse(text) as RecordedCall;
}

test("each call of recorded-calls.json that is played is answered as recorded", async () => {
  const { clock, convoy, process, send, replay } = startReplay(PROJECT, "2026-11-24T00:27:15.000Z");
  const ids = new Ids();
  const earlier = (at: number) => {
    const call = ofEarlierRun(at);
    return replay(FAN_OUTS.has(at) ? asSingle(call) : call, at, { ids });
  };
  for (const at of EARLIER_RUN.beforeProcessing) {
    if (at === 3) await send("POST", "/endpoints", asCurrent(ofEarlierRun(3)));
    else await earlier(at);
  }
  await process();
  for (const at of EARLIER_RUN.after) await earlier(at);
  await process();

  clock.now = Date.parse("2026-11-24T00:28:03.500Z");
  const outcomes = [];
  for (const [at, call] of RECORDED_CALLS.entries()) {
    if (at === 3) await send("POST", "/endpoints", asCurrent(call));
    if (FAN_OUTS.has(at)) await replay(asSingle(call), at);
    if (GONE.has(at)) continue;
    // The recorded one processed its events just before it was asked for a list of them.
    if (at === 33) await process();
    const special = {
      ...(call.note === "bad key" ? { key: "wrong" } : {}),
      ...(call.note === "wrong project" ? { projectId: "01M85F4EG11HMK2PSDZM5NOONE" } : {}),
      // The recorded health was the root's; a project's does not exist.
      ...(call.note === "health" ? { path: "/health" } : {}),
      unordered: UNORDERED.has(at),
      absent: TO_NOBODY,
    };
    outcomes.push(await replay(call, at, special));
  }
  await convoy.close();
  console.log(report("recorded-calls.json", outcomes, UNORDERED.size));
  expect(differing(outcomes)).toEqual([]);
  expect(outcomes).toHaveLength(54 - GONE.size);
});
