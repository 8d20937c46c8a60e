/** /todo: HTTP in, HTTP out. */

import type { Context } from "hono";
import { v7 as uuidv7 } from "uuid";
import { TODO_PAGE_MAX } from "../config.ts";
import { problem, unavailable } from "../errors.ts";
import { finish, publishRead } from "../event/publish.ts";
import type { AppEnv } from "../http.ts";
import { jsonText, newApp } from "../http.ts";
import { EndpointQuery } from "../schema.ts";
import { validBody, validPath, validQuery } from "../validate.ts";
import { type Changed, type ChangeRequest, change, randomTodoId } from "./change.ts";
import { listTodos, readTodo } from "./kv.ts";
import { NewTodo, type Todo, TodoListQuery, TodoPatch, TodoPath } from "./schema.ts";

/** Routes under /todo. */
export const todo = newApp()
  .get("/", validQuery(TodoListQuery), async (c) => {
    const { limit = TODO_PAGE_MAX, cursor, endpoint } = c.req.valid("query");
    const page = await listTodos(c.env.KV, c.get("owner"), { limit, cursor });
    publishReadLater(c, endpoint, "retrieved", null, null);
    return c.json({ data: page.todos, ...(page.cursor ? { cursor: page.cursor } : {}) }, 200);
  })
  .get("/:id", validPath(TodoPath), validQuery(EndpointQuery), async (c) => {
    const { id } = c.req.valid("param");
    const { endpoint } = c.req.valid("query");
    const found = await readTodo(c.env.KV, c.get("owner"), id);
    publishReadLater(c, endpoint, found === null ? "failed" : "retrieved", id, found);
    if (found === null) return c.json({ error: "Todo not found" }, 404);
    return jsonText<Todo, 200>(c, found, 200);
  })
  .post("/", validQuery(EndpointQuery), validBody(NewTodo), async (c) => {
    const { item, completed = false, ...body } = c.req.valid("json");
    const id = body.id ?? randomTodoId();
    const made = { id, item, completed };
    const fresh = body.id === undefined;
    const headers = await changeTodo(c, { type: "created", todoId: id, patch: made, fresh });
    return c.json({ data: "Todo added", todo: made }, 201, { ...headers, Location: `/todo/${id}` });
  })
  .put("/:id", validPath(TodoPath), validQuery(EndpointQuery), validBody(TodoPatch), async (c) => {
    const { id } = c.req.valid("param");
    const patch = c.req.valid("json");
    const headers = await changeTodo(c, { type: "updated", todoId: id, patch });
    return c.json({ data: `Todo with id ${id} has been updated.` }, 200, headers);
  })
  .delete("/:id", validPath(TodoPath), validQuery(EndpointQuery), async (c) => {
    const { id } = c.req.valid("param");
    const headers = await changeTodo(c, { type: "deleted", todoId: id, patch: {} });
    return c.json({ data: `Todo with id ${id} has been removed.` }, 200, headers);
  });

// The types of a route's context differ in what was validated; these helpers need only its bindings.
// biome-ignore lint/suspicious/noExplicitAny: Hono's input type is invariant
type AnyContext = Context<AppEnv, any, any>;

/** Makes the change, or throws the error response. @returns the headers of its response */
async function changeTodo(
  c: AnyContext,
  request: Omit<ChangeRequest, "owner" | "endpointId">,
): Promise<Record<string, string>> {
  const endpointId = c.req.query("endpoint") ?? null;
  const changed = await change(c.env, { ...request, owner: c.get("owner"), endpointId });
  if (changed.handOff) c.executionCtx.waitUntil(finish(c.env, changed.handOff));
  refuse(changed, request.todoId);
  return { "X-Event-Id": changed.id };
}

/** Throws the error response to a change that was not committed. */
function refuse({ id: eventId, result, handOff }: Changed, id: number): void {
  const headers: Record<string, string> = handOff ? { "X-Event-Id": eventId } : {};
  switch (result.kind) {
    case "committed":
      return;
    case "endpoint-not-found":
      throw problem(404, "Endpoint not found");
    case "exists":
      throw problem(409, `Todo with id ${id} already exists. Use PUT /todo/${id} to change it.`);
    case "todo-not-found": {
      const data = `Todo with id ${id} not found.`;
      throw problem(404, "Todo not found", { data, headers });
    }
    case "busy":
      throw unavailable("The todo is being changed by other requests. Try again.");
    case "unknown":
      throw unavailable(
        `The database did not answer: the change may or may not have been made. GET /event/${eventId} shows which, once it answers again.`,
        { "X-Event-Id": eventId },
      );
  }
}

/** Publishes a read in waitUntil; only if the caller named an endpoint. */
function publishReadLater(
  c: AnyContext,
  endpoint: string | undefined,
  type: "retrieved" | "failed",
  todoId: number | null,
  found: string | null,
): void {
  if (!endpoint) return;
  const now = Date.now();
  c.executionCtx.waitUntil(
    publishRead(c.env, {
      id: uuidv7({ msecs: now }),
      owner: c.get("owner"),
      type,
      endpoint_id: endpoint,
      occurred_at: now,
      todo_id: todoId,
      todo: found,
    }),
  );
}
