/** Defining nouns: defaults, and what is refused when the service starts. */
import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import {
  defineResource,
  eventTypesOf,
  numberId,
  registryOf,
  textId,
} from "../../../src/outbox/resource.ts";
import { todo } from "../../../src/todo/resource.ts";
import { part, thing } from "../../support/thing.ts";

const Value = z.object({ id: numberId.body });
const named = (name: string, more: object = {}) =>
  defineResource({
    name,
    id: numberId,
    schema: Value,
    bodies: { create: Value, update: z.object({}) },
    title: ({ id }) => String(id),
    example: { id: 1 },
    ...more,
  });

describe("a resource", () => {
  test("has event types of its own name by default", () => {
    const types = [...thing.types.values()].map(({ type, event, description, change }) => {
      return [type, event, description, change];
    });
    expect(types).toEqual([
      ["thing.created", "created", "Thing created", "create"],
      ["thing.retrieved", "retrieved", "Thing retrieved", null],
      ["thing.updated", "updated", "Thing updated", "update"],
      ["thing.deleted", "deleted", "Thing deleted", "delete"],
      ["thing.failed", "failed", "Thing failed", null],
    ]);
    expect(thing.types.get("thing.updated")?.example).toEqual(thing.example);
    expect(thing.types.get("thing.deleted")?.example).toEqual({ id: 1 });
    expect(named("line_item").label).toBe("Line item");
  });

  test("declares further types, each with the change that it tells of", () => {
    expect(part.types.get("part.sealed")).toEqual({
      type: "part.sealed",
      resource: "part",
      event: "part.sealed",
      description: "Part sealed for good",
      change: "update",
      example: { id: "part_1", name: "Lid", sealed: true },
    });
    const types = { "a.voided": { description: "A voided", change: "delete", example: { id: 1 } } };
    expect(named("a", { types }).types.get("a.voided")).toMatchObject({
      change: "delete",
      example: { id: 1 },
    });
  });

  test("called todo has the tutorial's types and texts", () => {
    expect(
      [...todo.types.values()].map(({ type, event, description }) => [type, event, description]),
    ).toEqual([
      ["created", "created", "Todo created successfully"],
      ["retrieved", "retrieved", "Todo retrieved successfully"],
      ["updated", "updated", "Todo updated successfully"],
      ["deleted", "deleted", "Todo deleted successfully"],
      ["failed", "failure", "Todo not found."],
    ]);
  });

  test.each(["", "Todo", "a:b", "a/b", "1a", "n".repeat(65)])("is not named %j", (name) => {
    expect(() => named(name)).toThrow("lower-case letters");
  });

  test.each(["event", "seq", "test", "data", "endpoint", "delivery", "constructor"])(
    "is not named %s, which is another key or path",
    (name) => {
      expect(() => named(name)).toThrow(`No resource can be named ${name}: it is taken.`);
    },
  );

  test.each<[string, object, string]>([
    ["ping", { verbs: { created: { type: "ping" } } }, "Two event types are named ping."],
    ["one of its own twice", { verbs: { deleted: { type: "a.updated" } } }, "named a.updated."],
    ["a further one like a verb's", { types: { "a.created": {} } }, "named a.created."],
    ["*", { types: { "*": {} } }, "An event type is"],
  ])("does not declare the type %s", (_, more, error) => {
    expect(() => named("a", more)).toThrow(error);
  });
});

describe("a service", () => {
  test("knows its resources and their types, and ping", () => {
    const registry = registryOf([thing, part]);
    expect([...registry.keys()]).toEqual(["thing", "part"]);
    const types = eventTypesOf(registry).map(({ type }) => type);
    expect(types).toHaveLength(12);
    expect(types).toEqual(expect.arrayContaining(["ping", "thing.failed", "part.sealed"]));
  });

  test("has no two resources of a name, nor of an event type", () => {
    expect(() => registryOf([thing, part, thing])).toThrow("Two resources are named thing.");
    const other = named("other", { verbs: { created: { type: "thing.created" } } });
    expect(() => registryOf([thing, other])).toThrow("Two event types are named thing.created.");
  });
});

describe("an id", () => {
  test.each([
    ["0", 0],
    ["9007199254740991", 2 ** 53 - 1],
  ])("of digits is a number: %s", (text, id) => {
    expect(z.parse(numberId.path, text)).toBe(id);
    expect(numberId.fromKey(numberId.toKey(text))).toBe(text);
  });

  test.each(["", "-1", "01", "1.5", "1e3", "9007199254740992", "x"])(
    "is not the number %j",
    (text) => {
      expect(z.safeParse(numberId.path, text).success).toBe(false);
    },
  );

  test("of text has its prefix, and no character that a key or a path could mistake", () => {
    const kind = textId("inv_");
    expect(z.parse(kind.path, "inv_A-1_b")).toBe("inv_A-1_b");
    for (const wrong of [
      "inv_",
      "in_1",
      "inv_a:b",
      "inv_a/b",
      "inv_é",
      `inv_${"x".repeat(65)}`,
      "inv_a\n",
    ]) {
      expect([wrong, z.safeParse(kind.body, wrong).success]).toEqual([wrong, false]);
    }
    for (const prefix of ["", "a:", "a.*", "x".repeat(33)]) expect(() => textId(prefix)).toThrow();
  });

  test("made here is legal and its own; text sorts by the time when it was made", async () => {
    const kind = textId("inv_");
    const one = kind.random();
    await expect.poll(() => kind.random().slice(4, 13)).not.toBe(one.slice(4, 13));
    expect(kind.random() > one).toBe(true);
    expect(z.safeParse(kind.body, one).success).toBe(true);
    expect(z.safeParse(numberId.body, numberId.random()).success).toBe(true);
    expect(new Set(Array.from({ length: 100 }, numberId.random)).size).toBe(100);
  });
});
