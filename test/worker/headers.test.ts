/** The headers of every answer. */
import { secureHeaders } from "hono/secure-headers";
import { expect, test } from "vitest";
import { newApp } from "../../src/http.ts";
import { call, newEnv } from "../support/worker.ts";

/** What hono/secure-headers sets by default, and no caching. */
async function expected(): Promise<Record<string, string>> {
  const app = newApp();
  app.use(secureHeaders()).get("/", (c) => c.body(null));
  const { headers } = await app.request("/");
  return { ...Object.fromEntries(headers), "cache-control": "no-store" };
}

const HSTS = "strict-transport-security";

test.each([
  ["https://todo.example", undefined],
  ["https://todo.example", "https://app.test"],
  ["http://localhost", undefined],
])("every answer of %s has each safe header once, with CORS_ORIGINS=%s", async (at, origin) => {
  const env = newEnv({
    OPEN_HOSTS: "todo.example",
    ...(origin === undefined ? {} : { CORS_ORIGINS: origin }),
  });
  const sent = { at, headers: origin === undefined ? {} : { origin } };
  const { [HSTS]: hsts, ...safe } = await expected();
  const answers: [string, string, unknown, number][] = [
    ["POST", "/todo", { id: 1, item: "x" }, 201],
    ["POST", "/todo", { id: 1, item: "x" }, 409],
    ["POST", "/todo", "{", 400],
    ["PUT", "/todo/1", { item: "y" }, 200],
    ["GET", "/todo/1", undefined, 200],
    ["GET", "/todo", undefined, 200],
    ["GET", "/todo/x", undefined, 400],
    ["GET", "/todo/2", undefined, 404],
    ["PATCH", "/todo/1", undefined, 405],
    ["DELETE", "/todo/1", undefined, 200],
    ["GET", "/event", undefined, 200],
    ["GET", "/health", undefined, 200],
    ["GET", "/", undefined, 200],
    ["GET", "/nothing", undefined, 404],
  ];
  for (const [method, path, body, status] of answers) {
    const reply = await call(env, method, path, body, sent);
    expect({ path, status: reply.status }).toEqual({ path, status });
    expect(Object.fromEntries(reply.headers)).toMatchObject(safe);
    expect(reply.headers.get(HSTS)).toBe(at.startsWith("https") ? hsts : null);
    expect(reply.headers.get("Content-Type")).toBe("application/json");
    expect(reply.headers.get("X-Request-Id")).toMatch(/^[\w-]{8,255}$/);
    expect(reply.headers.get("Access-Control-Allow-Origin")).toBe(origin ?? null);
  }
});

test("headers added to one answer do not leak into another", async () => {
  const env = newEnv();
  const made = await call(env, "POST", "/todo", { id: 1, item: "x" });
  expect(made.headers.get("Location")).toBe("/todo/1");
  const read = await call(env, "GET", "/todo/1");
  expect(read.headers.has("Location")).toBe(false);
  expect(read.headers.has("X-Event-Id")).toBe(false);
  expect(read.headers.get("X-Request-Id")).not.toBe(made.headers.get("X-Request-Id"));
});
