/** Changing an endpoint: Convoy's own fields are kept, concurrent changes both stay, one that is gone is reported. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Bindings, CHANGE_LEASE_MS } from "../../../src/config.ts";
import { sleep } from "../../../src/run.ts";
import { atConvoy, passTime, records } from "../../support/cut-worker.ts";
import { confirm, delivered, publish } from "../../support/events.ts";
import { failing, type Operation, recording, withConvoy } from "../../support/operations.ts";
import { call, cron, newEndpoint, newEnv } from "../../support/worker.ts";

let env: Bindings;
let id: string;

beforeEach(async () => {
  for (const method of ["log", "warn", "error"] as const) {
    vi.spyOn(console, method).mockImplementation(() => {});
  }
  env = newEnv();
  id = await newEndpoint(env);
});
afterEach(() => void vi.useRealTimers());

const put = (body: object, by = env) => call(by, "PUT", `/endpoint/${id}`, body);
const there = () => atConvoy<Record<string, unknown>>(env, "GET", `/endpoints/${id}`);
const isPut = ({ on, what }: Operation) => on === "Convoy" && /^PUT \/endpoints\/\w+$/.test(what);

describe("PUT", () => {
  test("sends back what the dashboard set, which Convoy would otherwise clear", async () => {
    const set = {
      authentication: { type: "api_key", api_key: { header_name: "X-Key", header_value: "k" } },
      rate_limit: 5,
      rate_limit_duration: 60,
    };
    const { name, url } = await there();
    await atConvoy(env, "PUT", `/endpoints/${id}`, { name, url, ...set });
    expect((await put({ description: "changed" })).status).toBe(200);
    expect(await there()).toMatchObject({ ...set, description: "changed" });
  });

  test("sends back everything that Convoy's GET returns and its PUT accepts, and no secret", async () => {
    const has = {
      advanced_signatures: false,
      content_type: "application/x-www-form-urlencoded",
      slack_webhook_url: "https://slack.example/x",
      teams_webhook_url: "https://teams.example/x",
      support_email: "who@example.org",
      mtls_client_cert: { client_cert: "c", client_key: "k" },
      rate_limit: 3,
      rate_limit_duration: 9,
    };
    const sent: Record<string, unknown>[] = [];
    const rich = withConvoy(env, async (request) => {
      if (request.method === "PUT") sent.push((await request.clone().json()) as never);
      const response = await fetch(request);
      const body = (await response.json()) as { data: object };
      return Response.json({ ...body, data: { ...body.data, ...has } }, response);
    });
    expect((await put({ name: "new" }, rich)).status).toBe(200);
    expect(sent).toEqual([
      {
        ...has,
        name: "new",
        owner_id: "default",
        url: expect.any(String),
        description: "",
        http_timeout: 10,
      },
    ]);
  });

  test("keeps the dashboard's changes to fields that it does not set", async () => {
    await atConvoy(env, "PUT", `/endpoints/${id}`, {
      name: "theirs",
      url: "https://theirs.example/",
    });
    const reply = await put({ description: "ours" });
    expect(reply.body).toMatchObject({
      name: "theirs",
      url: "https://theirs.example/",
      description: "ours",
    });
  });

  test("two at once lose neither field, at Convoy or on record", async () => {
    vi.mocked(sleep).mockImplementation(() => new Promise((resolve) => setTimeout(resolve, 20)));
    const replies = await Promise.all([put({ name: "N" }), put({ description: "D" })]);
    expect(replies.map(({ status }) => status)).toEqual([200, 200]);
    const both = { name: "N", description: "D" };
    expect([await there(), (await records(env))[0]]).toMatchObject([both, both]);
  });

  test("is a 409 while another change is under way, but not after its lease", async () => {
    await env.DB.prepare("UPDATE endpoint SET due_at = ?")
      .bind(Date.now() + CHANGE_LEASE_MS)
      .run();
    expect(await put({ name: "N" })).toMatchObject({
      status: 409,
      body: { error: expect.stringMatching(/being changed/) },
    });
    passTime(CHANGE_LEASE_MS + 1);
    expect((await put({ name: "N" })).status).toBe(200);
  });

  test.each([
    ["before it arrived", false, "Receiver"],
    ["after it was done", true, "N"],
  ])(
    "whose answer was lost %s ends with the record matching what Convoy has",
    async (_, done, name) => {
      const lost = failing(env, isPut, { error: new TypeError("fetch failed"), done });
      expect((await put({ name: "N" }, lost)).status).toBe(503);
      await cron(env);
      expect([await there(), (await records(env))[0]]).toMatchObject([{ name }, { name }]);
      expect((await put({ description: "D" })).status).toBe(200);
    },
  );

  test("that Convoy refuses can be corrected at once", async () => {
    const url = "https://refused.example/";
    const refusing = withConvoy(env, (request) =>
      request.method === "PUT"
        ? Response.json({ status: false, message: "only https endpoints allowed" }, { status: 400 })
        : fetch(request),
    );
    expect((await put({ url }, refusing)).status).toBe(400);
    vi.mocked(sleep).mockClear();
    expect((await put({ url })).status).toBe(200);
    expect(sleep).not.toHaveBeenCalled();
  });
});

describe("for an endpoint that Convoy no longer has", () => {
  const calls: [what: string, run: () => Promise<{ status: number; body: unknown }>][] = [
    ["PUT", () => put({ name: "N" })],
    ["pause", () => call(env, "POST", `/endpoint/${id}/pause`)],
    ["activate", () => call(env, "POST", `/endpoint/${id}/activate`)],
    ["rotate-secret", () => call(env, "POST", `/endpoint/${id}/rotate-secret`, {})],
  ];
  test.each(calls)("%s is a 409 that says so, and the record becomes missing", async (_, run) => {
    await atConvoy(env, "DELETE", `/endpoints/${id}`);
    for (let i = 0; i < 2; i++) {
      const reply = await run();
      expect(reply).toMatchObject({
        status: 409,
        body: { error: expect.stringMatching(/^Convoy does not have this endpoint any more/) },
      });
      expect(await records(env)).toMatchObject([{ id, status: "missing" }]);
    }
    expect((await call(env, "DELETE", `/endpoint/${id}`)).status).toBe(200);
  });

  test.each(calls)("%s ends missing once Convoy has it again", async (what, run) => {
    await env.DB.prepare("UPDATE endpoint SET status = 'missing', updated_at = 0").run();
    expect((await run()).status).toBe(200);
    const status = what === "pause" ? "paused" : "active";
    expect(await records(env)).toMatchObject([{ id, status }]);
    await cron(env);
    expect(await records(env)).toMatchObject([{ id, status }]);
  });
});

describe("a missing record", () => {
  // The cron's look at its creation is over.
  beforeEach(() => cron(env));
  const markMissing = () => env.DB.prepare("UPDATE endpoint SET status = 'missing'").run();
  const asks = async () => {
    const watched = recording(env);
    await cron(watched.env);
    return watched.operations.filter(({ what }) => what === `GET /endpoints/${id}`).length;
  };

  test.each([
    ["sent to it alone", () => `?endpoint=${id}`],
    ["sent to all of its owner's endpoints", () => ""],
  ])("becomes active once Convoy lists an event %s", async (_, query) => {
    await markMissing();
    await publish(env, query());
    await confirm(env);
    await cron(env);
    expect(await records(env)).toMatchObject([{ id, status: "active", due_at: null }]);
  });

  test("stays missing if Convoy lists an event from before its removal, and is looked up once", async () => {
    await publish(env);
    await delivered(env, 1);
    await atConvoy(env, "DELETE", `/endpoints/${id}`);
    await markMissing();
    await confirm(env);
    expect([await asks(), await asks()]).toEqual([1, 0]);
    expect(await records(env)).toMatchObject([{ id, status: "missing", due_at: null }]);
  });
});

describe("a removal", () => {
  test("that was cut off after Convoy's part leaves a missing record, which can be removed", async () => {
    const cut = failing(env, ({ what }) => what.startsWith("DELETE FROM endpoint"), {});
    expect((await call(cut, "DELETE", `/endpoint/${id}`)).status).toBe(503);
    passTime(CHANGE_LEASE_MS + 1);
    await cron(env);
    expect(await records(env)).toMatchObject([{ id, status: "missing" }]);
    expect((await call(env, "DELETE", `/endpoint/${id}`)).status).toBe(200);
    expect(await records(env)).toEqual([]);
  });
});
