/** Routes of the nouns that exist only in tests: plain Hono on the outbox's verbs, as any noun's. */
import * as z from "zod/mini";
import { newApp } from "../../src/http.ts";
import { change, type Guard, list, read } from "../../src/outbox/outbox.ts";
import { validBody, validPath } from "../../src/validate.ts";
import { part, Thing, thing } from "./thing.ts";

const ThingPath = z.object({ id: thing.id.path });
const NewPart = z.object({ id: part.id.body });
const PartPath = z.object({ id: part.id.path });
const Patch = z.partial(Thing);
/** A part is sealed once: a change that depends on the current value. */
const OPEN: Guard = { sql: "NOT (current.data ->> 'sealed')", error: "The part is sealed." };

/** /thing: as a noun has them. */
export const things = newApp()
  .get("/", async (c) => c.json(await list(c, thing, { limit: 100 }), 200))
  .get("/:id", validPath(ThingPath), async (c) => {
    const found = await read(c, thing, c.req.valid("param").id);
    return found === null ? c.json({ error: "Thing not found" }, 404) : c.body(found, 200);
  })
  .post("/", validBody(Patch), async (c) => {
    const { id = thing.id.random(), name = "", size = 0 } = c.req.valid("json");
    const made = { id, name, size };
    const fresh = c.req.valid("json").id === undefined;
    await change(c, thing, { change: "create", id, patch: made, fresh });
    return c.json({ thing: made }, 201);
  })
  .put("/:id", validPath(ThingPath), validBody(Patch), async (c) => {
    const { id } = c.req.valid("param");
    const { data } = await change(c, thing, { change: "update", id, patch: c.req.valid("json") });
    return c.json({ thing: data }, 200);
  })
  .delete("/:id", validPath(ThingPath), async (c) => {
    await change(c, thing, { change: "delete", id: c.req.valid("param").id });
    return c.json({}, 200);
  });

/** /part: made once, sealed once. */
export const parts = newApp()
  .post("/", validBody(NewPart), async (c) => {
    const { id } = c.req.valid("json");
    await change(c, part, { change: "create", id, patch: { id, name: "lid", sealed: false } });
    return c.json({}, 201);
  })
  .post("/:id/seal", validPath(PartPath), async (c) => {
    const { id } = c.req.valid("param");
    const what = { change: "update", type: "part.sealed", patch: { sealed: true } } as const;
    await change(c, part, { ...what, id, guard: OPEN });
    return c.json({}, 200);
  });
