/** Convoy as the log's gateway: what its answers mean, and what proves nothing. */
import { describe, expect, test } from "vitest";
import { connect } from "../../../src/convoy/gateway.ts";
import { acceptance, refusalOf, withConvoy } from "../../support/operations.ts";
import { newEnv } from "../../support/worker.ts";

const KEY = "0193f0a0-0000-7000-8000-000000000000.e1";

/** The gateway over a Convoy that gives these answers by path below the project, and what it was asked. */
function over(answers: Record<string, () => Response>) {
  const asked: URL[] = [];
  const env = withConvoy(newEnv(), (request) => {
    const url = new URL(request.url);
    asked.push(url);
    const path = url.pathname.replace(/^.*\/projects\/[^/]+/, "");
    return answers[path]?.() ?? refusalOf(404, "not found");
  });
  return { gateway: connect(env), asked };
}

function pageOf(content: unknown[], next: string | null = null): Response {
  const pagination = { has_next_page: next !== null, next_page_cursor: next ?? "" };
  return acceptance({ content, pagination }, 200);
}

const ITEM = {
  uid: "d1",
  project_id: "local",
  endpoint_id: "e1",
  endpoint_metadata: { status: "active" },
  idempotency_key: KEY,
  status: "Success",
  metadata: { num_trials: 2, next_send_time: "2026-11-24T12:05:00Z" },
  created_at: "2026-11-24T12:00:00.5Z",
  updated_at: "2026-11-24T12:00:01Z",
};
const DELIVERY = {
  ...{ id: "d1", key: KEY, endpointId: "e1", progress: "success", attempts: 2, nextTryAt: null },
  createdAt: Date.UTC(2026, 10, 24, 12, 0, 0, 500),
  updatedAt: Date.UTC(2026, 10, 24, 12, 0, 1),
  endpointActive: true,
};
const WINDOW = { fromMs: 1_000, toMs: 2_001, cursor: null, limit: 100 };

describe("a post", () => {
  test.each<[what: string, answer: () => Response, means: object]>([
    ["201", () => acceptance(), { kind: "accepted" }],
    ["413", () => refusalOf(413, ""), { kind: "too large" }],
    [
      "404, as with Postgres down",
      () => refusalOf(404, "Resource not found"),
      { kind: "unknown endpoint" },
    ],
    [
      "400 endpoint not found",
      () => refusalOf(400, "endpoint not found"),
      { kind: "unknown endpoint" },
    ],
    ["404", () => new Response("404 page not found", { status: 404 }), { kind: "failed" }],
    ["400", () => refusalOf(400, "redis"), { kind: "failed", throttled: false }],
    ["401", () => refusalOf(401, ""), { kind: "failed", throttled: false }],
    ["500", () => refusalOf(500, ""), { kind: "failed", retryAfterMs: null }],
    [
      "429",
      () => refusalOf(429, "", { "Retry-After": "7" }),
      { kind: "failed", throttled: true, retryAfterMs: 7_000 },
    ],
    ["a web page with 200", () => new Response("<html>"), { kind: "failed" }],
  ])("answered with %s", async (_, answer, means) => {
    const { gateway } = over({ "/events": answer });
    const post = { key: KEY, endpointId: "e1", type: "created", body: {} };
    expect(await gateway.post(post)).toMatchObject(means);
  });

  test("that this invocation may not make was not sent", async () => {
    const env = withConvoy(newEnv(), () => {
      throw new Error("Too many subrequests by single Worker invocation.");
    });
    const post = { key: KEY, endpointId: "e1", type: "created", body: {} };
    expect(await connect(env).post(post)).toMatchObject({ kind: "not sent" });
  });
});

