/** POST /portal-link: Convoy's own dashboard, for one owner's endpoints. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { acceptance, refusalOf, withConvoy } from "../support/operations.ts";
import { call, newEnv } from "../support/worker.ts";

beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => {}));

const ask = (env = newEnv()) => call(env, "POST", "/portal-link");
/** A Convoy with a licence: the local one with its portal on, at a host of this name. */
const licensed = () => {
  const url = `http://${crypto.randomUUID()}.licensed.convoy.test/api`;
  return newEnv({ CONVOY_BASE_URL: url });
};

test("gives a link that is the owner's", async () => {
  const reply = await ask(licensed());
  expect(reply).toMatchObject({ status: 201, body: { url: expect.stringMatching(/^http/) } });
  expect(Object.keys(reply.body)).toEqual(["url"]);
  expect(new URL(reply.body.url).searchParams.get("owner_id")).toBe("default");
});

test("asks Convoy for this owner and no other, with the right to manage endpoints", async () => {
  const asked: { url: string; method: string; body: unknown }[] = [];
  const env = withConvoy(newEnv(), async (request) => {
    asked.push({ url: request.url, method: request.method, body: await request.json() });
    return acceptance({ uid: "1", url: "https://convoy.test/portal?token=t", owner_id: "default" });
  });
  expect((await ask(env)).body).toEqual({ url: "https://convoy.test/portal?token=t" });
  expect(asked).toEqual([
    {
      url: expect.stringMatching(/\/v1\/projects\/local\/portal-links$/),
      method: "POST",
      body: {
        name: "Webhooks of default",
        owner_id: "default",
        auth_type: "static_token",
        can_manage_endpoint: true,
      },
    },
  ]);
});

test("of a Convoy without a licence is a 502 that says what is wrong and what to do instead", async () => {
  const reply = await ask();
  expect(reply).toMatchObject({
    status: 502,
    body: { error: expect.stringMatching(/Access denied.*licence.*\/endpoint/) },
  });
});

describe("where Convoy does not give one", () => {
  test.each([
    [401, "authorization failed", 502, /CONVOY_API_KEY/],
    [403, "forbidden", 502, /CONVOY_API_KEY/],
    [400, "owner_id is too long", 502, /Convoy answered 400/],
    [404, "project not found", 502, /Convoy answered 404/],
    [429, "slow down", 503, /Try again/],
    [500, "pq: password of user x", 503, /Convoy answered 500/],
  ])("its %d %j is a %d", async (status, message, expected, error) => {
    const reply = await ask(withConvoy(newEnv(), () => refusalOf(status, message)));
    expect(reply).toMatchObject({
      status: expected,
      body: { error: expect.stringMatching(error) },
    });
    expect(reply.body.error).not.toContain("password");
    if (expected === 503) expect(reply.headers.get("Retry-After")).toMatch(/^\d+$/);
  });

  test("its silence is a 503", async () => {
    const lost = () => Promise.reject(new TypeError("fetch failed"));
    expect(await ask(withConvoy(newEnv(), lost))).toMatchObject({
      status: 503,
      body: { error: expect.stringMatching(/not reachable/) },
    });
  });

  test.each([[null], [{}], [{ url: "" }], [{ url: 7 }]])(
    "its success without a link (%j) is a 502",
    async (data) => {
      const reply = await ask(withConvoy(newEnv(), () => acceptance(data)));
      expect(reply).toMatchObject({ status: 502, body: { error: expect.stringMatching(/link/) } });
    },
  );
});

test("without a key it is a 503 that says what to set", async () => {
  const reply = await ask({ ...newEnv(), CONVOY_API_KEY: "" });
  expect(reply).toMatchObject({
    status: 503,
    body: { error: expect.stringMatching(/CONVOY_API_KEY not set/) },
  });
});
