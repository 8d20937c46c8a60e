/** What the rest knows of todos. Event types and texts are the tutorial's. */
import { defineResource, numberId } from "../outbox/outbox.ts";
import { NewTodo, Todo, TodoPatch } from "./schema.ts";

/** The noun `todo`. */
export const todo = defineResource({
  name: "todo",
  id: numberId,
  schema: Todo,
  bodies: { create: NewTodo, update: TodoPatch },
  title: ({ item }) => item,
  example: {
    id: 1,
    item: "Setup a convoy webhook project and publish my first webhook",
    completed: false,
  },
  verbs: {
    created: { type: "created", description: "Todo created successfully" },
    retrieved: { type: "retrieved", description: "Todo retrieved successfully" },
    updated: { type: "updated", description: "Todo updated successfully" },
    deleted: { type: "deleted", description: "Todo deleted successfully" },
    failed: { type: "failed", event: "failure", description: "Todo not found." },
  },
});
