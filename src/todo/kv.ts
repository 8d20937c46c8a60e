/** Todos in KV: the store that every read is served from. Keys and values: docs/design.md, section 2. */
import { decodeBase64Url, encodeBase64Url } from "hono/utils/encode";
import { KV_BULK_KEYS } from "../config.ts";
import { BadCursor, onKv } from "../storage.ts";
import type { Todo } from "./schema.ts";

/** KV's limit on metadata, in bytes of its JSON. */
const KV_METADATA_MAX_BYTES = 1_024;

const PREFIX = "todo:";

/** Metadata of a todo's key: the version it holds, and the todo itself if it fits. */
export type TodoMetadata = { seq: number; todo?: Todo };

/** What KV has of a todo; `todo` is null if it is too large for metadata: readLarge reads those. */
export type Stored = { key: string; owner: string; id: number; seq: number; todo: Todo | null };

/** One page of an owner's todos, in id order; `cursor` if there is more. */
export type TodoPage = { todos: Todo[]; cursor?: string };

/** The key of a todo: no two owners share one, and keys sort like ids. At most 362 of KV's 512 bytes. */
export function todoKey(owner: string, id: number): string {
  return `${ownerPrefix(owner)}${String(id).padStart(16, "0")}`;
}

const utf8 = new TextEncoder();

function ownerPrefix(owner: string): string {
  return `${PREFIX}${encodeBase64Url(utf8.encode(owner).buffer)}:`;
}

/** The todo's JSON, or null. May be up to a minute old. @throws StorageError */
export function readTodo(kv: KVNamespace, owner: string, id: number): Promise<string | null> {
  return onKv(() => kv.get(todoKey(owner, id)));
}

/** The version of each todo in KV, by key; null if there is none. @throws StorageError */
export async function readVersions(kv: KVNamespace, keys: string[]) {
  const found = await onKv(() => kv.getWithMetadata<TodoMetadata>(keys));
  // A bulk read returns null for a missing key, whatever its type says.
  const entries: [string, { metadata: TodoMetadata | null } | null][] = [...found];
  return new Map(entries.map(([key, entry]) => [key, entry?.metadata?.seq ?? null]));
}

/** Stores the todo's JSON as version `seq`, or removes it if `todo` is null. @throws StorageError */
export async function writeTodo(
  kv: KVNamespace,
  owner: string,
  id: number,
  change: { seq: number; todo: string | null },
): Promise<void> {
  const key = todoKey(owner, id);
  const { seq, todo } = change;
  if (todo === null) return onKv(() => kv.delete(key));
  const whole = { seq, todo: JSON.parse(todo) as Todo };
  const fits = utf8.encode(JSON.stringify(whole)).length <= KV_METADATA_MAX_BYTES;
  const metadata: TodoMetadata = fits ? whole : { seq };
  return onKv(() => kv.put(key, todo, { metadata }));
}

/**
 * One page of an owner's todos: one KV operation, plus one per 100 todos too large for metadata.
 * @throws StorageError; `BadCursor` if KV refuses the cursor
 */
export async function listTodos(
  kv: KVNamespace,
  owner: string,
  page: { limit: number; cursor?: string | undefined },
): Promise<TodoPage> {
  const prefix = ownerPrefix(owner);
  const listed = await list(kv, { prefix, ...page });
  // The cursor comes from the caller: whatever KV makes of it, only the owner's todos may be returned.
  const own = listed.keys.filter((key) => key.name.startsWith(prefix));
  const large = own.filter((key) => !key.metadata?.todo).map((key) => key.name);
  const fetched = await readLarge(kv, large);
  const todos = own.flatMap(({ name, metadata }) => {
    const todo = metadata?.todo ?? fetched.get(name);
    return todo ? [todo] : [];
  });
  return { todos, ...(listed.list_complete ? {} : { cursor: listed.cursor }) };
}

/**
 * One page of all owners' todos: one KV operation.
 * @throws StorageError; `BadCursor` if KV refuses the cursor
 */
export async function listAll(
  kv: KVNamespace,
  page: { limit: number; cursor?: string | undefined },
): Promise<{ todos: Stored[]; cursor: string | null }> {
  const listed = await list(kv, { prefix: PREFIX, ...page });
  const todos = listed.keys.flatMap(({ name: key, metadata }) => {
    const [, owner = "", id = ""] = key.split(":");
    if (!metadata) return []; // not one of ours
    const { seq, todo = null } = metadata;
    const bytes = decodeBase64Url(owner);
    return [{ key, owner: new TextDecoder().decode(bytes), id: Number(id), seq, todo }];
  });
  return { todos, cursor: listed.list_complete ? null : listed.cursor };
}

async function list(
  kv: KVNamespace,
  { cursor, ...options }: { prefix: string; limit: number; cursor?: string | undefined },
) {
  try {
    return await kv.list<TodoMetadata>({ ...options, ...(cursor ? { cursor } : {}) });
  } catch (cause) {
    if (cursor && /cursor|\b400\b/i.test(String(cause))) throw new BadCursor();
    return onKv(() => Promise.reject(cause));
  }
}

/** Todos by key, one operation per 100; missing ones are left out. @throws StorageError */
export async function readLarge(kv: KVNamespace, keys: string[]): Promise<Map<string, Todo>> {
  const found = new Map<string, Todo>();
  for (let start = 0; start < keys.length; start += KV_BULK_KEYS) {
    const batch = keys.slice(start, start + KV_BULK_KEYS);
    for (const [key, todo] of await onKv(() => kv.get<Todo>(batch, "json"))) {
      if (todo) found.set(key, todo); // null: removed between list and read
    }
  }
  return found;
}