describe("the list", () => {
  test("is asked for from the first to the last second, oldest first, for the endpoints that are named", async () => {
    const { gateway, asked } = over({ "/eventdeliveries": () => pageOf([ITEM], "c2") });
    const listed = await gateway.list({ ...WINDOW, cursor: "c1", endpointIds: ["e1", "e2"] });
    expect(listed).toEqual({ kind: "page", deliveries: [DELIVERY], next: "c2" });
    expect([...(asked[0]?.searchParams ?? [])]).toEqual([
      ...[
        ["perPage", "100"],
        ["direction", "next"],
        ["next_page_cursor", "c1"],
        ["sort", "ASC"],
      ],
      ...[
        ["endpointId", "e1"],
        ["endpointId", "e2"],
      ],
      ["startDate", "1970-01-01T00:00:01"],
      ["endDate", "1970-01-01T00:00:03"],
    ]);
  });

  test.each([
    ["Success", "success"],
    ["Failure", "failure"],
    ["Discarded", "discarded"],
    ["Scheduled", "unfinished"],
    ["Processing", "unfinished"],
    ["Retry", "unfinished"],
  ])("%s is %s", async (status, progress) => {
    const { gateway } = over({ "/eventdeliveries": () => pageOf([{ ...ITEM, status }]) });
    const nextTryAt = status === "Retry" ? Date.UTC(2026, 10, 24, 12, 5) : null;
    expect(await gateway.list(WINDOW)).toMatchObject({ deliveries: [{ progress, nextTryAt }] });
  });

  test.each([
    [{ status: "paused" }, false],
    [{ status: "inactive" }, false],
    [{ status: "active" }, true],
    [{}, null],
    [null, null],
  ])("an endpoint with %j is active: %s", async (endpoint_metadata, endpointActive) => {
    const { gateway } = over({
      "/eventdeliveries": () => pageOf([{ ...ITEM, endpoint_metadata }]),
    });
    expect(await gateway.list(WINDOW)).toMatchObject({ deliveries: [{ endpointActive }] });
  });

  test("items that lack what a delivery has are passed over", async () => {
    const lacking = [
      ...["uid", "idempotency_key", "endpoint_id", "created_at", "updated_at"].map((name) => ({
        ...ITEM,
        [name]: undefined,
      })),
      { ...ITEM, status: "Unheard of" },
      { ...ITEM, status: "constructor" },
    ];
    const { gateway } = over({ "/eventdeliveries": () => pageOf([...lacking, ITEM]) });
    expect(await gateway.list(WINDOW)).toMatchObject({ kind: "page", deliveries: [DELIVERY] });
  });

  test.each<[what: string, answer: () => Response, kind: string]>([
    ["a wrong key", () => refusalOf(401, ""), "silent"],
    ["a forbidden one", () => refusalOf(403, ""), "silent"],
    ["a limit", () => refusalOf(429, ""), "silent"],
    ["another project", () => pageOf([{ ...ITEM, project_id: "other" }]), "silent"],
    [
      "no connection",
      () => {
        throw new TypeError("fetch failed");
      },
      "silent",
    ],
    // A page that is too slow each time must not stop the walk for ever: a smaller one may do.
    [
      "a timeout",
      () => {
        throw new DOMException("", "TimeoutError");
      },
      "unreadable",
    ],
    ["an error", () => refusalOf(500, ""), "unreadable"],
    ["something that is no page", () => acceptance({ content: [] }, 200), "unreadable"],
  ])("answered with %s is no page", async (_, answer, kind) => {
    const { gateway } = over({ "/eventdeliveries": answer });
    expect(await gateway.list(WINDOW)).toEqual({ kind, error: expect.any(String) });
  });
});

describe("to find a key", () => {
  const NO_EVENT = () => refusalOf(400, "event not found");
  const event = (fields: object) => ({
    ...{ project_id: "local", idempotency_key: KEY, is_duplicate_event: false, status: "Success" },
    ...fields,
  });

  test("the best of several subscriptions' deliveries counts", async () => {
    const items = ["Discarded", "Failure", "Success", "Retry"].map((status, n) => ({
      ...ITEM,
      uid: `d${n}`,
      status,
    }));
    const { gateway, asked } = over({ "/eventdeliveries": () => pageOf(items) });
    expect(await gateway.find(KEY, "e1")).toMatchObject({
      kind: "delivery",
      delivery: { id: "d2", progress: "success" },
    });
    expect(asked[0]?.searchParams.get("idempotencyKey")).toBe(KEY);
  });

  test.each<[what: string, answers: Record<string, () => Response>, kind: string]>([
    ["Convoy says that it has no such event", { "/eventdeliveries": NO_EVENT }, "none"],
    [
      "it has neither",
      { "/eventdeliveries": () => pageOf([]), "/events": () => pageOf([]) },
      "none",
    ],
    [
      "it has the event, and no delivery yet",
      { "/eventdeliveries": () => pageOf([]), "/events": () => pageOf([event({})]) },
      "queued",
    ],
    [
      "it delivers the event to nobody",
      {
        "/eventdeliveries": () => pageOf([]),
        "/events": () => pageOf([event({ status: "Failure" })]),
      },
      "unsubscribed",
    ],
    [
      "only a repeat is listed",
      {
        "/eventdeliveries": () => pageOf([]),
        "/events": () => pageOf([event({ is_duplicate_event: true })]),
      },
      "none",
    ],
    ["it does not answer", { "/eventdeliveries": () => refusalOf(500, "") }, "silent"],
    [
      "it shows another project's",
      { "/eventdeliveries": () => pageOf([{ ...ITEM, project_id: "other" }]) },
      "silent",
    ],
    [
      "it shows another key's, as one that ignores the filter does",
      { "/eventdeliveries": () => pageOf([{ ...ITEM, idempotency_key: `${KEY}.1` }]) },
      "silent",
    ],
    [
      "it shows another endpoint's",
      { "/eventdeliveries": () => pageOf([{ ...ITEM, endpoint_id: "e2" }]) },
      "silent",
    ],
    [
      "it shows another key's event",
      {
        "/eventdeliveries": () => pageOf([]),
        "/events": () => pageOf([event({ idempotency_key: "x" })]),
      },
      "silent",
    ],
    [
      "it shows another project's event",
      {
        "/eventdeliveries": () => pageOf([]),
        "/events": () => pageOf([event({ project_id: "other" })]),
      },
      "silent",
    ],
    [
      "it does not answer for the event",
      { "/eventdeliveries": () => pageOf([]), "/events": () => refusalOf(500, "") },
      "silent",
    ],
  ])("%s", async (_, answers, kind) => {
    expect(await over(answers).gateway.find(KEY, "e1")).toMatchObject({ kind });
  });
});

