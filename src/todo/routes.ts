/** /todo: HTTP in, HTTP out. */
import { jsonText, newApp } from "../http.ts";
import { change, list, numberId, read } from "../outbox/outbox.ts";
import { EndpointQuery, ListQuery, PAGE_MAX } from "../schema.ts";
import { validBody, validPath, validQuery } from "../validate.ts";
import { todo } from "./resource.ts";
import { NewTodo, type Todo, TodoPatch, TodoPath } from "./schema.ts";

/** Routes under /todo. */
export const todoRoutes = newApp()
  .get("/", validQuery(ListQuery), async (c) => {
    const { limit = PAGE_MAX, cursor } = c.req.valid("query");
    return c.json(await list(c, todo, { limit, cursor }), 200);
  })
  .get("/:id", validPath(TodoPath), validQuery(EndpointQuery), async (c) => {
    const found = await read(c, todo, c.req.valid("param").id);
    if (found === null) return c.json({ error: "Todo not found" }, 404);
    return jsonText<Todo, 200>(c, found, 200);
  })
  .post("/", validQuery(EndpointQuery), validBody(NewTodo), async (c) => {
    const { id = numberId.random(), item, completed = false } = c.req.valid("json");
    const made: Todo = { id, item, completed };
    const fresh = c.req.valid("json").id === undefined;
    await change(c, todo, { change: "create", id, patch: made, fresh });
    return c.json({ data: "Todo added", todo: made }, 201, { Location: `/todo/${id}` });
  })
  .put("/:id", validPath(TodoPath), validQuery(EndpointQuery), validBody(TodoPatch), async (c) => {
    const { id } = c.req.valid("param");
    const patch = c.req.valid("json");
    await change(c, todo, { change: "update", id, patch });
    const data = `Todo with id ${id} has been updated.`;
    return c.json({ data }, 200);
  })
  .delete("/:id", validPath(TodoPath), validQuery(EndpointQuery), async (c) => {
    const { id } = c.req.valid("param");
    await change(c, todo, { change: "delete", id });
    const data = `Todo with id ${id} has been removed.`;
    return c.json({ data }, 200);
  });
