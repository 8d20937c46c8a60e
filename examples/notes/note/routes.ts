/** /note: HTTP in, HTTP out. */
import { jsonText, newApp } from "../../../src/http.ts";
import { change, list, numberId, read } from "../../../src/outbox/outbox.ts";
import { EndpointQuery, ListQuery, PAGE_DEFAULT } from "../../../src/schema.ts";
import { validBody, validPath, validQuery } from "../../../src/validate.ts";
import { note } from "./resource.ts";
import { NewNote, type Note, NotePatch, NotePath } from "./schema.ts";

export const noteRoutes = newApp()
  .get("/", validQuery(ListQuery), async (c) => {
    const { limit = PAGE_DEFAULT, cursor } = c.req.valid("query");
    return c.json(await list(c, note, { limit, cursor }), 200);
  })
  .get("/:id", validPath(NotePath), validQuery(EndpointQuery), async (c) => {
    const found = await read(c, note, c.req.valid("param").id);
    if (found === null) return c.json({ error: "Note not found" }, 404);
    return jsonText<Note, 200>(c, found, 200);
  })
  .post("/", validQuery(EndpointQuery), validBody(NewNote), async (c) => {
    const { id = numberId.random(), title, body = "", pinned = false } = c.req.valid("json");
    const made: Note = { id, title, body, pinned };
    const fresh = c.req.valid("json").id === undefined;
    await change(c, note, { change: "create", id, patch: made, fresh });
    return c.json({ data: "Note added", note: made }, 201, { Location: `/note/${id}` });
  })
  .put("/:id", validPath(NotePath), validQuery(EndpointQuery), validBody(NotePatch), async (c) => {
    const { id } = c.req.valid("param");
    await change(c, note, { change: "update", id, patch: c.req.valid("json") });
    return c.json({ data: `Note with id ${id} has been updated.` }, 200);
  })
  .delete("/:id", validPath(NotePath), validQuery(EndpointQuery), async (c) => {
    const { id } = c.req.valid("param");
    await change(c, note, { change: "delete", id });
    return c.json({ data: `Note with id ${id} has been removed.` }, 200);
  });