describe("attempts", () => {
  const MADE = {
    http_status: "500 Internal Server Error",
    response_data: "x".repeat(20_000),
    error: "",
    requested_at: "2026-11-24T12:00:01Z",
    responded_at: "2026-11-24T12:00:01.250Z",
    request_http_header: {
      "Content-Type": "application/json",
      "X-Convoy-Signature": "t=1,v1=ab",
      "X-Api-Key": "do-not-show",
      Authorization: "do-not-show",
    },
    response_http_header: { Server: "nginx" },
  };

  test("are oldest first, with the receiver's answer, and no secret of a request", async () => {
    const silent = { error: "connection refused", requested_at: "2026-11-24T12:00:00Z" };
    const { gateway } = over({
      "/eventdeliveries/d1/deliveryattempts": () => acceptance([MADE, silent], 200),
    });
    const answer = await gateway.attempts("d1");
    expect(answer).toEqual({
      kind: "attempts",
      attempts: [
        {
          ...{ at: silent.requested_at, took_ms: null, http_status: null, response: null },
          ...{ error: "connection refused", request_headers: {}, response_headers: {} },
        },
        {
          ...{ at: MADE.requested_at, took_ms: 250, http_status: 500 },
          ...{ response: "x".repeat(10_000), error: null },
          request_headers: {
            "Content-Type": "application/json",
            "X-Convoy-Signature": "t=1,v1=ab",
            "X-Api-Key": "[hidden]",
            Authorization: "[hidden]",
          },
          response_headers: { Server: "nginx" },
        },
      ],
    });
    expect(JSON.stringify(answer)).not.toContain("do-not-show");
  });

  test.each<[what: string, data: unknown, answer: object]>([
    ["text", "x", { kind: "silent" }],
    ["a page", { content: [] }, { kind: "silent" }],
    ["no tries", [null, "x", {}, { requested_at: 5 }], { kind: "attempts", attempts: [] }],
    [
      "odd ones",
      [{ requested_at: "2026-11-24T12:00:00Z", http_status: 500, response_data: {}, error: [] }],
      { attempts: [{ http_status: 500, response: null, error: null, request_headers: {} }] },
    ],
  ])("%s: what they say is shown, and nothing breaks", async (_, data, answer) => {
    const { gateway } = over({
      "/eventdeliveries/d1/deliveryattempts": () => acceptance(data, 200),
    });
    expect(await gateway.attempts("d1")).toMatchObject(answer);
  });

  test("none are none, and no answer says why", async () => {
    const none = over({ "/eventdeliveries/d1/deliveryattempts": () => acceptance(null, 200) });
    expect(await none.gateway.attempts("d1")).toEqual({ kind: "attempts", attempts: [] });
    const silent = over({ "/eventdeliveries/d1/deliveryattempts": () => refusalOf(500, "") });
    expect(await silent.gateway.attempts("d1")).toMatchObject({ kind: "silent" });
  });
});
