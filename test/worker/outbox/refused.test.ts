/** What an endpoint answered last, in a delivery's row and for the endpoint's health, while the gateway still tries too. */
import { env as testEnv } from "cloudflare:workers";
import { beforeEach, expect, test } from "vitest";
import type { Attempt, GatewayDelivery } from "../../../src/outbox/gateway.ts";
import { ownAmong, record, withAnswers } from "../../../src/outbox/learn.ts";
import type { Bindings } from "../../../src/settings.ts";
import { listed, notedEndpoints, scriptedGateway } from "../../support/gateway.ts";
import { deliveryRows, leaveDeliveries, leaveEndpoints } from "../../support/log-rows.ts";

const { DB } = testEnv as unknown as Bindings;
const NOW = 1_000_000;

const attempt = (httpStatus: number | null, error: string | null = null): Attempt => ({
  ...{ at: "2026-01-01T00:00:00Z", took_ms: 1, http_status: httpStatus, response: null, error },
  ...{ request_headers: {}, response_headers: {} },
});

/** Learns a page of the gateway's list whose attempts end with this one. @returns what the endpoints were told */
async function learn(deliveries: GatewayDelivery[], last: Attempt | null, max = 3) {
  const asked: string[] = [];
  const gateway = scriptedGateway({
    attempts(id) {
      asked.push(id);
      return last ? { kind: "attempts", attempts: [last] } : { kind: "silent", error: "503" };
    },
  });
  const learned = await withAnswers(gateway, ownAmong(deliveries), max);
  const endpoints = notedEndpoints();
  await record(DB, endpoints, learned, { at: NOW });
  return { asked, reported: endpoints.told.reported };
}

const sending = (endpoint_id = "a1") => ({
  status: "sending" as const,
  accepted_at: 1,
  endpoint_id,
});

beforeEach(() => leaveEndpoints(DB, [{ id: "a1", owner: "a" }]));

test("what failed says what the receiver answered last", async () => {
  await leaveDeliveries(DB, [sending()]);
  const { reported } = await learn([listed(1, { progress: "failure" })], attempt(500));
  expect(await deliveryRows(DB)).toMatchObject([
    { status: "failed", last_http_status: 500, error: "The endpoint answered 500." },
  ]);
  expect(reported).toEqual([{ endpointId: "a1", at: NOW, error: "The endpoint answered 500." }]);
});

test("an endpoint fails from the first refusal on, not only once the gateway has given up", async () => {
  await leaveDeliveries(DB, [sending()]);
  const retried = listed(1, { progress: "unfinished", attempts: 1 });
  const first = await learn([retried], attempt(null, "connection refused"));
  expect(first.reported).toEqual([
    { endpointId: "a1", at: NOW, error: "The endpoint did not answer." },
  ]);
  expect(await deliveryRows(DB)).toMatchObject([
    { status: "sending", error: "The endpoint did not answer." },
  ]);
  // Seen again without another try it says nothing new: meanwhile others may have arrived.
  expect((await learn([retried], attempt(null, "connection refused"))).reported).toEqual([]);
  const again = await learn([{ ...retried, attempts: 2 }], null);
  expect(again.reported).toMatchObject([{ error: "The endpoint has not taken it yet." }]);
});

test("of what arrived and what did not, the last counts", async () => {
  await leaveDeliveries(DB, [sending(), sending()]);
  const arrived = listed(1, { progress: "success", updatedAt: 60 });
  const failed = listed(2, { progress: "failure", updatedAt: 70 });
  const { reported } = await learn([arrived, failed], attempt(500));
  expect(reported).toMatchObject([{ endpointId: "a1", error: "The endpoint answered 500." }]);
  await leaveDeliveries(DB, [sending(), sending()], 3);
  const again = [listed(3, { progress: "failure", updatedAt: 80 }), listed(4, { updatedAt: 90 })];
  expect((await learn(again, attempt(500))).reported).toMatchObject([{ error: null }]);
});

test("the gateway is asked about one delivery of each endpoint, and no more than the budget allows", async () => {
  const endpoints = ["a1", "a2", "a3", "a4"];
  const deliveries = [...endpoints, "a1"].map((endpointId, at) =>
    listed(at + 1, { endpointId, progress: "failure" }),
  );
  const succeeded = listed(9, { endpointId: "a5", progress: "success" });
  expect((await learn([...deliveries, succeeded], attempt(500))).asked).toHaveLength(3);
  expect((await learn(deliveries.slice(-1), attempt(500), 0)).asked).toEqual([]);
});
