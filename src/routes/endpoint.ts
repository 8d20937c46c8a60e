/** /endpoint: HTTP in, HTTP out. */
import { Hono } from "hono";
import { v7 as uuidv7 } from "uuid";
import type { AppEnv } from "../app.ts";
import { PAGE_DEFAULT } from "../config.ts";
import { changeEndpoint, createEndpoint, deleteEndpoint } from "../delivery/endpoint.ts";
import { finish } from "../delivery/publish.ts";
import { problem } from "../errors.ts";
import { type Endpoint, EndpointPatch, EndpointPath, NewEndpoint, PageQuery } from "../schema.ts";
import { logEvent } from "../storage/commit.ts";
import { type EndpointRow, findEndpoint, listEndpoints } from "../storage/endpoints.ts";
import { requireJson, valid } from "../validate.ts";

const notFound = () => problem(404, "Endpoint not found");

/** Routes under /endpoint. */
export const endpoint = new Hono<AppEnv>()
  .get("/", valid("query", PageQuery), async (c) => {
    const { limit = PAGE_DEFAULT, cursor } = c.req.valid("query");
    const rows = await listEndpoints(c.env.DB, c.get("owner"), { limit: limit + 1, after: cursor });
    const data = rows.slice(0, limit).map(toEndpoint);
    const last = rows.length > limit ? data.at(-1) : undefined;
    return c.json({ data, ...(last ? { cursor: last.id } : {}) }, 200);
  })
  .get("/:id", valid("param", EndpointPath), async (c) => {
    const row = await findEndpoint(c.env.DB, c.get("owner"), c.req.valid("param").id);
    if (!row) throw notFound();
    return c.json(toEndpoint(row), 200);
  })
  .post("/", requireJson, valid("json", NewEndpoint), async (c) => {
    const { row, secret } = await createEndpoint(c.env, c.get("owner"), c.req.valid("json"));
    c.header("Location", `/endpoint/${row.id}`);
    return c.json({ "Endpoint ID": row.id, endpoint: toEndpoint(row), secret }, 201);
  })
  .put(
    "/:id",
    requireJson,
    valid("param", EndpointPath),
    valid("json", EndpointPatch),
    async (c) => {
      const { id } = c.req.valid("param");
      const row = await changeEndpoint(c.env, c.get("owner"), id, c.req.valid("json"));
      if (!row) throw notFound();
      return c.json(toEndpoint(row), 200);
    },
  )
  .delete("/:id", valid("param", EndpointPath), async (c) => {
    const { id } = c.req.valid("param");
    if (!(await deleteEndpoint(c.env, c.get("owner"), id))) throw notFound();
    return c.json({ data: "Endpoint ID has been removed." }, 200);
  })
  .post("/:id/ping", valid("param", EndpointPath), async (c) => {
    const { id } = c.req.valid("param");
    const now = Date.now();
    const owner = c.get("owner");
    const event = { id: uuidv7({ msecs: now }), owner, type: "ping" as const };
    const logged = await logEvent(c.env.DB, { ...event, endpointId: id, now });
    if (!logged) throw notFound();
    const source = { ...event, endpoint_id: id, occurred_at: now, todo_id: null, todo: null };
    const row = { ...source, ...logged, replays: 0, put: null, isChange: false };
    c.executionCtx.waitUntil(finish(c.env, row));
    c.header("X-Event-Id", event.id);
    return c.json({ data: "Ping queued", event_id: event.id }, 202);
  });

/** The record as given out: no owner, no subscription, never a secret. */
export function toEndpoint(row: EndpointRow): Endpoint {
  return {
    id: row.id,
    name: row.name,
    url: row.url,
    description: row.description,
    http_timeout: row.http_timeout_s,
    // `creating` rows are never read for a caller.
    status: row.status as Endpoint["status"],
    created_at: new Date(row.created_at).toISOString(),
    updated_at: new Date(row.updated_at).toISOString(),
  };
}
