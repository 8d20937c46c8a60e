/** The headers of every answer. */
import { secureHeaders } from "hono/secure-headers";
import { expect, test } from "vitest";
import { newApp, SAFE_HEADERS } from "../../src/http.ts";
import { call, newEnv } from "../support/worker.ts";

test("the safe headers are those of hono/secure-headers, plus no-store", async () => {
  const app = newApp();
  app.use(secureHeaders()).get("/", (c) => c.body(null));
  const { headers } = await app.request("/");
  const safe = new Headers(SAFE_HEADERS);
  expect(safe.get("Cache-Control")).toBe("no-store");
  safe.delete("Cache-Control");
  expect([...safe]).toEqual([...headers]);
});

test.each([undefined, "https://app.test"])(
  "every answer has each safe header once, with CORS_ORIGINS=%s",
  async (origin) => {
    const env = newEnv(origin === undefined ? {} : { CORS_ORIGINS: origin });
    const sent = origin === undefined ? {} : { headers: { origin } };
    const answers: [string, string, unknown, number][] = [
      ["POST", "/todo", { id: 1, item: "x" }, 201],
      ["POST", "/todo", { id: 1, item: "x" }, 409],
      ["PUT", "/todo/1", { item: "y" }, 200],
      ["GET", "/todo/1", undefined, 200],
      ["GET", "/todo", undefined, 200],
      ["GET", "/todo/x", undefined, 400],
      ["GET", "/todo/2", undefined, 404],
      ["PATCH", "/todo/1", undefined, 405],
      ["DELETE", "/todo/1", undefined, 200],
      ["GET", "/event", undefined, 200],
      ["GET", "/health", undefined, 200],
      ["GET", "/nothing", undefined, 404],
    ];
    for (const [method, path, body, status] of answers) {
      const reply = await call(env, method, path, body, sent);
      const found = Object.keys(SAFE_HEADERS).map((name) => [name, reply.headers.get(name)]);
      expect([reply.status, Object.fromEntries(found)]).toEqual([status, SAFE_HEADERS]);
      expect(reply.headers.get("Content-Type")).toBe("application/json");
      expect(reply.headers.get("Access-Control-Allow-Origin")).toBe(origin ?? null);
    }
  },
);

test("headers added to one answer do not leak into another", async () => {
  const env = newEnv();
  const made = await call(env, "POST", "/todo", { id: 1, item: "x" });
  expect(made.headers.get("Location")).toBe("/todo/1");
  const read = await call(env, "GET", "/todo/1");
  expect(read.headers.has("Location")).toBe(false);
  expect(read.headers.has("X-Event-Id")).toBe(false);
  expect(read.headers.get("X-Request-Id")).not.toBe(made.headers.get("X-Request-Id"));
});
