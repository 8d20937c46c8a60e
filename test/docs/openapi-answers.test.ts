/** The tests' check of every answer notices what the API document does not say. */
import { describe, expect, it } from "vitest";
import { type Answered, undocumented } from "../support/documented.ts";

const json = { "Content-Type": "application/json", "X-Request-Id": "r" };
const todo = { id: 1, item: "x", completed: false };

function answered(change: Partial<Omit<Answered, "headers">> & { headers?: object }): Answered {
  const { headers, ...rest } = change;
  const whole = { method: "GET", path: "/todo/1?endpoint=e", status: 200, body: todo, ...rest };
  return { ...whole, headers: new Headers({ ...json, ...headers }) };
}

describe("the check of answers", () => {
  it.each<[string, Parameters<typeof answered>[0]]>([
    ["a todo", {}],
    ["its head", { method: "HEAD", body: undefined }],
    [
      "an error with a header",
      { status: 429, headers: { "Retry-After": "10" }, body: { error: "x" } },
    ],
    ["an unknown path", { path: "/x", status: 404, body: { error: "x" } }],
    [
      "the fixed path before the pattern",
      {
        method: "POST",
        path: "/delivery/resend",
        status: 202,
        body: { resent: 0 },
      },
    ],
    [
      "a wrong method",
      {
        method: "POST",
        status: 405,
        headers: { Allow: "GET, PUT, DELETE, HEAD" },
        body: { error: "x" },
      },
    ],
    [
      "a wrong method on a path that also fits a pattern",
      {
        method: "DELETE",
        path: "/delivery/resend",
        status: 405,
        headers: { Allow: "GET, HEAD, POST" },
        body: { error: "x" },
      },
    ],
  ])("accepts %s", (_, change) => {
    expect(undocumented(answered(change))).toEqual([]);
  });

  it.each<[string, Parameters<typeof answered>[0], RegExp]>([
    ["an undocumented status", { status: 418 }, /no answer 418/],
    ["a missing field", { body: { id: 1, item: "x" } }, /completed/],
    ["an extra field", { body: { ...todo, owner: "o" } }, /owner/],
    ["a field of the wrong type", { body: { ...todo, id: "1" } }, /type/],
    ["another content type", { headers: { "Content-Type": "text/html" } }, /text\/html/],
    ["a missing header", { status: 429, body: { error: "x" } }, /Retry-After/],
    [
      "a header with a wrong value",
      {
        status: 429,
        headers: { "Retry-After": "soon" },
        body: { error: "x" },
      },
      /Retry-After/,
    ],
    ["an error of another shape", { status: 404, body: { message: "x" } }, /message/],
    [
      "an Allow that lists something else",
      {
        method: "POST",
        status: 405,
        headers: { Allow: "GET" },
        body: { error: "x" },
      },
      /Allow/,
    ],
    ["a success on an unknown path", { path: "/x", body: {} }, /not 404/],
  ])("notices %s", (_, change, problem) => {
    expect(undocumented(answered(change)).join("\n")).toMatch(problem);
  });
});
