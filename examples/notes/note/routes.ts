/** /note: HTTP in, HTTP out. */
import { json, jsonText, newApp, requireJson, valid } from "../../../src/http.ts";
import { change, list, numberId, read } from "../../../src/outbox/outbox.ts";
import { EndpointQuery } from "../../../src/schema.ts";
import { note } from "./resource.ts";
import { NewNote, type Note, NoteListQuery, NotePatch, NotePath } from "./schema.ts";

const PAGE_DEFAULT = 100;

/** Routes under /note. */
export const noteRoutes = newApp()
  .get("/", valid("query", NoteListQuery), async (c) => {
    const { limit = PAGE_DEFAULT, cursor } = c.req.valid("query");
    return json(await list(c, note, { limit, cursor }), 200);
  })
  .get("/:id", valid("param", NotePath), valid("query", EndpointQuery), async (c) => {
    const found = await read(c, note, c.req.valid("param").id);
    if (found === null) return c.json({ error: "Note not found" }, 404);
    return jsonText<Note, 200>(found, 200);
  })
  .post("/", requireJson, valid("query", EndpointQuery), valid("json", NewNote), async (c) => {
    const sent = c.req.valid("json");
    const { id = numberId.random(), title, body = "", pinned = false } = sent;
    const made: Note = { id, title, body, pinned };
    const fresh = sent.id === undefined;
    const { eventId } = await change(c, note, { change: "create", id, patch: made, fresh });
    const headers = { "X-Event-Id": eventId, Location: `/note/${id}` };
    return json({ data: "Note added", note: made }, 201, headers);
  })
  .put(
    "/:id",
    requireJson,
    valid("param", NotePath),
    valid("query", EndpointQuery),
    valid("json", NotePatch),
    async (c) => {
      const { id } = c.req.valid("param");
      const patch = c.req.valid("json");
      const { eventId } = await change(c, note, { change: "update", id, patch });
      const data = `Note with id ${id} has been updated.`;
      return json({ data }, 200, { "X-Event-Id": eventId });
    },
  )
  .delete("/:id", valid("param", NotePath), valid("query", EndpointQuery), async (c) => {
    const { id } = c.req.valid("param");
    const { eventId } = await change(c, note, { change: "delete", id });
    const data = `Note with id ${id} has been removed.`;
    return json({ data }, 200, { "X-Event-Id": eventId });
  });
