/** A change of a todo, from the caller's wish to the commit and KV (docs/design.md, section 3). */
import { v7 as uuidv7 } from "uuid";
import type { Bindings } from "../config.ts";
import { type Change, type CommitResult, commit } from "../event/commit.ts";
import type { Logged } from "../event/publish.ts";
import { safe } from "../log.ts";
import { readTodo, writeTodo } from "./kv.ts";

/** What a caller wants. `fresh`: the id was made just now, so that KV need not be asked. */
export type Wish = {
  owner: string;
  type: Change["type"];
  todoId: number;
  patch: object;
  endpointId: string | null;
  fresh?: boolean;
};

/** What became of it; `logged`: the event to finish in waitUntil, where there is one. */
export type Changed = { id: string; result: CommitResult; logged: Logged | null };

/**
 * Commits the change and puts it into KV. Once committed it is a success, whatever KV says.
 * @throws StorageError where KV cannot be read or the tables are missing: nothing has changed
 */
export async function change(env: Bindings, wish: Wish): Promise<Changed> {
  const known = wish.fresh ? null : await readTodo(env.KV, wish.owner, wish.todoId);
  const now = Date.now();
  const id = uuidv7({ msecs: now });
  const result = await commit(env.DB, { ...wish, id, known, now });
  const source = {
    id,
    owner: wish.owner,
    endpoint_id: wish.endpointId,
    occurred_at: now,
    todo_id: wish.todoId,
    replays: 0,
  };
  if (result.kind === "committed") {
    const put = await putOrNull(env.KV, wish, result);
    const { seq, lease, todo } = result;
    return {
      id,
      result,
      logged: { ...source, type: wish.type, todo, seq, lease, put, isChange: true },
    };
  }
  if (result.kind === "todo-not-found" && result.event) {
    const failed = { ...source, ...result.event, type: "failed" as const, todo: null };
    return { id, result, logged: { ...failed, put: null, isChange: false } };
  }
  return { id, result, logged: null };
}

type Row = { seq: number; todo: string | null; lease: number };

async function putOrNull(kv: KVNamespace, wish: Wish, row: Row): Promise<number | null> {
  // The commit took longer than its lease: the row may be somebody else's by now.
  if (Date.now() >= row.lease) return null;
  try {
    await writeTodo(kv, wish.owner, wish.todoId, row);
    return row.seq;
  } catch (error) {
    console.warn(JSON.stringify({ level: "warn", todo: wish.todoId, error: safe(error) }));
    return null;
  }
}

/** A todo id of 53 random bits: never a clock or a counter, so that KV need not be asked. */
export function randomTodoId(): number {
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
  return (high >>> 11) * 2 ** 32 + low;
}
