// What the example receiver answers to a webhook, and what it then knows.
import { beforeEach, describe, expect, test, vi } from "vitest";
import worker from "../../examples/receiver/index.ts";
import { type Receiver, SECRET, startReceiver, type Webhook } from "../support/receiver.ts";
import { advanced, sign } from "../support/sign.ts";

let receiver: Receiver;
beforeEach(() => {
  vi.restoreAllMocks();
  receiver = startReceiver();
});

/** A webhook of todo 1, sequence 12, with these fields replaced. */
function webhook(fields: Partial<Webhook> = {}): Webhook {
  return {
    event: "created",
    description: "Todo created successfully",
    event_id: "0199c2f4-0000-7000-8000-000000000001",
    sequence: 12,
    occurred_at: "2026-11-24T12:00:00.000Z",
    todo: { id: 1, item: "Buy milk", completed: false },
    ...fields,
  };
}

const result = async (answer: Response) => [answer.status, await answer.json()];

describe("a change", () => {
  test("is in the copy once it is answered", async () => {
    expect(await result(await receiver.post(webhook()))).toEqual([200, { result: "applied" }]);
    expect(await receiver.list()).toEqual([{ id: 1, item: "Buy milk", completed: false }]);
  });

  test("that arrives again with another idempotency key is dropped by its event_id", async () => {
    await receiver.post(webhook(), { "X-Convoy-Idempotency-Key": "a" });
    const again = webhook({ sequence: 99, todo: { id: 1, item: "other", completed: true } });
    const answer = await receiver.post(again, { "X-Convoy-Idempotency-Key": "a:1" });
    expect(await result(answer)).toEqual([200, { result: "repeat" }]);
    expect(await receiver.list()).toEqual([{ id: 1, item: "Buy milk", completed: false }]);
  });

  test("that arrives after a later one of the same todo changes nothing", async () => {
    await receiver.post(webhook({ event: "updated", event_id: "b", sequence: 13 }));
    const late = webhook({ event_id: "a", todo: { id: 1, item: "old", completed: false } });
    expect(await result(await receiver.post(late))).toEqual([200, { result: "late" }]);
    expect((await receiver.list())[0]?.item).toBe("Buy milk");
  });

  test("keeps unknown fields of a todo, and any text", async () => {
    const item = "<b>\"é中\u2028\ud800😀' -- \0";
    const body = { ...webhook(), todo: { id: 1, item, completed: true, due: null } };
    await receiver.post(body);
    expect(await receiver.list()).toEqual([{ id: 1, item, completed: true, due: null }]);
  });

  test("is a 503 when the database fails, and Convoy's next try applies it", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { double } = receiver;
    receiver.env.DB = double.view(async () => {
      throw new Error("Network connection lost.");
    });
    const failed = await receiver.post(webhook());
    expect(failed.status).toBe(503);
    expect(failed.headers.get("Retry-After")).toBe("60");
    await failed.body?.cancel();
    receiver.env.DB = double.db;
    expect(await result(await receiver.post(webhook()))).toEqual([200, { result: "applied" }]);
  });
});

test.each<[string, object]>([
  ["ping", webhook({ event: "ping" })],
  ["retrieved", { ...webhook({ event: "retrieved" }), sequence: undefined }],
  ["failure of a change", webhook({ event: "failure", todo: { id: 1 } })],
  ["failure of a read", { ...webhook({ event: "failure" }), sequence: undefined }],
  ["a future type", webhook({ event: "archived" })],
  ["a change without sequence", { ...webhook(), sequence: undefined }],
  ["a test", { ...webhook(), sequence: undefined, test: true }],
  ["a test, whatever else it says", { ...webhook({ sequence: 99 }), test: true }],
])("what does not change the list is a 200 with a body: %s", async (_name, body) => {
  await receiver.post(webhook({ event_id: "first", sequence: 1 }));
  const before = await receiver.list();
  expect(await result(await receiver.post(body))).toEqual([200, { result: "ignored" }]);
  expect(await receiver.list()).toEqual(before);
});

