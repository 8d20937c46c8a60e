// An endpoint's rate limit: what it holds back, for how long, and how that looks in the list.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createRates } from "../../local/convoy/rate.ts";
import { type Client, type Paged, receiver, start } from "./client.ts";

const NOON = Date.parse("2026-11-24T12:00:00Z");
const INTERVAL_MS = 100_000;

let client: Client;
let got: ReturnType<typeof receiver>["got"];
let clock: { now: number };
let status: number;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  clock = { now: NOON };
  status = 200;
  const received = receiver(() => status);
  got = received.got;
  client = start({ deliver: received.deliver, now: () => clock.now });
});
afterEach(async () => {
  vi.useRealTimers();
  await client.convoy.close();
});

const pass = async (ms: number) => {
  clock.now += ms;
  vi.advanceTimersByTime(ms);
  await client.convoy.idle();
};
type Delivery = {
  status: string;
  created_at: string;
  updated_at: string;
  metadata: { num_trials: number; next_send_time: string };
};
const deliveries = async () =>
  (await client.call<Paged<Delivery>>("GET", "/eventdeliveries?sort=ASC")).data.content;
const sends = async (id: string, keys: string[]) => {
  for (const key of keys) await client.event(id, key);
  await client.convoy.idle();
};

// Recorded: of six at two in 10 s, two came at once, two after 101 s, and two after 112 s.
test("what is over the limit waits for a retry's interval, then for the limit's duration", async () => {
  const id = await client.endpoint({ rate_limit: 2, rate_limit_duration: 10 });
  await sends(id, ["a", "b", "c", "d", "e", "f"]);
  expect(got).toHaveLength(2);
  await pass(INTERVAL_MS - 1);
  expect(got).toHaveLength(2);
  await pass(1);
  expect(got).toHaveLength(4);
  await pass(9_999);
  expect(got).toHaveLength(4);
  await pass(1);
  expect(got).toHaveLength(6);
});

test("a delivery that is held back stays Scheduled and unchanged, with a next_send_time in the past", async () => {
  const id = await client.endpoint({ rate_limit: 1, rate_limit_duration: 3_600 });
  await sends(id, ["a", "b"]);
  await pass(INTERVAL_MS * 3);
  const [sent, held] = await deliveries();
  expect(sent).toMatchObject({ status: "Success" });
  expect(held).toMatchObject({ status: "Scheduled", metadata: { num_trials: 0 } });
  expect(held?.updated_at).toBe(held?.created_at);
  expect(Date.parse(held!.metadata.next_send_time)).toBeLessThan(clock.now);
});

test("a retry counts against the limit, too, and waits for its duration", async () => {
  status = 500;
  const id = await client.endpoint({ rate_limit: 1, rate_limit_duration: 90 });
  await sends(id, ["a"]);
  status = 200;
  await pass(99_000);
  // The first is due in a second; this one takes its place.
  await sends(id, ["b"]);
  await pass(1_000);
  const statuses = async () => (await deliveries()).map((one) => one.status);
  expect(await statuses()).toEqual(["Retry", "Success"]);
  await pass(89_999);
  expect(await statuses()).toEqual(["Retry", "Success"]);
  await pass(1);
  expect(await statuses()).toEqual(["Success", "Success"]);
});

test("endpoints do not share their limits, and one without a limit has none", async () => {
  const limit = { rate_limit: 1, rate_limit_duration: 10 };
  const [one, other, free] = [
    await client.endpoint({ ...limit, url: "http://127.0.0.1:9/one" }),
    await client.endpoint({ ...limit, url: "http://127.0.0.1:9/other" }),
    await client.endpoint({ rate_limit: 5, url: "http://127.0.0.1:9/free" }),
  ];
  for (const id of [one, other, free])
    await sends(
      id,
      ["1", "2", "3"].map((key) => key + id),
    );
  expect(got.map(({ path }) => path).sort()).toEqual(["/free", "/free", "/free", "/one", "/other"]);
});

test("a limit refills evenly, up to its burst", () => {
  const at = { now: 0 };
  const { allow } = createRates(() => at.now);
  const take = (count: number) => Array.from({ length: count }, () => allow("k", 4, 8));
  expect(take(5)).toEqual([true, true, true, true, false]);
  at.now += 2_000;
  expect(take(2)).toEqual([true, false]);
  at.now += 100_000;
  expect(take(5)).toEqual([true, true, true, true, false]);
});
