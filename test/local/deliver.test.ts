// Delivering: retries, giving up, keys, pauses, secrets, hosts off this machine.
import { afterEach, describe, expect, test, vi } from "vitest";
import { type Client, type Paged, receiver, start } from "./client.ts";

let client: Client;
afterEach(async () => {
  vi.useRealTimers();
  await client.convoy.close();
});

const statuses = async () => (await client.deliveries()).map((one) => one.status);

describe("retries", () => {
  test("come every 100 s, and the tenth failure is the last", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { got, deliver } = receiver(() => 500);
    client = start({ deliver });
    await client.event(await client.endpoint(), "k");
    await client.convoy.idle();
    for (let tries = 1; tries < 10; tries++) {
      expect([got.length, await statuses()]).toEqual([tries, ["Retry"]]);
      vi.advanceTimersByTime(99_999);
      await client.convoy.idle();
      expect(got).toHaveLength(tries);
      vi.advanceTimersByTime(1);
      await client.convoy.idle();
    }
    expect([got.length, await statuses()]).toEqual([10, ["Failure"]]);
    vi.advanceTimersByTime(1_000_000);
    await client.convoy.idle();
    expect(got).toHaveLength(10);
  });

  test("end with the first success; each attempt is listed with its answer", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { deliver } = receiver((_, count) => (count < 3 ? 503 : 204));
    client = start({ deliver, retry: { intervalMs: 7, limit: 5 } });
    await client.event(await client.endpoint(), "k");
    for (let tries = 0; tries < 3; tries++) {
      await client.convoy.idle();
      vi.advanceTimersByTime(7);
    }
    const [delivery] = await client.deliveries();
    expect(delivery).toMatchObject({
      status: "Success",
      attempts: 3,
      duplicate: false,
      error: null,
    });
    const attempts = await client.call<{ http_status: string }[]>(
      "GET",
      `/eventdeliveries/${delivery?.id}/deliveryattempts`,
    );
    expect(attempts.data.map((one) => one.http_status)).toEqual([
      "503 Service Unavailable",
      "503 Service Unavailable",
      "204 No Content",
    ]);
  });

  test.each([
    ["a network error", () => Promise.reject(new TypeError("fetch failed"))],
    ["a redirect to nowhere", () => Promise.resolve(307)],
  ])("are made after %s", async (_, answer) => {
    client = start({ deliver: receiver(answer).deliver });
    await client.event(await client.endpoint(), "k");
    await client.convoy.idle();
    expect(await statuses()).toEqual(["Retry"]);
  });
});

describe("the idempotency key", () => {
  test("lets one of twenty concurrent posts through; the others are listed as duplicates", async () => {
    const { got, deliver } = receiver();
    client = start({ deliver });
    const id = await client.endpoint();
    await Promise.all(Array.from({ length: 20 }, () => client.event(id, "same")));
    await client.convoy.idle();
    expect(got).toHaveLength(1);
    const listed = await client.call<Paged<{ is_duplicate_event: boolean; status: string }>>(
      "GET",
      "/events?perPage=50",
    );
    const rows = listed.data.content;
    expect(rows.filter((one) => !one.is_duplicate_event && one.status === "Success")).toHaveLength(
      1,
    );
    expect(
      rows.filter((one) => one.is_duplicate_event && one.status === "Processing"),
    ).toHaveLength(19);
  });

  test("is optional: events without one are all delivered, without the header", async () => {
    const { got, deliver } = receiver();
    client = start({ deliver });
    const id = await client.endpoint();
    await client.event(id, "");
    await client.event(id, "");
    await client.convoy.idle();
    expect(got.map((one) => one.headers.get("X-Convoy-Idempotency-Key"))).toEqual([null, null]);
  });
});

