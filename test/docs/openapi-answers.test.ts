/** The check of every answer in the tests notices what the document does not say. */
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
    ["a path that is not there", { path: "/x", status: 404, body: { error: "x" } }],
    [
      "the fixed path before the pattern",
      {
        method: "POST",
        path: "/event/replay",
        status: 202,
        body: { data: "x", replayed: 0 },
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
      "a wrong method where a pattern fits as well",
      {
        method: "DELETE",
        path: "/event/replay",
        status: 405,
        headers: { Allow: "GET, HEAD, POST" },
        body: { error: "x" },
      },
    ],
  ])("takes %s", (_, change) => {
    expect(undocumented(answered(change))).toEqual([]);
  });

  it.each<[string, Parameters<typeof answered>[0], RegExp]>([
    ["a status", { status: 418 }, /no answer 418/],
    ["a field that is missing", { body: { id: 1, item: "x" } }, /completed/],
    ["a field that is too much", { body: { ...todo, owner: "o" } }, /owner/],
    ["a field of another type", { body: { ...todo, id: "1" } }, /type/],
    ["another content type", { headers: { "Content-Type": "text/html" } }, /text\/html/],
    ["a header that is missing", { status: 429, body: { error: "x" } }, /Retry-After/],
    [
      "a header with another value",
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
    ["an answer where nothing is", { path: "/x", body: {} }, /not 404/],
  ])("notices %s", (_, change, problem) => {
    expect(undocumented(answered(change)).join("\n")).toMatch(problem);
  });
});
