/** /todo: HTTP in, HTTP out. */
import { json, jsonText, newApp, requireJson, valid } from "../http.ts";
import { change, list, numberId, read } from "../outbox/outbox.ts";
import { EndpointQuery } from "../schema.ts";
import { todo } from "./resource.ts";
import { NewTodo, TODO_PAGE_MAX, type Todo, TodoListQuery, TodoPatch, TodoPath } from "./schema.ts";

/** Routes under /todo. */
export const todoRoutes = newApp()
  .get("/", valid("query", TodoListQuery), async (c) => {
    const { limit = TODO_PAGE_MAX, cursor } = c.req.valid("query");
    return json(await list(c, todo, { limit, cursor }), 200);
  })
  .get("/:id", valid("param", TodoPath), valid("query", EndpointQuery), async (c) => {
    const found = await read(c, todo, c.req.valid("param").id);
    if (found === null) return c.json({ error: "Todo not found" }, 404);
    return jsonText<Todo, 200>(found, 200);
  })
  .post("/", requireJson, valid("query", EndpointQuery), valid("json", NewTodo), async (c) => {
    const { id = numberId.random(), item, completed = false } = c.req.valid("json");
    const made: Todo = { id, item, completed };
    const fresh = c.req.valid("json").id === undefined;
    const { eventId } = await change(c, todo, { change: "create", id, patch: made, fresh });
    const headers = { "X-Event-Id": eventId, Location: `/todo/${id}` };
    return json({ data: "Todo added", todo: made }, 201, headers);
  })
  .put(
    "/:id",
    requireJson,
    valid("param", TodoPath),
    valid("query", EndpointQuery),
    valid("json", TodoPatch),
    async (c) => {
      const { id } = c.req.valid("param");
      const patch = c.req.valid("json");
      const { eventId } = await change(c, todo, { change: "update", id, patch });
      const data = `Todo with id ${id} has been updated.`;
      return json({ data }, 200, { "X-Event-Id": eventId });
    },
  )
  .delete("/:id", valid("param", TodoPath), valid("query", EndpointQuery), async (c) => {
    const { id } = c.req.valid("param");
    const { eventId } = await change(c, todo, { change: "delete", id });
    const data = `Todo with id ${id} has been removed.`;
    return json({ data }, 200, { "X-Event-Id": eventId });
  });
