/** `npm run catalogue` against a local Convoy in this process. */
import { describe, expect, it } from "vitest";
import { resources } from "../../examples/notes/app.ts";
import { createConvoy } from "../../local/convoy/index.ts";
import { type ConvoyEventType, registerEventTypes } from "../../openapi/catalogue.ts";
import { catalogueOf } from "../../openapi/webhooks.ts";
import { type Convoy, call } from "../../src/convoy/client.ts";

const CATALOGUE = catalogueOf(resources);
const NAMES = [
  ...["ping", "created", "retrieved", "updated", "deleted", "failed"],
  ...["note.created", "note.retrieved", "note.updated", "note.deleted", "note.failed"],
  ...["invoice.created", "invoice.retrieved", "invoice.updated", "invoice.deleted"],
  ...["invoice.failed", "invoice.paid"],
];

function localConvoy(apiKey = "local"): Convoy {
  const convoy = createConvoy();
  return {
    baseUrl: "http://catalogue.convoy.test/api",
    apiKey,
    projectId: "local",
    send: async (request) => convoy.fetch(request),
  };
}

async function listed(convoy: Convoy) {
  const answer = await call<ConvoyEventType[]>(convoy, "/event-types");
  if (!answer.ok) throw new Error(answer.message);
  return answer.data.filter(({ name }) => name !== "*");
}

describe("the catalogue", () => {
  it("registers the event types of every noun with their schemas", async () => {
    const convoy = localConvoy();
    const registered = await registerEventTypes(convoy, CATALOGUE);
    expect(registered).toEqual(NAMES.map((name) => ({ name, done: "created" })));
    const types = await listed(convoy);
    expect(types.map(({ name }) => name)).toEqual(NAMES);
    for (const { name, json_schema, description, category } of types) {
      const entry = CATALOGUE.find((one) => one.name === name);
      expect(json_schema).toEqual(entry?.schema);
      expect(description).toBe(entry?.description);
      const noun = name.includes(".") ? name.split(".")[0] : "todo";
      expect([name, category]).toEqual([name, name === "ping" ? "ping" : noun]);
    }
  });

  it("changes nothing when it is run again", async () => {
    const convoy = localConvoy();
    await registerEventTypes(convoy, CATALOGUE);
    const before = await listed(convoy);
    const again = await registerEventTypes(convoy, CATALOGUE);
    expect(again.map(({ done }) => done)).toEqual(NAMES.map(() => "unchanged"));
    expect(await listed(convoy)).toEqual(before);
  });

  it("updates an event type that was changed by hand", async () => {
    const convoy = localConvoy();
    await registerEventTypes(convoy, CATALOGUE);
    const [ping] = await listed(convoy);
    const by = { category: "x", description: "by hand", json_schema: { type: "string" } };
    await call(convoy, `/event-types/${ping?.uid}`, { method: "PUT", body: by });
    const again = await registerEventTypes(convoy, CATALOGUE);
    expect(again.filter(({ done }) => done !== "unchanged")).toEqual([
      { name: "ping", done: "updated" },
    ]);
    expect((await listed(convoy))[0]?.json_schema).toEqual(CATALOGUE[0]?.schema);
  });

  it("reports why Convoy refused", async () => {
    await expect(registerEventTypes(localConvoy("wrong"), CATALOGUE)).rejects.toThrow(
      /^Convoy refused to list event types: 401 /,
    );
  });
});