describe("a signature", () => {
  const body = JSON.stringify(webhook());
  const hourAgo = Math.floor(Date.now() / 1_000) - 3_600;

  test.each<[string, Record<string, string>]>([
    ["missing", {}],
    ["made with another secret", { "X-Convoy-Signature": advanced(["other"], body) }],
    ["made over other bytes", { "X-Convoy-Signature": advanced([SECRET], `${body} `) }],
    ["from an hour ago", { "X-Convoy-Signature": advanced([SECRET], body, hourAgo) }],
    ["simple", { "X-Convoy-Signature": sign(SECRET, body) }],
  ])("that is %s is a 401 and changes nothing", async (_name, headers) => {
    const answer = await receiver.request("/", { method: "POST", headers, body });
    expect(answer.status).toBe(401);
    expect(await answer.json()).toHaveProperty("error");
    expect(await receiver.list()).toEqual([]);
  });

  test("made with the old secret alone is accepted while WEBHOOK_SECRET_OLD has it", async () => {
    const headers = { "X-Convoy-Signature": advanced(["before"], body) };
    expect((await receiver.post(body, headers)).status).toBe(401);
    receiver.env.WEBHOOK_SECRET_OLD = "before";
    expect((await receiver.post(body, headers)).status).toBe(200);
  });

  test("is a 503 that names the setting if there is no secret to check it with", async () => {
    receiver.env.WEBHOOK_SECRET = "";
    const answer = await receiver.post(body, { "X-Convoy-Signature": advanced([""], body) });
    expect(await result(answer)).toEqual([503, { error: "WEBHOOK_SECRET is not set" }]);
  });
});

test.each<[string, unknown]>([
  ["text that is not JSON", "{"],
  ["null", "null"],
  ["an array", "[]"],
  ["an event that is not a string", { event: 1 }],
  ["an empty event_id", webhook({ event_id: "" })],
  ["a sequence that is a string", { ...webhook(), sequence: "12" }],
  ["a sequence past 2^53", webhook({ sequence: 2 ** 60 })],
  ["a todo without item", webhook({ todo: { id: 1, completed: true } })],
  ["a todo with a string as id", { ...webhook(), todo: { id: "1", item: "x", completed: true } }],
  ["a deleted todo without id", { ...webhook({ event: "deleted" }), todo: {} }],
])("a signed body is a 400 and changes nothing: %s", async (_name, body) => {
  const answer = await receiver.post(body);
  expect(answer.status).toBe(400);
  expect(await answer.json()).toHaveProperty("error");
  expect(receiver.double.sqlite.prepare("SELECT count(*) n FROM seen").get()).toEqual({ n: 0 });
});

test("a body of more than 64 KiB is a 413", async () => {
  const answer = await receiver.post(webhook({ description: "x".repeat(70_000) }));
  expect(answer.status).toBe(413);
});

test("the page shows the list, with items as text, never as markup", async () => {
  await receiver.post(
    webhook({ todo: { id: 1, item: "<script>alert(1)</script>", completed: true } }),
  );
  const page = await receiver.request("/");
  const text = await page.text();
  expect(text).toContain("☑ 1: &lt;script&gt;alert(1)&lt;/script&gt;");
  expect(text).not.toContain("<script>");
  expect(page.headers.get("Content-Security-Policy")).toBe("default-src 'none'");
});

test.each([
  ["GET", "/nope", 404],
  ["DELETE", "/", 405],
])("%s %s is a %i", async (method, url, status) => {
  const answer = await receiver.request(url, { method });
  expect(answer.status).toBe(status);
  await answer.body?.cancel();
});

test("a database without tables is a 503 that says what to do", async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  receiver.double.sqlite.exec("DROP TABLE seen");
  expect(await result(await receiver.post(webhook()))).toEqual([
    503,
    { error: "the database has no tables: apply the migrations" },
  ]);
});

test("the daily clean-up forgets event ids older than 30 days, and a repeat is then late", async () => {
  await receiver.post(webhook());
  receiver.double.sqlite.exec("UPDATE seen SET seen_at = seen_at - 31 * 86400000");
  await receiver.post(webhook({ event: "updated", event_id: "b", sequence: 13 }));
  await worker.scheduled({} as ScheduledController, receiver.env);
  expect(receiver.double.sqlite.prepare("SELECT event_id FROM seen").all()).toEqual([
    { event_id: "b" },
  ]);
  expect(await result(await receiver.post(webhook()))).toEqual([200, { result: "late" }]);
});
