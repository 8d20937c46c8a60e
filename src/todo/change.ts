/** A change of a todo, from the request to the commit and KV (docs/design.md, section 3). */
import { v7 as uuidv7 } from "uuid";
import type { Bindings } from "../config.ts";
import { type Change, type CommitResult, commit } from "../event/commit.ts";
import type { HandOff } from "../event/publish.ts";
import type { EventRow } from "../event/table.ts";
import { logError } from "../run.ts";
import { readTodo, writeTodo } from "./kv.ts";

/** A change that a caller requests. `fresh`: the id is newly made, so KV need not be read. */
export type ChangeRequest = {
  owner: string;
  type: Change["type"];
  todoId: number;
  patch: object;
  endpointId: string | null;
  fresh?: boolean;
};

/** The outcome of a change; `handOff`: the event to finish in waitUntil, if there is one. */
export type Changed = { id: string; result: CommitResult; handOff: HandOff | null };

/**
 * Commits the change and puts it into KV. Once committed it is a success, whatever KV says.
 * @throws StorageError if nothing has changed: KV cannot be read, the tables are missing, D1 refused
 */
export async function change(env: Bindings, request: ChangeRequest): Promise<Changed> {
  const known = request.fresh ? null : await readTodo(env.KV, request.owner, request.todoId);
  const now = Date.now();
  const id = uuidv7({ msecs: now });
  const result = await commit(env.DB, { ...request, id, known, now });
  switch (result.kind) {
    case "committed": {
      const { row } = result;
      return { id, result, handOff: { row, put: await putOrNull(env.KV, request.todoId, row) } };
    }
    case "todo-not-found":
      return { id, result, handOff: result.row && { row: result.row, put: null } };
    default:
      return { id, result, handOff: null };
  }
}

async function putOrNull(kv: KVNamespace, todoId: number, row: EventRow): Promise<number | null> {
  // The commit took longer than its lease: another worker may have the row by now.
  if (Date.now() >= (row.due_at ?? 0)) return null;
  try {
    await writeTodo(kv, row.owner, todoId, row);
    return row.seq;
  } catch (error) {
    logError({ todo: todoId }, error);
    return null;
  }
}

/** A todo id of 53 random bits, not from a clock or a counter, so that KV need not be read. */
export function randomTodoId(): number {
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
  return (high >>> 11) * 2 ** 32 + low;
}
