/** A todo, what callers may send to /todo, and what they get. */
import * as z from "zod/mini";
import { numberId } from "../outbox/outbox.ts";
import { Cursor, EndpointId, limitOf, notEmpty, pageOf, text } from "../schema.ts";

/** Most todos on one page: one KV list returns at most 1,000 keys. */
export const TODO_PAGE_MAX = 1_000;
/** Characters (code points) of a todo's text. */
const ITEM_MAX_CHARS = 2_000;

/** A todo as stored and as the API returns it. */
export const Todo = z.object({ id: numberId.body, item: z.string(), completed: z.boolean() });
/** A todo as stored and as the API returns it. */
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

/** Query of GET /todo. */
export const TodoListQuery = z.strictObject({
  limit: limitOf(TODO_PAGE_MAX),
  cursor: Cursor,
  endpoint: z.optional(EndpointId),
});

/** Response to GET /todo. */
export const TodoPage = pageOf(Todo);

/** Response to POST /todo. */
export const TodoAdded = z.object({ data: z.literal("Todo added"), todo: Todo });
