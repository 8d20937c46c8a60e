/** The API document: made from the schemas, complete, valid, its examples right. */
import { Validator } from "@cfworker/json-schema";
import { createConfig, lintFromString } from "@redocly/openapi-core";
import { describe, expect, it } from "vitest";
import { buildDocument, OPERATIONS, toTemplate } from "../../openapi/document.ts";
import { CATALOGUE } from "../../openapi/webhooks.ts";
import { app } from "../../src/app.ts";
import { toConvoyEvent } from "../../src/event/message.ts";
import type { EventType } from "../../src/event/schema.ts";

const document = buildDocument();

describe("the API document", () => {
  it("describes every route of the app, and no other", () => {
    const routes = app.routes
      .filter(({ method }) => method !== "ALL")
      .map(({ method, path: at }) => `${method} ${toTemplate(at)}`);
    const described = OPERATIONS.map((o) => `${o.method.toUpperCase()} ${toTemplate(o.path)}`);
    expect([...described].sort()).toEqual([...new Set(routes)].sort());
  });

  it("passes Redocly's recommended rules without an error or a warning", async () => {
    const config = await createConfig({ extends: ["recommended"] });
    const source = JSON.stringify(document);
    const problems = await lintFromString({ source, absoluteRef: "openapi.json", config });
    expect(
      problems.map((p) => `${p.severity} ${p.ruleId}: ${p.message} ${p.location[0]?.pointer}`),
    ).toEqual([]);
  });

  it("keeps $ref out of the webhooks, which Convoy's importer does not follow", () => {
    expect(JSON.stringify(document.webhooks)).not.toContain("$ref");
    expect(Object.keys(document.webhooks).sort()).toEqual(
      ["created", "deleted", "failed", "ping", "retrieved", "updated"].sort(),
    );
  });

  it.each(examples())("gives an example that fits its schema: %s", (_, schema, example) => {
    const { valid, errors } = validate(schema, example);
    expect(errors.map((e) => `${e.instanceLocation} ${e.error}`)).toEqual([]);
    expect(valid).toBe(true);
  });

  it("gives each whole number that 32 bits do not hold the format int64, and no other", () => {
    const found = { int64: 0, plain: 0 };
    walkNodes(document, (node) => {
      if (node.type !== "integer") return;
      const { minimum, maximum } = node as { minimum?: number; maximum?: number };
      const large = maximum === undefined || maximum > 2 ** 31 - 1;
      expect({ minimum, maximum, format: node.format }).toEqual({
        minimum,
        maximum,
        format: large ? "int64" : undefined,
      });
      found[large ? "int64" : "plain"]++;
    });
    expect(found.int64).toBeGreaterThan(10);
    expect(found.plain).toBeGreaterThan(3);
    expect(document.paths["/todo/{id}"]?.get).toMatchObject({
      parameters: [{ schema: { type: "integer", format: "int64" } }, {}],
    });
  });

  it("has more than 30 examples", () => {
    expect(examples().length).toBeGreaterThan(30);
  });
});

describe("a webhook as sent", () => {
  const todo = { id: 1, item: "x", completed: true };
  const sent: [EventType, string | null, number | null, number | undefined][] = [
    ["ping", null, null, 1],
    ["created", JSON.stringify(todo), 1, 2],
    ["updated", JSON.stringify(todo), 1, 3],
    ["deleted", null, 1, 4],
    ["failed", null, 1, 5],
    ["failed", null, 1, undefined],
    ["retrieved", JSON.stringify(todo), 1, undefined],
    ["retrieved", null, null, undefined],
  ];

  it.each(sent)("of type %s fits its schema in the catalogue and has no other fields", (...row) => {
    const [type, text, todoId, seq] = row;
    const { data } = toConvoyEvent({
      id: "019ab5e1-6c00-7d2e-8f10-2b6f0c9a4d31",
      owner: "o",
      type,
      endpoint_id: "e",
      occurred_at: 0,
      todo_id: todoId,
      todo: text,
      ...(seq === undefined ? {} : { seq }),
    });
    const schema = CATALOGUE.find(({ name }) => name === type)?.schema as object;
    const { errors } = validate({ ...schema, additionalProperties: false }, data);
    expect(errors.map((e) => `${e.instanceLocation} ${e.error}`)).toEqual([]);
  });
});

function validate(schema: object, value: unknown) {
  const whole = { ...schema, components: document.components };
  return new Validator(whole, "2020-12", false).validate(value);
}

function walkNodes(node: unknown, visit: (node: Record<string, unknown>) => void): void {
  if (typeof node !== "object" || node === null) return;
  visit(node as Record<string, unknown>);
  for (const child of Object.values(node)) walkNodes(child, visit);
}

/** Every example beside a schema, wherever it is in the document. */
function examples(): [string, object, unknown][] {
  const found: [string, object, unknown][] = [];
  walk(document, "");
  return found;

  function walk(node: unknown, at: string): void {
    if (typeof node !== "object" || node === null) return;
    const { schema, example } = node as { schema?: object; example?: unknown };
    if (schema && example !== undefined) found.push([at, schema, example]);
    for (const [key, value] of Object.entries(node)) {
      if (key !== "example" && key !== "schema") walk(value, `${at} ${key}`);
    }
  }
}
