/** What /todo answers. The Worker uses the types alone: the schemas make the API document, and check tests. */
import * as z from "zod/mini";
import { pageOf } from "../schema.ts";
import { TodoId } from "./schema.ts";

/** A todo as stored and as given out. */
export const Todo = z.object({ id: TodoId, item: z.string(), completed: z.boolean() });
/** A todo as stored and as given out. */
export type Todo = z.infer<typeof Todo>;

/** Answer of GET /todo. */
export const TodoPage = pageOf(Todo);

/** Answer of POST /todo. */
export const TodoAdded = z.object({ data: z.literal("Todo added"), todo: Todo });
