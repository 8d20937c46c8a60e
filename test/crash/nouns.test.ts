// A todo, a note and an invoice in one Worker, with one database, one KV and one Convoy: each keeps the log's promises.
import { afterAll, describe, expect, test } from "vitest";
import { invoice } from "../../examples/notes/invoice/resource.ts";
import { invoiceRoutes } from "../../examples/notes/invoice/routes.ts";
import { note } from "../../examples/notes/note/resource.ts";
import { noteRoutes } from "../../examples/notes/note/routes.ts";
import { todo } from "../../src/todo/resource.ts";
import { todoRoutes } from "../../src/todo/routes.ts";
import type { Actor } from "../support/actors.ts";
import {
  begin,
  create,
  race,
  type Sample,
  testResource,
  tried,
  workerOf,
} from "../support/test-resource.ts";
import { openWorld } from "../support/world.ts";

const LONG = "x".repeat(2_001);
const REFUSED = [{}, { id: -1 }, { unknown: 1 }, { title: "\0", customer: "\0", item: "\0" }];

const TODO: Sample = {
  resource: todo,
  routes: todoRoutes as never,
  defaults: { completed: false },
  create: [{ item: "milk" }, { item: "bread", completed: true }],
  update: [{ item: "butter" }, { completed: true }],
  bad: {
    create: [...REFUSED, { item: "" }, { item: LONG }, { item: 1 }],
    update: [...REFUSED, { completed: "yes" }],
  },
};
const NOTE: Sample = {
  resource: note,
  routes: noteRoutes as never,
  defaults: { body: "", pinned: false },
  create: [{ title: "Shopping" }, { title: "Work", body: "write", pinned: true }],
  update: [{ title: "Errands" }, { body: "post", pinned: true }],
  bad: { create: [...REFUSED, { title: "" }], update: [...REFUSED, { body: LONG }] },
};
const INVOICE: Sample = {
  resource: invoice,
  routes: invoiceRoutes as never,
  defaults: { status: "open" },
  actions: { pay: { type: "invoice.paid", patch: { status: "paid" } } },
  refuses: (_, before) => before.status === "paid",
  create: [
    { customer: "Ada", amount_cents: 5 },
    { customer: "Bob", amount_cents: 7 },
  ],
  update: [{ customer: "Ada Lovelace" }, { amount_cents: 9 }],
  bad: {
    create: [...REFUSED, { id: "1", customer: "Ada", amount_cents: 5 }, { status: "paid" }],
    update: [...REFUSED, { status: "paid" }, { amount_cents: 0 }],
  },
  rules: {
    after: { method: "POST", action: "pay" },
    refused: [
      { method: "PUT", body: { amount_cents: 1 } },
      { method: "POST", action: "pay" },
      { method: "DELETE" },
    ],
  },
};

const NOUNS = [TODO, NOTE, INVOICE];
const world = openWorld({
  worker: workerOf(NOUNS),
  nouns: NOUNS,
  settings: { RETENTION_DAYS: "1" },
});
afterAll(async () => {
  await world.close();
  console.info(`nouns: ${JSON.stringify(tried)}`);
});

for (const noun of NOUNS) testResource(world, noun);

describe("three nouns with one id", () => {
  test("do not know of each other", async () => {
    await world.reset();
    world.endpoints("e1");
    for (const noun of NOUNS) await create(world, noun);
    await world.ask("DELETE", "/note/1");
    await world.rest();
    const keys = [...world.kv.now().keys()];
    expect(keys.map((key) => key.split(":")[0])).toEqual(["todo", "invoice"]);
  });

  test("are changed, removed and paid at once, and each keeps the promises", {
    timeout: 600_000,
  }, async () => {
    const prepare = async () => {
      world.endpoints("e1", { id: "e2", types: ["updated", "invoice.paid", "note.deleted"] });
      for (const noun of NOUNS) await create(world, noun);
    };
    const calls = NOUNS.flatMap((noun) => {
      const other = noun.rules?.after ?? { method: "DELETE" as const };
      return [{ method: "PUT" as const, body: noun.update[0] }, other].map(
        (step) => (actor: Actor) => begin(world, actor, noun, step),
      );
    });
    await race(world, prepare, calls, (made) => {
      for (const { status } of made) expect([200, 404, 409]).toContain(status);
      expect(world.history().length).toBeGreaterThan(5);
    });
  });
});
