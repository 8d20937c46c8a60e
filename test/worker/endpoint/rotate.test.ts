/** Rotating a secret: the new one is returned once, and the old one still signs during the overlap. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { sleep } from "../../../src/run.ts";
import type { Bindings } from "../../../src/settings.ts";
import { atConvoy, inConvoy, passTime, records } from "../../support/cut-worker.ts";
import { around, failing, type Operation, recording, refusalOf } from "../../support/operations.ts";
import { call, cron, deliveries, newEnv, state } from "../../support/worker.ts";

const URL_OF = "https://receiver.example/";

let env: Bindings;
let id: string;
let first: string;

beforeEach(async () => {
  for (const method of ["log", "warn", "error"] as const) {
    vi.spyOn(console, method).mockImplementation(() => {});
  }
  env = newEnv();
  const made = await call(env, "POST", "/endpoint", { name: "e", url: URL_OF });
  id = made.body["Endpoint ID"];
  first = made.body.secret;
});
afterEach(() => void vi.useRealTimers());

const rotate = (body?: unknown, by = env) =>
  call(by, "POST", `/endpoint/${id}/rotate-secret`, body);
const isRotation = ({ what }: Operation) => what.endsWith("/expire_secret");
const lost = (done: boolean) =>
  failing(env, isRotation, { error: new TypeError("fetch failed"), done });

/** Convoy's advanced signature: hex of HMAC-SHA-256 over `t,body`. */
async function signatureOf(secret: string, time: string, body: string): Promise<string> {
  const bytes = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const raw = bytes.encode(secret);
  const key = await crypto.subtle.importKey("raw", raw, algorithm, false, ["sign"]);
  const made = await crypto.subtle.sign("HMAC", key, bytes.encode(`${time},${body}`));
  return [...new Uint8Array(made)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Publishes an event. @returns whether each of the secrets signed it */
async function signs(...secrets: string[]): Promise<boolean[]> {
  const before = (await deliveries(env)).length;
  await call(env, "POST", "/todo", { item: "x" });
  const { header, body } = await vi.waitFor(async () => {
    const all = await deliveries(env);
    expect(all).toHaveLength(before + 1);
    expect(all.at(-1)?.status).toBe("Success");
    return { header: all.at(-1)?.signature.header ?? "", body: all.at(-1)?.body ?? "" };
  });
  const parts = header.split(",").map((part) => part.split("="));
  const time = parts.find(([name]) => name === "t")?.[1] ?? "";
  const given = parts.filter(([name]) => name === "v1").map(([, hex]) => hex);
  const made = await Promise.all(secrets.map((secret) => signatureOf(secret, time, body)));
  return made.map((hex) => given.includes(hex));
}

test("returns a new secret, which signs; the old one does, too", async () => {
  const { status, body } = await rotate();
  expect(status).toBe(200);
  expect(body).toEqual({
    endpoint: expect.objectContaining({ id, status: "active" }),
    secret: expect.stringMatching(/^whsec_.{20}/),
    overlap_hours: 24,
  });
  expect(await signs(first, body.secret)).toEqual([true, true]);
  expect(JSON.stringify(await state(env))).not.toContain(body.secret);
});

test("takes the caller's own secret and overlap", async () => {
  const { body } = await rotate({ secret: "mine", overlap_hours: 168 });
  expect(body).toMatchObject({ secret: "mine", overlap_hours: 168 });
  expect(await signs("mine")).toEqual([true]);
});

test.each([[null], ["null"], [" null\n"], [{}], [undefined], [""]])(
  "the body may be %j",
  async (body) => {
    expect((await rotate(body === null ? "null" : body)).status).toBe(200);
  },
);

test.each([{ overlap_hours: 0 }, { overlap_hours: 169 }, { secret: "" }, { other: 1 }])(
  "%j is a 400, without a call to Convoy",
  async (body) => {
    const watched = recording(env);
    expect((await rotate(body, watched.env)).status).toBe(400);
    expect(watched.operations.filter(({ on }) => on === "Convoy")).toEqual([]);
  },
);

test("of two at once one is refused: both callers can tell whose secret signs", async () => {
  vi.mocked(sleep).mockImplementation(() => new Promise((go) => setTimeout(go, 5)));
  const replies = await Promise.all([rotate({ secret: "one" }), rotate({ secret: "two" })]);
  expect(replies.map(({ status }) => status).sort()).toEqual([200, 409]);
  const won = replies.findIndex(({ status }) => status === 200);
  expect(await signs("one", "two")).toEqual([won === 0, won === 1]);
});

describe("if its answer is lost", () => {
  test.each([false, true])(
    "(done: %s) it is a 503; the caller asks again and has one that signs",
    async (done) => {
      const reply = await rotate(undefined, lost(done));
      expect(reply.status).toBe(503);
      // The first may still be carried out: nobody may rotate before that is over.
      expect((await rotate()).status).toBe(409);
      passTime(91_000);
      const again = await rotate();
      expect(again.status).toBe(200);
      expect(await signs(again.body.secret)).toEqual([true]);
    },
  );

  test("a proxy's 504 in its place is none: the first may still be carried out", async () => {
    const by = around(env, async (one, run) =>
      isRotation(one) ? new Response("<html>", { status: 504 }) : run(),
    );
    expect((await rotate(undefined, by)).status).toBe(503);
    expect((await rotate()).status).toBe(409);
    passTime(91_000);
    expect((await rotate()).status).toBe(200);
  });

  test("another change waits, and is made", async () => {
    await rotate(undefined, lost(true));
    expect((await call(env, "PUT", `/endpoint/${id}`, { name: "N" })).status).toBe(202);
    passTime(91_000);
    await cron(env);
    expect(await records(env)).toMatchObject([{ name: "N", due_at: null }]);
  });
});

test("is done though a change that was kept is refused", async () => {
  await call(
    failing(env, ({ on }) => on === "Convoy"),
    "PUT",
    `/endpoint/${id}`,
    { name: "N" },
  );
  const refusing = around(env, async (one, run) =>
    /^PUT \/endpoints\/\w+$/.test(one.what)
      ? refusalOf(400, "only https endpoints allowed")
      : run(),
  );
  const { status, body } = await rotate(undefined, refusing);
  expect(status).toBe(200);
  expect(await signs(body.secret)).toEqual([true]);
});

test("of an endpoint with masked credentials is done", async () => {
  const authentication = { type: "basic_auth", basic_auth: { username: "u", password: "p" } };
  await inConvoy(env, id, { authentication });
  expect((await rotate()).status).toBe(200);
  expect(await atConvoy(env, "GET", `/endpoints/${id}`)).toMatchObject({
    authentication: { type: "basic_auth" },
  });
});

test("of an endpoint that Convoy no longer has is a 409", async () => {
  await atConvoy(env, "DELETE", `/endpoints/${id}`);
  expect((await rotate()).status).toBe(409);
});
