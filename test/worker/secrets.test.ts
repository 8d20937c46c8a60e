/** What no answer and no log line may contain: keys, secrets, tokens, stacks, queries. */
import { afterAll, beforeEach, expect, test, vi } from "vitest";
import { app } from "../../src/app.ts";
import type { Bindings } from "../../src/settings.ts";
import { delivered } from "../support/events.ts";
import { around } from "../support/operations.ts";
import { as } from "../support/token.ts";
import { call, cron, newEndpoint, newEnv, setFaults, state } from "../support/worker.ts";

/** Every secret of the run; none is part of a word that may be shown. */
const SECRETS = {
  CONVOY_API_KEY: "key-3f9a1c77e2",
  AUTH_SECRET: "auth-5b2d8e41aa-5b2d8e41aa-5b2d8e41aa",
  endpoint: "whsec-7c1e90d3bb",
  rotated: "whsec-a84f26c0dd",
  header: "header-e2b7f0916c",
};
const lines: string[] = [];
let seen = 0;
const { info } = console;
afterAll(() => info(`answers and log lines searched for secrets and stacks: ${seen}`));
beforeEach(() => {
  lines.length = 0;
  for (const level of ["log", "info", "warn", "error", "debug"] as const) {
    vi.spyOn(console, level).mockImplementation((...said) => {
      lines.push(said.map(text).join(" "));
    });
  }
});

function text(value: unknown): string {
  if (value instanceof Error) return String(value.stack);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function expectClean(what: string, written: string) {
  seen++;
  for (const [name, secret] of Object.entries(SECRETS)) {
    expect(written.includes(secret), `${what} shows ${name}: ${written}`).toBe(false);
  }
  expect(written, what).not.toMatch(/(\n|\\n)\s+at |\.[jt]s:\d+|\b(SELECT|INSERT|UPDATE) \w/);
}

const UNKNOWN = ["missing", "%00", "'", "a".repeat(300)];

/** The ids of what there is. */
const known = ({ id, delivery }: Made) => [id, delivery, ...delivery.split(".").slice(0, 1)];

/** Calls each route with good and bad ids and bodies, as the owner of `id`. */
async function walk(env: Bindings, made: Made, ids = [...known(made), ...UNKNOWN]) {
  const { headers, id } = made;
  const bodies = [undefined, {}, {}, "{", "null", { item: "x" }, { name: "n", url: "ftp://x" }];
  for (const { method, path } of app.routes.filter((route) => route.method !== "ALL")) {
    for (const [at, one] of ids.entries()) {
      // Rotation by the owner returns a secret: it has its own test.
      if (path.endsWith("/rotate-secret") && one === id) continue;
      const url = path.replace(/:\w+/g, one);
      const body = method === "GET" ? undefined : bodies[at];
      const query =
        path === "/health" ? "?deep" : path.startsWith("/todo") ? `?endpoint=${one}` : "";
      const reply = await call(env, method, `${url}${query}`, body, { headers });
      if (reply.status === 500) throw new Error(`${method} ${url}: ${JSON.stringify(reply.body)}`);
      expectClean(`${method} ${url}`, JSON.stringify([...reply.headers, reply.body]));
    }
  }
}

type Made = { headers: { authorization: string }; id: string; delivery: string };

/** An endpoint with secrets, and a delivery that it got. */
async function makeEnv() {
  const env = newEnv({ AUTH: "jwt", AUTH_SECRET: SECRETS.AUTH_SECRET });
  const { headers } = await as("alice", {}, SECRETS.AUTH_SECRET);
  const token = headers.authorization.split(" ")[1];
  const url = "https://receiver.example/";
  const sent = { "X-Api-Key": SECRETS.header };
  const fields = { name: "n", url, secret: SECRETS.endpoint, headers: sent };
  const made = await call(env, "POST", "/endpoint", fields, { headers });
  expect(made.body.secret).toBe(SECRETS.endpoint);
  const id = made.body["Endpoint ID"] as string;
  const rotation = { secret: SECRETS.rotated };
  const path = `/endpoint/${id}/rotate-secret`;
  const rotated = await call(env, "POST", path, rotation, {
    headers,
  });
  expect(rotated.body.secret).toBe(SECRETS.rotated);
  expect(JSON.stringify(rotated.body)).not.toContain(SECRETS.endpoint);
  const added = await call(env, "POST", "/todo", { item: "x" }, { headers });
  const [arrived] = await delivered(env, 1);
  // It is sent, and shown to nobody but the receiver.
  expect(JSON.stringify(arrived?.headers)).toContain(SECRETS.header);
  const delivery = `${added.headers.get("X-Event-Id")}.${id}`;
  return { env, headers, id, delivery, token };
}

// The local Convoy's key is fixed; the Worker has another, which is replaced on the way.
function withKey(env: Bindings): Bindings {
  return {
    ...env,
    CONVOY_API_KEY: SECRETS.CONVOY_API_KEY,
    CONVOY: {
      fetch: (async (request: Request) => {
        expect(request.headers.get("Authorization")).toBe(`Bearer ${SECRETS.CONVOY_API_KEY}`);
        const right = new Request(request);
        right.headers.set("Authorization", "Bearer local");
        return fetch(right);
      }) as Fetcher["fetch"],
    },
  };
}

test("no route's answers or log lines contain a secret, a stack or a query, nor the log a token", async () => {
  const made = await makeEnv();
  const { env, headers, delivery, token } = made;
  const shown = await call(withKey(env), "GET", `/delivery/${delivery}`, undefined, { headers });
  expect(shown.body.attempts_made[0].request_headers).toMatchObject({ "X-Api-Key": "[hidden]" });
  await walk(withKey(env), made);
  await cron(withKey(env));
  for (const line of lines) expectClean("the log", line);
  expectClean("D1 and KV", JSON.stringify(await state(env)));
  expect(lines.join("\n")).not.toContain(token);
});

test("the same holds if Convoy refuses the key and repeats it", async () => {
  const made = await makeEnv();
  const { env } = made;
  // Other ids do not get as far as Convoy.
  await walk({ ...env, CONVOY_API_KEY: SECRETS.CONVOY_API_KEY }, made, known(made));
  const repeats = `dial postgres://convoy:${SECRETS.CONVOY_API_KEY}@db ${SECRETS.endpoint}`;
  for (const status of [400, 401, 403, 404, 409, 500, 503]) {
    await setFaults(env, { status, message: repeats });
    const at = newEndpoint(withKey({ ...env, AUTH: "open" }));
    await expect(at).rejects.toThrow(/^50[23]/);
    expectClean(String(status), String(await at.catch(String)));
    await cron(withKey(env));
  }
  for (const line of lines) expectClean("the log", line);
});

test("the same holds for answers if a store fails with a secret in its message", async () => {
  const { env, headers, id, delivery } = await makeEnv();
  const message = `D1_ERROR: near "${SECRETS.AUTH_SECRET}" at SELECT x\n    at run (index.ts:1:1)`;
  const broken = around(withKey(env), async ({ on }, run) => {
    if (on === "Convoy") return run();
    throw new Error(message);
  });
  const paths = ["/todo", "/todo/1", `/endpoint/${id}`, "/event", "/delivery", "/health?deep"];
  for (const path of [...paths, `/delivery/${delivery}`, "/delivery/poll"]) {
    const reply = await call(broken, "GET", path, undefined, { headers });
    expect(reply.status).toBe(503);
    expectClean(path, JSON.stringify([...reply.headers, reply.body]));
  }
});
