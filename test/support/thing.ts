/** Nouns that exist only in tests: what src/outbox/ promises, it promises for any noun. */
import * as z from "zod/mini";
import { defineResource, numberId, textId } from "../../src/outbox/resource.ts";

/** With numbers as ids, and every default. */
export const Thing = z.object({ id: numberId.body, name: z.string(), size: z.int() });
/** A thing. */
export type Thing = z.infer<typeof Thing>;

/** The noun `thing`. */
export const thing = defineResource({
  name: "thing",
  id: numberId,
  schema: Thing,
  bodies: {
    create: z.strictObject({ id: z.optional(numberId.body), name: z.string(), size: z.int() }),
    update: z.strictObject({ name: z.optional(z.string()), size: z.optional(z.int()) }),
  },
  title: ({ name }) => name,
  example: { id: 1, name: "Spanner", size: 13 },
});

const partId = textId("part_");

/** With text ids and an event type of its own. */
export const Part = z.object({ id: partId.body, name: z.string(), sealed: z.boolean() });
/** A part. */
export type Part = z.infer<typeof Part>;

/** The noun `part`. */
export const part = defineResource({
  name: "part",
  id: partId,
  schema: Part,
  bodies: {
    create: z.strictObject({ id: z.optional(partId.body), name: z.string() }),
    update: z.strictObject({ name: z.optional(z.string()) }),
  },
  title: ({ name, sealed }) => `${name}${sealed ? " (sealed)" : ""}`,
  example: { id: "part_1", name: "Lid", sealed: false },
  types: {
    "part.sealed": {
      description: "Part sealed for good",
      example: { id: "part_1", name: "Lid", sealed: true },
    },
  },
});
