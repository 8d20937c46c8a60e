/** A todo, and what callers may send to /todo; answers.ts has the responses. */
import * as z from "zod/mini";
import { ITEM_MAX_CHARS } from "../config.ts";
import { Cursor, EndpointId, Limit, notEmpty, numeral, text } from "../schema.ts";

/** A todo's id: a safe integer >= 0. */
export const TodoId = z.int().check(z.nonnegative());

/** A todo as stored and as the API returns it. */
export const Todo = z.object({ id: TodoId, item: z.string(), completed: z.boolean() });
/** A todo as stored and as the API returns it. */
export type Todo = z.infer<typeof Todo>;

const Item = text(1, ITEM_MAX_CHARS);

/** Body of POST /todo. Without `id` the server chooses one. */
export const NewTodo = z.strictObject({
  id: z.optional(TodoId),
  item: Item,
  completed: z.optional(z.boolean()),
});

/** Body of PUT /todo/:id: at least one field. */
export const TodoPatch = notEmpty(
  z.strictObject({ item: z.optional(Item), completed: z.optional(z.boolean()) }),
  "send item, completed or both",
);

/** `:id` of a todo in a path. */
export const TodoPath = z.object({ id: numeral(TodoId) });

/** Query of GET /todo. */
export const TodoListQuery = z.strictObject({
  limit: Limit,
  cursor: Cursor,
  endpoint: z.optional(EndpointId),
});
