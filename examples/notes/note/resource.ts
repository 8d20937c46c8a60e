/** What the rest knows of notes: their event types are note.created, note.updated … */
import { defineResource, numberId } from "../../../src/outbox/outbox.ts";
import { NewNote, Note, NotePatch } from "./schema.ts";

export const note = defineResource({
  name: "note",
  id: numberId,
  schema: Note,
  bodies: { create: NewNote, update: NotePatch },
  title: ({ title }) => title,
  example: { id: 1, title: "Shopping", body: "milk", pinned: false },
});