describe("a paused endpoint", () => {
  const pausedWith = async (keys: string[]) => {
    const { got, deliver } = receiver();
    client = start({ deliver });
    const id = await client.endpoint();
    await client.call("PUT", `/endpoints/${id}/pause`);
    for (const key of keys) await client.event(id, key);
    await client.convoy.idle();
    return { got, id };
  };

  test("gets nothing; what came meanwhile stays discarded once it is active again", async () => {
    const { got, id } = await pausedWith(["a"]);
    await client.call("PUT", `/endpoints/${id}/pause`);
    await client.convoy.idle();
    expect([got, await statuses()]).toEqual([[], ["Discarded"]]);
  });

  test("refuses a resend", async () => {
    const { got } = await pausedWith(["a"]);
    const [delivery] = await client.deliveries();
    const resend = await client.call("PUT", `/eventdeliveries/${delivery?.id}/resend`);
    expect([resend.status, resend.message]).toEqual([400, "the endpoint is currently paused"]);
    await client.convoy.idle();
    expect([got, await statuses()]).toEqual([[], ["Discarded"]]);
  });
});

test("an inactive endpoint gets nothing until it is activated", async () => {
  const { got, deliver } = receiver();
  client = start({ deliver });
  const id = await client.endpoint();
  await client.inbox("PUT", `/endpoints/${id}`, { status: "inactive" });
  await client.event(id, "a");
  await client.convoy.idle();
  expect(await statuses()).toEqual(["Discarded"]);
  const activated = await client.call<{ status: string }>("POST", `/endpoints/${id}/activate`);
  expect([activated.status, activated.data.status]).toEqual([200, "active"]);
  await client.event(id, "b");
  await client.convoy.idle();
  expect(got).toHaveLength(1);
});

test("a rotated secret signs beside the new one for the requested hours, then no longer", async () => {
  const clock = { now: Date.parse("2026-11-24T12:00:00Z") };
  const { got, deliver } = receiver();
  client = start({ deliver, now: () => clock.now });
  const id = await client.endpoint({ secret: "old" });
  await client.call("PUT", `/endpoints/${id}/expire_secret`, { secret: "new", expiration: 2 });
  const signatures = async (key: string) => {
    await client.event(id, key);
    await client.convoy.idle();
    return got.at(-1)?.headers.get("X-Convoy-Signature")?.match(/v1=/g)?.length;
  };
  expect(await signatures("a")).toBe(2);
  clock.now += 2 * 3_600_000 - 1;
  expect(await signatures("b")).toBe(2);
  clock.now += 1;
  expect(await signatures("c")).toBe(1);
  expect((await client.deliveries()).map((one) => one.signature.valid)).toEqual([true, true, true]);
});

test("a host off this machine gets nothing: the inbox keeps the delivery, signed, as a success", async () => {
  const { got, deliver } = receiver();
  client = start({ deliver });
  await client.event(await client.endpoint({ url: "https://webhook.site/x" }), "k");
  await client.convoy.idle();
  expect(got).toEqual([]);
  const [kept] = await client.deliveries();
  expect(kept).toMatchObject({ status: "Success", kept: true, signature: { valid: true } });
});

test("a receiver slower than http_timeout is given up on, for a retry", async () => {
  const deliver: typeof fetch = () => new Promise(() => {});
  const timeouts: number[] = [];
  vi.spyOn(AbortSignal, "timeout").mockImplementation((ms) => {
    timeouts.push(ms);
    return AbortSignal.abort(new DOMException("timed out", "TimeoutError"));
  });
  client = start({ deliver });
  await client.event(await client.endpoint({ http_timeout: 12 }), "k");
  await client.convoy.idle();
  expect(timeouts).toEqual([10_000]);
  expect(await client.deliveries()).toMatchObject([
    { status: "Retry", error: "no answer within 10 s (the endpoint's http_timeout)" },
  ]);
});

test("a message that a receiver already has is marked as a duplicate, whatever its key", async () => {
  client = start({ deliver: receiver().deliver });
  const id = await client.endpoint();
  await client.event(id, "k", { event_id: "m1" });
  await client.event(id, "k:1", { event_id: "m1" });
  await client.event(id, "k2", { event_id: "m2" });
  await client.convoy.idle();
  expect((await client.deliveries()).map((one) => one.duplicate)).toEqual([false, true, false]);
});
