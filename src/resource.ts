/**
 * What the log, KV's projection, webhooks and health know of the noun. For another noun, change this
 * (docs/adapt.md).
 */
import type { EventType } from "./event/schema.ts";

/**
 * The noun's name: its key in webhook bodies, and in messages. The columns `todo` and `todo_id`
 * keep theirs.
 */
export const NOUN = "todo";

/** The tutorial's table: `event` and `description` of each type that is about the noun. */
export const RESOURCE_WORDS = {
  created: { event: "created", description: "Todo created successfully" },
  retrieved: { event: "retrieved", description: "Todo retrieved successfully" },
  updated: { event: "updated", description: "Todo updated successfully" },
  deleted: { event: "deleted", description: "Todo deleted successfully" },
  failed: { event: "failure", description: "Todo not found." },
} as const satisfies Record<Exclude<EventType, "ping">, { event: string; description: string }>;

export {
  listAll,
  readLarge,
  readTodo as readResource,
  readVersions,
  type Stored,
  todoKey as resourceKey,
  writeTodo as writeResource,
} from "./todo/kv.ts";
