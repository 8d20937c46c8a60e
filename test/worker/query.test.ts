/** Queries: no route takes a parameter that it does not know, or one twice. */
import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { app } from "../../src/app.ts";
import { validQuery } from "../../src/validate.ts";
import { recording } from "../support/operations.ts";
import { call, newEnv } from "../support/worker.ts";

/** Method and path of every route, ids filled in. */
const ROUTES = [
  ...new Set(
    app.routes.filter(({ method }) => method !== "ALL").map((r) => `${r.method} ${r.path}`),
  ),
].map((route) => route.replace(/:\w+/g, "1").split(" ") as [string, string]);
const BODIES = { "/todo": { item: "x" }, "/rebuild": { from: "log" } } as Record<string, object>;

test("there are routes", () => expect(ROUTES.length).toBeGreaterThan(20));

const UNKNOWN = ["unknown=1", "unknown", "limit=1&unknown=", "__proto__=1", "constructor=1"];

describe.each(ROUTES)("%s %s", (method, path) => {
  test("refuses what it does not know, and touches nothing", async () => {
    const { env, operations } = recording(newEnv());
    const body = method === "GET" ? undefined : BODIES[path];
    for (const query of UNKNOWN) {
      const { status, body: answer } = await call(env, method, `${path}?${query}`, body);
      expect({ query, status }).toEqual({ query, status: 400 });
      expect(answer.error).toMatch(/query/);
    }
    expect(operations).toEqual([]);
  });

  test("takes a query without a name", async () => {
    const body = method === "GET" ? undefined : BODIES[path];
    const env = newEnv();
    const { status } = await call(env, method, path, body);
    for (const query of ["", "&", "=", "=1&"]) {
      expect((await call(env, method, `${path}?${query}`, body)).status).toBe(status);
    }
  });
});

test.each([
  ["GET", "/todo?limit=1&limit=2", "limit"],
  ["GET", "/todo?limit=1&limit=1", "limit"],
  ["GET", "/todo?endpoint=a&endpoint=b", "endpoint"],
  ["POST", "/todo?endpoint=a&endpoint=b", "endpoint"],
  ["DELETE", "/todo/1?endpoint=a&endpoint=a", "endpoint"],
  ["GET", "/event?type=created&type=updated", "type"],
  ["GET", "/health?deep&deep", "deep"],
])("%s %s is a 400: given twice", async (method, path, name) => {
  const { env, operations } = recording(newEnv());
  const reply = await call(env, method, path, method === "POST" ? { item: "x" } : undefined);
  expect(reply).toMatchObject({
    status: 400,
    body: {
      error: `Bad query. ${name}: must be given only once`,
      details: [{ path: name, message: "must be given only once" }],
    },
  });
  expect(operations).toEqual([]);
});

test("an unknown parameter is named", async () => {
  const reply = await call(newEnv(), "GET", "/todo?limt=5");
  expect(reply.body.error).toBe('Bad query. unknown parameter "limt"');
});

test("an unknown path is a 404, and a wrong method a 405, whatever the query", async () => {
  expect((await call(newEnv(), "GET", "/nothing?x=1")).status).toBe(404);
  expect((await call(newEnv(), "PATCH", "/todo?x=1")).status).toBe(405);
});

test.each(["%", "%zz", "%ff", "%00", "%ed%a0%80", "a%00b"])(
  "?cursor=%s is no 5xx",
  async (value) => {
    for (const path of ["/todo", "/endpoint", "/event"]) {
      expect((await call(newEnv(), "GET", `${path}?cursor=${value}`)).status).toBeLessThan(500);
    }
  },
);

test.each(["%", "%zz", "%ff", "%00", "%ed%a0%80", "%2f", "a%0ab", "%e2%82", "%F0%9F%9A%80"])(
  "the id %s in a path is a 400 or a 404",
  async (id) => {
    for (const path of [`/todo/${id}`, `/endpoint/${id}`, `/event/${id}`]) {
      expect([400, 404]).toContain((await call(newEnv(), "GET", path)).status);
    }
  },
);

test("a schema that lets unknown parameters pass is refused at start", () => {
  expect(() => validQuery(z.object({ a: z.optional(z.string()) }))).toThrow(/strictObject/);
});
