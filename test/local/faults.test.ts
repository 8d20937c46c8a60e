// Faults on request: what each does, that it ends, and that the inbox is never affected.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Client, receiver, start } from "./client.ts";

let client: Client;
let id: string;
const { got, deliver } = receiver();
beforeEach(async () => {
  got.length = 0;
  client = start({ deliver });
  id = await client.endpoint();
});
afterEach(() => client.convoy.close());

test("status answers with it, the message and Retry-After, and does nothing else", async () => {
  await client.faults({ status: 429, message: "slow down", retry_after_s: 7 });
  const answer = await client.event(id, "k");
  expect([answer.status, answer.message]).toEqual([429, "slow down"]);
  expect(answer.headers.get("Retry-After")).toBe("7");
  await client.convoy.idle();
  expect([got, await client.events()]).toEqual([[], []]);
});

test("swallow says 201 and forgets: not listed, not delivered, but shown in the inbox's events", async () => {
  await client.faults({ swallow: true });
  expect((await client.event(id, "k")).status).toBe(201);
  await client.faults({});
  await client.convoy.idle();
  const listed = await client.call<{ content: unknown[] }>("GET", "/events");
  expect([got, listed.data.content]).toEqual([[], []]);
  expect(await client.events()).toMatchObject([
    { idempotency_key: "k", swallowed: true, endpoint_id: id, is_duplicate: false },
  ]);

  // The key is free: the same event posted again is not a duplicate.
  await client.event(id, "k");
  await client.convoy.idle();
  expect(got).toHaveLength(1);
});

test("drop closes the connection", async () => {
  await client.faults({ drop: true });
  await expect(client.event(id, "k")).rejects.toThrow(TypeError);
  expect(await client.events()).toEqual([]);
});

test("hang holds the call until the faults change; then it is dropped without effect", async () => {
  await client.faults({ hang: true });
  let settled = false;
  const call = client.event(id, "k").finally(() => {
    settled = true;
  });
  call.catch(() => {});
  await new Promise((resolve) => setImmediate(resolve));
  expect(settled).toBe(false);
  // The inbox answers meanwhile.
  expect(await client.inbox("GET", "/faults")).toEqual({ hang: true });
  await client.faults({});
  await expect(call).rejects.toThrow(TypeError);
  await client.convoy.idle();
  expect([got, await client.events()]).toEqual([[], []]);
});

test("hang lets a client abort its call", async () => {
  await client.faults({ hang: true });
  const leaving = new AbortController();
  const call = client.request("/api/v1/projects/local/endpoints", { signal: leaving.signal });
  leaving.abort(new Error("gone"));
  await expect(call).rejects.toThrow("gone");
});

test("latency_ms delays the call, and ends early when the faults change", async () => {
  await client.faults({ latency_ms: 60_000 });
  const call = client.event(id, "k");
  await client.faults({});
  expect((await call).status).toBe(201);
});

test("rate affects that share of calls", async () => {
  const random = vi.spyOn(Math, "random");
  await client.faults({ status: 500, rate: 0.25 });
  random.mockReturnValue(0.249);
  expect((await client.event(id, "a")).status).toBe(500);
  random.mockReturnValue(0.25);
  expect((await client.event(id, "b")).status).toBe(201);
  random.mockRestore();
});

describe("on the receivers' side", () => {
  test.each([
    [{ status: 503 }, "503 Service Unavailable"],
    [{ drop: true }, "the connection was closed without an answer"],
  ])("%j fails the delivery, which goes to Retry", async (deliveries, error) => {
    await client.faults({ deliveries });
    await client.event(id, "k");
    await client.convoy.idle();
    expect(got).toEqual([]);
    expect(await client.deliveries()).toMatchObject([{ status: "Retry", error }]);
  });

  test("a delivery that hangs fails when the faults end, and can be replayed", async () => {
    await client.faults({ deliveries: { hang: true } });
    await client.event(id, "k");
    await vi.waitUntil(async () => (await client.deliveries())[0]?.status === "Processing");
    await client.faults({});
    await client.convoy.idle();
    const [delivery] = await client.deliveries();
    expect(delivery?.status).toBe("Retry");
    await client.inbox("POST", `/deliveries/${delivery?.id}/replay`);
    await client.convoy.idle();
    expect(got).toHaveLength(1);
  });
});

describe("an invalid fault", () => {
  test.each([
    [[], "the body must be a JSON object; {} resets"],
    [{ status: 42 }, "status: must be a whole number from 200 to 599"],
    [{ rate: 2 }, "rate: must be from 0 to 1"],
    [{ hang: "yes" }, "hang: must be true or false"],
    [{ deliveries: [] }, "deliveries: must be an object"],
    [{ deliveries: { drop: 1 } }, "deliveries.drop: must be true or false"],
    [{ deliveries: { swallow: true } }, /^deliveries\.swallow: unknown; known are status/],
    [{ latency: 5 }, /^latency: unknown; known are status/],
  ])("%j is a 400 that says why, and changes nothing", async (body, reason) => {
    await client.faults({ status: 418 });
    const response = await client.request("/inbox/faults", {
      method: "PUT",
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: string };
    if (typeof reason === "string") expect(error).toBe(reason);
    else expect(error).toMatch(reason);
    expect(await client.inbox("GET", "/faults")).toEqual({ status: 418 });
  });

  test("that is not JSON is a 400, too", async () => {
    const response = await client.request("/inbox/faults", { method: "PUT", body: "{hang" });
    expect(response.status).toBe(400);
  });
});
