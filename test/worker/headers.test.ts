/** The headers of every answer. */
import { expect, test } from "vitest";
import { call, newEnv } from "../support/worker.ts";

/** What a browser needs to know of JSON that is one owner's. */
const SAFE = {
  "cache-control": "no-store",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "SAMEORIGIN",
};
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
    expect(Object.fromEntries(reply.headers)).toMatchObject(SAFE);
    expect(reply.headers.get(HSTS)).toBe(
      at.startsWith("https") ? "max-age=15552000; includeSubDomains" : null,
    );
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
