/** The API document: made from the schemas, complete, valid, its examples right. */
import { Validator } from "@cfworker/json-schema";
import { createConfig, lintFromString } from "@redocly/openapi-core";
import { describe, expect, it } from "vitest";
import { resources as three, app as threeNouns } from "../../examples/notes/app.ts";
import { INVOICE } from "../../examples/notes/invoice/document.ts";
import { buildDocument, operationsOf, toTemplate } from "../../openapi/document.ts";
import { catalogueOf } from "../../openapi/webhooks.ts";
import { app as own } from "../../src/app.ts";
import { registryOf } from "../../src/outbox/outbox.ts";
import { resources } from "../../src/resources.ts";
import { thing } from "../support/thing.ts";

const DOCUMENTS = [
  {
    of: "this service",
    app: own,
    operations: operationsOf(),
    document: buildDocument(),
    nouns: resources,
  },
  {
    of: "a todo, a note and an invoice",
    app: threeNouns,
    operations: operationsOf(three, INVOICE),
    document: buildDocument(three, INVOICE),
    nouns: three,
  },
];

describe.each(DOCUMENTS)("the API document of $of", ({ app, operations, document, nouns }) => {
  it("describes every route of the app, and no other", () => {
    const routes = app.routes
      .filter(({ method }) => method !== "ALL")
      .map(({ method, path: at }) => `${method} ${toTemplate(at)}`);
    const described = operations.map((o) => `${o.method.toUpperCase()} ${toTemplate(o.path)}`);
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
    const types = [...nouns.values()].flatMap(({ types }) => [...types.keys()]);
    expect(Object.keys(document.webhooks).sort()).toEqual(["ping", ...types].sort());
  });

  it.each(examplesIn(document))(
    "gives an example that fits its schema: %s",
    (_, schema, example) => {
      expect(wrongWith(document, schema, example)).toEqual([]);
    },
  );

  it.each(catalogueOf(nouns))(
    "gives an example of $name with no field beyond its schema",
    ({ schema, example }) => {
      const strict = { ...schema, additionalProperties: false };
      expect(wrongWith(document, strict, example)).toEqual([]);
    },
  );

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
  });

  it("gives ids that are numbers the format int64, and those that are text their pattern", () => {
    const pattern = "^inv_[A-Za-z0-9_-]{1,64}$";
    const ids = {
      todo: { type: "integer", format: "int64" },
      note: { type: "integer", format: "int64" },
      invoice: { type: "string", pattern },
    };
    for (const name of nouns.keys()) {
      expect(document.paths[`/${name}/{id}`]?.get).toMatchObject({
        parameters: [{ name: "id", schema: ids[name as keyof typeof ids] }, {}],
      });
    }
  });

  it("has more than 30 examples", () => {
    expect(examplesIn(document).length).toBeGreaterThan(30);
  });
});

describe("a noun in the document", () => {
  const words = (names: string[]) =>
    names.map((name) => {
      const label = (name.charAt(0).toUpperCase() + name.slice(1)).replaceAll("_", " ");
      const one = { ...thing, name, label };
      return operationsOf(registryOf([one]), [])
        .slice(0, 2)
        .map(({ id, summary }) => [id, summary]);
    });

  it("is called by its name, in one and in many", () => {
    expect(words(["invoice", "line_item", "category", "box", "day"])).toEqual([
      [
        ["listInvoices", "List invoices"],
        ["getInvoice", "Read an invoice"],
      ],
      [
        ["listLineItems", "List line items"],
        ["getLineItem", "Read a line item"],
      ],
      [
        ["listCategories", "List categories"],
        ["getCategory", "Read a category"],
      ],
      [
        ["listBoxes", "List boxes"],
        ["getBox", "Read a box"],
      ],
      [
        ["listDays", "List days"],
        ["getDay", "Read a day"],
      ],
    ]);
  });

  it("cannot be called like one of the API's own answers", () => {
    const attempt = { ...thing, name: "attempt", label: "Attempt" };
    expect(() => buildDocument(registryOf([attempt]), [])).toThrow(
      "Two schemas of the API document are named Attempt: rename the noun.",
    );
  });

  it("is the only one that its document names", () => {
    const { paths, tags } = buildDocument(registryOf([thing]), []);
    expect(JSON.stringify({ paths, tags })).not.toMatch(/"\/?todo|Todos|[a-z]Todo\b/);
  });
});

function wrongWith(document: { components: object }, schema: object, value: unknown): string[] {
  const whole = { ...schema, components: document.components };
  const { errors } = new Validator(whole, "2020-12", false).validate(value);
  return errors.map((e) => `${e.instanceLocation} ${e.error}`);
}

function walkNodes(node: unknown, visit: (node: Record<string, unknown>) => void): void {
  if (typeof node !== "object" || node === null) return;
  visit(node as Record<string, unknown>);
  for (const child of Object.values(node)) walkNodes(child, visit);
}

/** Every example beside a schema, wherever it is in the document. */
function examplesIn(document: object): [string, object, unknown][] {
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
