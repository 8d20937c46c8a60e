/** Rotating a secret: the new one is returned once, and the old one still signs during the overlap. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { type Bindings, ROTATION_OVERLAP_H, ROTATION_OVERLAP_MAX_H } from "../../../src/config.ts";
import { failing, recording, withConvoy } from "../../support/operations.ts";
import {
  call,
  deliveries,
  foreignEndpoint,
  newEndpoint,
  newEnv,
  setFaults,
  state,
} from "../../support/worker.ts";

let env: Bindings;
let id: string;
let oldSecret: string;

beforeEach(async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  env = newEnv();
  const fields = { name: "e", url: "https://receiver.example/" };
  const made = await call(env, "POST", "/endpoint", fields);
  id = made.body["Endpoint ID"];
  oldSecret = made.body.secret;
});

const rotate = (body?: unknown, by = env) =>
  call(by, "POST", `/endpoint/${id}/rotate-secret`, body);

/** Convoy's advanced signature: hex of HMAC-SHA-256 over `t,body`. */
async function signatureOf(secret: string, time: string, body: string): Promise<string> {
  const bytes = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytes.encode(secret), algorithm, false, [
    "sign",
  ]);
  const made = await crypto.subtle.sign("HMAC", key, bytes.encode(`${time},${body}`));
  return [...new Uint8Array(made)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Publishes an event. @returns which of the secrets signed it, and how many signatures it has */
async function signersOf(secrets: Record<string, string>): Promise<[string[], number]> {
  await call(env, "POST", "/todo", { item: "x" });
  const { header, body } = await vi.waitFor(async () => {
    const last = (await deliveries(env)).at(-1);
    expect(last?.status).toBe("Success");
    return { header: last?.signature.header ?? "", body: last?.body ?? "" };
  });
  const parts = header.split(",").map((part) => part.split("="));
  const time = parts.find(([name]) => name === "t")?.[1] ?? "";
  const given = parts.filter(([name]) => name === "v1").map(([, hex]) => hex);
  const signers = [];
  for (const [name, secret] of Object.entries(secrets)) {
    if (given.includes(await signatureOf(secret, time, body))) signers.push(name);
  }
  return [signers, given.length];
}

test("without a body a new secret is made, and both sign", async () => {
  expect(await signersOf({ old: oldSecret })).toEqual([["old"], 1]);
  const reply = await rotate();
  expect(reply).toMatchObject({
    status: 200,
    body: {
      endpoint: { id, status: "active" },
      secret: expect.stringMatching(/^whsec_[\w-]{32}$/),
      overlap_hours: ROTATION_OVERLAP_H,
    },
  });
  const secrets = { old: oldSecret, new: reply.body.secret };
  expect(reply.body.secret).not.toBe(oldSecret);
  expect(await signersOf(secrets)).toEqual([["old", "new"], 2]);
});

test("two rotations make two secrets, and all three sign", async () => {
  const first = (await rotate()).body.secret;
  const second = (await rotate()).body.secret;
  expect(first).not.toBe(second);
  const signers = await signersOf({ old: oldSecret, first, second });
  expect(signers).toEqual([["old", "first", "second"], 3]);
});

test("the caller's own secret and overlap are passed on to Convoy", async () => {
  const bodies: unknown[] = [];
  const told = withConvoy(env, async (request) => {
    if (request.url.endsWith("/expire_secret")) bodies.push(await request.clone().json());
    return fetch(request);
  });
  const reply = await rotate({ secret: "my own", overlap_hours: 3 }, told);
  expect(reply.body).toMatchObject({ secret: "my own", overlap_hours: 3 });
  expect(bodies).toEqual([{ secret: "my own", expiration: 3 }]);
  expect(await signersOf({ old: oldSecret, new: "my own" })).toEqual([["old", "new"], 2]);
});

test("the secret is in no other answer, and nowhere in D1 or KV", async () => {
  const { secret } = (await rotate()).body;
  await call(env, "POST", "/todo", { item: "x" });
  const shown = [];
  for (const path of ["/endpoint", `/endpoint/${id}`, `/endpoint/${id}/delivery`, "/event"]) {
    shown.push((await call(env, "GET", path)).body);
  }
  shown.push(await state(env));
  for (const one of [secret, oldSecret]) expect(JSON.stringify(shown)).not.toContain(one);
});

describe("a bad body", () => {
  test.each<[body: unknown, path: string]>([
    [{ secret: "" }, "secret"],
    [{ secret: "a".repeat(256) }, "secret"],
    [{ secret: 7 }, "secret"],
    [{ overlap_hours: 0 }, "overlap_hours"],
    [{ overlap_hours: -1 }, "overlap_hours"],
    [{ overlap_hours: 1.5 }, "overlap_hours"],
    [{ overlap_hours: ROTATION_OVERLAP_MAX_H + 1 }, "overlap_hours"],
    [{ overlap_hours: "24" }, "overlap_hours"],
    [{ expiration: 1 }, ""],
    ["null", ""],
    ["[]", ""],
  ])("%j is a 400 and rotates nothing", async (body, path) => {
    const watched = recording(env);
    const reply = await rotate(body, watched.env);
    expect(reply).toMatchObject({ status: 400, body: { details: [{ path }] } });
    expect(watched.operations.filter(({ on }) => on === "Convoy")).toEqual([]);
  });

  test("that is not JSON is a 400, one without a JSON content type a 415", async () => {
    expect((await rotate("{")).status).toBe(400);
    const path = `/endpoint/${id}/rotate-secret`;
    expect((await call(env, "POST", path, "secret=x", { json: false })).status).toBe(415);
  });
});

test.each([
  ["that does not exist", async () => "none"],
  ["of another owner", () => foreignEndpoint(env)],
])("a rotation for an endpoint %s is a 404 without a call to Convoy", async (_, endpoint) => {
  const other = await endpoint();
  const watched = recording(env);
  const reply = await call(watched.env, "POST", `/endpoint/${other}/rotate-secret`);
  expect(reply).toMatchObject({ status: 404, body: { error: "Endpoint not found" } });
  expect(watched.operations.filter(({ on }) => on === "Convoy")).toEqual([]);
});

test("while Convoy is down it is a 503, and the old secret still signs", async () => {
  await setFaults(env, { status: 503 });
  const reply = await rotate();
  expect(reply.status).toBe(503);
  expect(reply.body.secret).toBeUndefined();
  await setFaults(env, {});
  expect(await signersOf({ old: oldSecret })).toEqual([["old"], 1]);
});

test("a rotation whose answer was lost can be repeated, and the old secret still signs", async () => {
  const isRotation = ({ what }: { what: string }) => what.endsWith("/expire_secret");
  const lost = failing(env, isRotation, { error: new TypeError("fetch failed"), done: true });
  expect((await rotate(undefined, lost)).status).toBe(503);
  const { secret } = (await rotate()).body;
  const [signers] = await signersOf({ old: oldSecret, new: secret });
  expect(signers).toEqual(["old", "new"]);
});

test("a paused endpoint's secret can be rotated", async () => {
  const paused = await newEndpoint(env);
  await call(env, "POST", `/endpoint/${paused}/pause`);
  const reply = await call(env, "POST", `/endpoint/${paused}/rotate-secret`, {});
  expect(reply).toMatchObject({ status: 200, body: { endpoint: { status: "paused" } } });
});
