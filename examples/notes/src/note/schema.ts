/** A note, and what callers may send to /note; answers.ts has what they get. */
import * as z from "zod/mini";
import { NOTE_MAX_CHARS, TITLE_MAX_CHARS } from "../config.ts";
import { Cursor, EndpointId, Limit, notEmpty, numeral, text } from "../schema.ts";

/** A note's id: a safe integer >= 0. */
export const NoteId = z.int().check(z.nonnegative());

/** A note as stored and returned. */
export const Note = z.object({
  id: NoteId,
  title: z.string(),
  body: z.string(),
  pinned: z.boolean(),
});
/** A note as stored and returned. */
export type Note = z.infer<typeof Note>;

const Title = text(1, TITLE_MAX_CHARS);
const Body = text(0, NOTE_MAX_CHARS);

/** Body of POST /note. Without `id` the server chooses one. */
export const NewNote = z.strictObject({
  id: z.optional(NoteId),
  title: Title,
  body: z.optional(Body),
  pinned: z.optional(z.boolean()),
});

/** Body of PUT /note/:id: at least one field. */
export const NotePatch = notEmpty(
  z.strictObject({
    title: z.optional(Title),
    body: z.optional(Body),
    pinned: z.optional(z.boolean()),
  }),
  "send title, body or pinned",
);

/** `:id` of a note in a path. */
export const NotePath = z.object({ id: numeral(NoteId) });

/** Query of GET /note. */
export const NoteListQuery = z.strictObject({
  limit: Limit,
  cursor: Cursor,
  endpoint: z.optional(EndpointId),
});
