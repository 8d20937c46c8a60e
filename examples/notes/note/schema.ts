/** A note, what callers may send to /note, and what they get. */
import * as z from "zod/mini";
import { numberId } from "../../../src/outbox/outbox.ts";
import { Cursor, EndpointId, Limit, notEmpty, pageOf, text } from "../../../src/schema.ts";

const TITLE_MAX_CHARS = 200;
const BODY_MAX_CHARS = 2_000;

/** A note as stored and returned. */
export const Note = z.object({
  id: numberId.body,
  title: z.string(),
  body: z.string(),
  pinned: z.boolean(),
});
/** A note as stored and returned. */
export type Note = z.infer<typeof Note>;

const Title = text(1, TITLE_MAX_CHARS);
const Body = text(0, BODY_MAX_CHARS);

/** Body of POST /note. Without `id` the server chooses one. */
export const NewNote = z.strictObject({
  id: z.optional(numberId.body),
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
export const NotePath = z.object({ id: numberId.path });

/** Query of GET /note. */
export const NoteListQuery = z.object({
  limit: Limit,
  cursor: Cursor,
  endpoint: z.optional(EndpointId),
});

/** Response to GET /note. */
export const NotePage = pageOf(Note);

/** Response to POST /note. */
export const NoteAdded = z.object({ data: z.literal("Note added"), note: Note });
