/** What the log, KV's projection, webhooks and health know about the noun: change it for another one (docs/adapt.md). */
import type { EventType } from "./event/schema.ts";

/** The noun's name: its key in a webhook's body, and in messages. The columns `todo` and `todo_id` keep their names. */
export const NOUN = "note";

/** `event` and `description` of each type that is about the noun. */
export const RESOURCE_WORDS = {
  created: { event: "created", description: "Note created" },
  retrieved: { event: "retrieved", description: "Note retrieved" },
  updated: { event: "updated", description: "Note updated" },
  deleted: { event: "deleted", description: "Note deleted" },
  failed: { event: "failure", description: "Note not found." },
} as const satisfies Record<Exclude<EventType, "ping">, { event: string; description: string }>;

export {
  listAll,
  noteKey as resourceKey,
  readLarge,
  readNote as readResource,
  readVersions,
  type Stored,
  writeNote as writeResource,
} from "./note/kv.ts";
