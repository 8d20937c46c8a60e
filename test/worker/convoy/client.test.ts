/** A call to Convoy's API: what is sent, what counts as an answer, and when it times out. */
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  type Convoy,
  call,
  convoyOf,
  convoyTime,
  list,
  mendableReason,
  shownReason,
} from "../../../src/convoy/client.ts";
import { postEvent } from "../../../src/convoy/events.ts";
import { acceptance, refusalOf } from "../../support/operations.ts";
import { newEnv } from "../../support/worker.ts";

/** A Convoy that gives this answer, and the requests it got. */
function fake(answer: (request: Request) => Response | Promise<Response>) {
  const requests: Request[] = [];
  const convoy: Convoy = {
    ...convoyOf(
      newEnv({ CONVOY_PROJECT_ID: "my/project", CONVOY_BASE_URL: "https://c.test/api/" }),
    ),
    send: async (request) => {
      requests.push(request);
      return answer(request);
    },
  };
  return { convoy, requests };
}

afterEach(() => {
  vi.useRealTimers();
});

test("a call carries key, version and minified JSON, and follows no redirect", async () => {
  const { convoy, requests } = fake(() => acceptance());
  const event = { key: "k", type: "created", endpointId: "e", data: { a: [1, 2] } };
  expect(await postEvent(convoy, event)).toMatchObject({ ok: true, status: 201 });
  const [request] = requests;
  expect(request?.url).toBe("https://c.test/api/v1/projects/my%2Fproject/events");
  expect(Object.fromEntries(request?.headers ?? [])).toEqual({
    authorization: "Bearer local",
    "content-type": "application/json",
    "x-convoy-version": "2025-11-24",
  });
  expect(request?.redirect).toBe("manual");
  expect(await request?.text()).toBe(
    '{"endpoint_id":"e","event_type":"created","idempotency_key":"k","data":{"a":[1,2]}}',
  );
});

test("the default base URL is Convoy Cloud's, and trailing slashes are removed", () => {
  const { CONVOY_BASE_URL: _, ...env } = newEnv();
  expect(convoyOf(env).baseUrl).toBe("https://us.getconvoy.cloud/api");
  const slashes = { ...env, CONVOY_BASE_URL: "http://c.test/api//" };
  expect(convoyOf(slashes).baseUrl).toBe("http://c.test/api");
});

describe("what Convoy answers", () => {
  test.each([
    ["text that is not JSON", new Response("ok"), 200],
    ["JSON without an envelope", new Response("[]"), 200],
    ["null", new Response("null"), 200],
    ["an empty 204", new Response(null, { status: 204 }), 204],
    ["an envelope that says false", refusalOf(200, "no"), 200],
    [
      "a message that is not a string",
      Response.json({ status: false, message: {} }, { status: 500 }),
      500,
    ],
  ])("%s is not a success", async (_, response, status) => {
    const { convoy } = fake(() => response);
    expect(await call(convoy, "/x")).toMatchObject({ ok: false, status });
  });

  test.each([
    ["a web page", new Response("<html>Sign in</html>"), /no Convoy.* answered 200.*\/api/],
    ["a plain 404", new Response("404 page not found", { status: 404 }), /no Convoy.*404/],
    ["another API", Response.json({ status: "ok" }), /no Convoy.*200/],
    ["a firewall", new Response("blocked", { status: 403 }), /no Convoy, or something.*403/],
    ["a redirect", Response.redirect("https://c.test/login", 302), /no Convoy.*302/],
    ["a proxy", new Response("<html>Bad gateway", { status: 502 }), /^Convoy answered 502$/],
    ["a proxy's limit", new Response("slow down", { status: 429 }), /^Convoy answered 429$/],
    ["Convoy", refusalOf(404, "endpoint not found"), /^Convoy answered 404: endpoint not found$/],
  ])("%s is called what it is", async (_, response, says) => {
    const answer = await call(fake(() => response).convoy, "/x");
    expect(answer.ok).toBe(false);
    if (!answer.ok) expect(shownReason(answer)).toMatch(says);
  });

  test("a body that is cut short is no answer", async () => {
    const broken = new ReadableStream({
      start: (controller) => controller.error(new Error("reset")),
    });
    const { convoy } = fake(() => new Response(broken, { status: 201 }));
    expect(await call(convoy, "/x")).toMatchObject({ ok: false, status: null });
  });

  test("a list given as null is empty, and without has_next_page there is no next page", async () => {
    const pagination = { has_next_page: false, next_page_cursor: "x" };
    const { convoy } = fake(() => acceptance({ content: null, pagination }, 200));
    expect(await list(convoy, "/x", {})).toMatchObject({ data: { items: [], next: null } });
  });
});

test("a call without an answer times out, and its request is aborted", async () => {
  vi.useFakeTimers();
  const { convoy, requests } = fake(
    (request) =>
      new Promise((_, reject) => {
        request.signal.addEventListener("abort", () => reject(request.signal.reason));
      }),
  );
  const event = { key: "k", type: "ping", endpointId: "e", data: {} };
  let answer: unknown;
  const posted = postEvent(convoy, event).then((given) => {
    answer = given;
  });
  await vi.advanceTimersByTimeAsync(4_999);
  expect(answer).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1);
  await posted;
  expect(answer).toMatchObject({ ok: false, status: null, message: "TimeoutError" });
  expect(requests[0]?.signal.aborted).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});

test("an answer in time leaves no timer behind", async () => {
  vi.useFakeTimers();
  const { convoy } = fake(() => acceptance());
  await call(convoy, "/x");
  expect(vi.getTimerCount()).toBe(0);
});

test("times are formatted for Convoy's filters: whole seconds, UTC, no zone", () => {
  expect(convoyTime(Date.UTC(2026, 10, 24, 9, 8, 7, 654))).toBe("2026-11-24T09:08:07");
});

describe("which of Convoy's messages are shown", () => {
  const failed = (status: number | null, message: string) =>
    ({ ok: false, status, message, retryAfterMs: null }) as const;
  test.each([
    [400, "endpoint not found", "Convoy answered 400: endpoint not found"],
    [401, "authorization failed", "Convoy answered 401: authorization failed"],
    [400, "dial tcp 127.0.0.1:6379: connect: connection refused", "Convoy answered 400"],
    [400, "endpoint not found\nuser=convoy", "Convoy answered 400"],
    [500, "", "Convoy answered 500"],
    [null, "TimeoutError", "Convoy did not answer in time"],
    [null, "TypeError", "Convoy not reachable"],
  ])("%s %j", (status, message, shown) => {
    expect(shownReason(failed(status, message))).toBe(shown);
  });

  test.each([
    [400, "endpoint url must be a valid url", true],
    [
      400,
      "name:please provide your endpointName, url:please provide a url for your endpoint",
      true,
    ],
    [400, "failed to ping tls endpoint: x", true],
    [500, "endpoint url must be a valid url", false],
    [400, "endpoint not found", false],
    [400, "endpoint url must be 10.0.0.1", false],
  ])("%s %j can be fixed by the caller: %s", (status, message, mendable) => {
    expect(mendableReason(failed(status, message)) !== null).toBe(mendable);
  });
});
