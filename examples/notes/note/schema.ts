/** A note, and what callers may send to /note. */
import * as z from "zod/mini";
import { numberId } from "../../../src/outbox/outbox.ts";
import { notEmpty, text } from "../../../src/schema.ts";

const TITLE_MAX_CHARS = 200;
const BODY_MAX_CHARS = 2_000;

/** A note as stored and as the API returns it. */
export const Note = z.object({
  id: numberId.body,
  title: z.string(),
  body: z.string(),
  pinned: z.boolean(),
});
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

export const NotePath = z.object({ id: numberId.path });
