// /event-types
import { Hono } from "hono";
import { type Body, member, readBody } from "../body.ts";
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

function view(row: Row) {
  return {
    uid: row.uid,
    name: row.name,
    category: row.category,
    json_schema: JSON.parse(row.json_schema) as object,
    description: row.description,
    deprecated_at: row.deprecated_at,
  };
}

function fieldsOf(json: Body["json"]) {
  const schema = member(json, "json_schema", "object");
  return {
    category: member(json, "category", "string"),
    description: member(json, "description", "string"),
    json_schema: schema && JSON.stringify(schema),
  };
}

/** The part of the API that manages event types. Every project starts with "*" (recorded). */
export function eventTypeRoutes(context: Context): Hono {
  const routes = new Hono();
  const insert = (row: Omit<Row, "uid" | "deprecated_at">) => {
    const uid = context.id();
    context.db.run(
      "INSERT INTO event_type (uid, name, category, description, json_schema) VALUES (?, ?, ?, ?, ?)",
      uid,
      row.name,
      row.category,
      row.description,
      row.json_schema,
    );
    return { ...row, uid, deprecated_at: null };
  };
  const byName = (name: string) =>
    context.db.get<Row>("SELECT * FROM event_type WHERE name = ?", name);
  const seed = () => {
    if (!byName("*")) insert({ name: "*", category: "", description: "", json_schema: "{}" });
  };

  routes.get("/", () => {
    seed();
    const rows = context.db.all<Row>("SELECT * FROM event_type ORDER BY uid");
    return success(200, "Event types fetched successfully", rows.map(view));
  });

  routes.post("/", async (c) => {
    const { json } = await readBody(c.req.raw);
    seed();
    const name = member(json, "name", "string");
    const fields = fieldsOf(json);
    if (!name) throw new Refusal(400, "name:please provide a name for this event type");
    if (byName(name))
      throw new Refusal(
        400,
        'ERROR: duplicate key value violates unique constraint "idx_event_types_name_project_id" (SQLSTATE 23505)',
      );
    const row = insert({
      name,
      category: fields.category ?? "",
      description: fields.description ?? "",
      json_schema: fields.json_schema ?? "{}",
    });
    return success(201, "Event type created successfully", view(row));
  });

  routes.put("/:id", async (c) => {
    const { json } = await readBody(c.req.raw);
    const row = context.db.get<Row>("SELECT * FROM event_type WHERE uid = ?", c.req.param("id"));
    if (!row) throw new Refusal(400, "event type not found");
    const fields = fieldsOf(json);
    // Empty means unchanged (Convoy's source).
    const changed = {
      ...row,
      category: fields.category || row.category,
      description: fields.description || row.description,
      json_schema: fields.json_schema ?? row.json_schema,
    };
    context.db.run(
      "UPDATE event_type SET category = ?, description = ?, json_schema = ? WHERE uid = ?",
      changed.category,
      changed.description,
      changed.json_schema,
      row.uid,
    );
    // The real one says "created" here too (its source).
    return success(202, "Event type created successfully", view(changed));
  });

  return routes;
}
