// /event-types
import { Hono } from "hono";
import * as z from "zod/mini";
import { object, readBody, text } from "../body.ts";
import type { Context } from "../context.ts";
import { Refusal, success } from "../envelope.ts";

type Row = {
  uid: string;
  name: string;
  category: string;
  description: string;
  json_schema: string;
  deprecated_at: string | null;
};

const Fields = z.object({ name: text, category: text, description: text, json_schema: object });

const view = (row: Row) => ({ ...row, json_schema: JSON.parse(row.json_schema) as object });

/** The part of the API that manages event types. Every project starts with "*" (recorded). */
export function eventTypeRoutes({ db, id }: Context): Hono {
  const routes = new Hono();
  const insert = (name: string, fields: Partial<z.infer<typeof Fields>>) => {
    const { category, description, json_schema } = fields;
    const row: Row = {
      uid: id(),
      name,
      category: category ?? "",
      description: description ?? "",
      json_schema: JSON.stringify(json_schema ?? {}),
      deprecated_at: null,
    };
    db.insert("event_type", row);
    return row;
  };
  const byName = (name: string) => db.get<Row>("SELECT * FROM event_type WHERE name = ?", name);
  const seed = () => {
    if (!byName("*")) insert("*", {});
  };

  routes.get("/", () => {
    seed();
    const rows = db.all<Row>("SELECT * FROM event_type ORDER BY uid");
    return success(200, "Event types fetched successfully", rows.map(view));
  });

  routes.post("/", async (c) => {
    const { json } = await readBody(c.req.raw, Fields);
    seed();
    if (!json.name) throw new Refusal(400, "name:please provide a name for this event type");
    if (byName(json.name))
      throw new Refusal(
        400,
        'ERROR: duplicate key value violates unique constraint "idx_event_types_name_project_id" (SQLSTATE 23505)',
      );
    return success(201, "Event type created successfully", view(insert(json.name, json)));
  });

  routes.put("/:id", async (c) => {
    const { json } = await readBody(c.req.raw, Fields);
    const row = db.find<Row>("event_type", c.req.param("id"));
    if (!row) throw new Refusal(400, "event type not found");
    // Empty means unchanged (Convoy's source).
    const changed = {
      category: json.category || row.category,
      description: json.description || row.description,
      json_schema: json.json_schema ? JSON.stringify(json.json_schema) : row.json_schema,
    };
    db.update("event_type", row.uid, changed);
    // The real one says "created" here too (its source).
    return success(202, "Event type created successfully", view({ ...row, ...changed }));
  });

  return routes;
}
