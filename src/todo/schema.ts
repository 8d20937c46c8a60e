/** A todo, and what callers may send to /todo. */
import * as z from "zod/mini";
import { numberId } from "../outbox/outbox.ts";
import { notEmpty, text } from "../schema.ts";

/** Characters (code points) of a todo's text. */
const ITEM_MAX_CHARS = 2_000;

/** A todo as stored and as the API returns it. */
export const Todo = z.object({ id: numberId.body, item: z.string(), completed: z.boolean() });
export type Todo = z.infer<typeof Todo>;

const Item = text(1, ITEM_MAX_CHARS);

/** Body of POST /todo. Without `id` the server chooses one. */
export const NewTodo = z.strictObject({
  id: z.optional(numberId.body),
  item: Item,
  completed: z.optional(z.boolean()),
});

/** Body of PUT /todo/:id: at least one field. */
export const TodoPatch = notEmpty(
  z.strictObject({ item: z.optional(Item), completed: z.optional(z.boolean()) }),
  "send item, completed or both",
);

/** `:id` of a todo in a path. */
export const TodoPath = z.object({ id: numberId.path });
