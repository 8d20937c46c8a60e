/** /endpoint: HTTP in, HTTP out. */

import { v7 as uuidv7 } from "uuid";
import { budgetOf } from "../budget.ts";
import { DELIVERY_PAGE_DEFAULT, PAGE_DEFAULT, SYNC_BUDGET } from "../config.ts";
import { convoyOf } from "../convoy/client.ts";
import { getDelivery, listAttempts, listDeliveries } from "../convoy/deliveries.ts";
import { commitPing } from "../event/commit.ts";
import { finish } from "../event/publish.ts";
import { newApp, problem, requireJson, requireJsonIfAny, valid } from "../http.ts";
import { PageQuery } from "../schema.ts";
import { changeEndpoint, createEndpoint, deleteEndpoint } from "./create.ts";
import { toAttempt, toDelivery } from "./deliveries.ts";
import { activate, pause } from "./pause.ts";
import { reconcile } from "./reconcile.ts";
import { refusal } from "./refusal.ts";
import { rotateSecret } from "./rotate.ts";
import type { Endpoint } from "./schema.ts";
import {
  DeliveryListQuery,
  DeliveryPath,
  EndpointPatch,
  EndpointPath,
  NewEndpoint,
  Rotation,
} from "./schema.ts";
import { type EndpointRow, findEndpoint, listEndpoints } from "./table.ts";

const notFound = () => problem(404, "Endpoint not found");

/** Routes under /endpoint. */
export const endpoint = newApp()
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
    const eventId = uuidv7({ msecs: now });
    const row = await commitPing(c.env.DB, { id: eventId, owner, endpointId: id, now });
    if (!row) throw notFound();
    c.executionCtx.waitUntil(finish(c.env, { row, put: null }));
    c.header("X-Event-Id", eventId);
    return c.json({ data: "Ping queued", event_id: eventId }, 202);
  })
  .post("/sync", async (c) => {
    const budget = budgetOf(SYNC_BUDGET, Number.POSITIVE_INFINITY);
    return c.json(await reconcile(c.env, convoyOf(c.env), c.get("owner"), budget), 200);
  })
  .post("/:id/pause", valid("param", EndpointPath), async (c) => {
    const row = await pause(c.env, c.get("owner"), c.req.valid("param").id);
    if (!row) throw notFound();
    return c.json(toEndpoint(row), 200);
  })
  .post("/:id/activate", valid("param", EndpointPath), async (c) => {
    const row = await activate(c.env, c.get("owner"), c.req.valid("param").id);
    if (!row) throw notFound();
    return c.json(toEndpoint(row), 200);
  })
  .post(
    "/:id/rotate-secret",
    requireJsonIfAny,
    valid("param", EndpointPath),
    valid("json", Rotation),
    async (c) => {
      const { id } = c.req.valid("param");
      const rotated = await rotateSecret(c.env, c.get("owner"), id, c.req.valid("json"));
      if (!rotated) throw notFound();
      const { row, secret, overlapHours } = rotated;
      return c.json({ endpoint: toEndpoint(row), secret, overlap_hours: overlapHours }, 200);
    },
  )
  .get(
    "/:id/delivery",
    valid("param", EndpointPath),
    valid("query", DeliveryListQuery),
    async (c) => {
      const { id } = c.req.valid("param");
      const { limit = DELIVERY_PAGE_DEFAULT, cursor } = c.req.valid("query");
      if (!(await findEndpoint(c.env.DB, c.get("owner"), id))) throw notFound();
      const page = { endpointId: id, perPage: limit, cursor };
      const answer = await listDeliveries(convoyOf(c.env), page);
      if (!answer.ok) throw refusal(answer);
      const { items, next } = answer.data;
      return c.json({ data: items.map(toDelivery), ...(next ? { cursor: next } : {}) }, 200);
    },
  )
  .get("/:id/delivery/:delivery", valid("param", DeliveryPath), async (c) => {
    const { id, delivery } = c.req.valid("param");
    if (!(await findEndpoint(c.env.DB, c.get("owner"), id))) throw notFound();
    const convoy = convoyOf(c.env);
    const told = await getDelivery(convoy, delivery);
    if (!told.ok && told.status !== 404) throw refusal(told);
    // Another endpoint's delivery is none of the caller's business, even to know of.
    if (!told.ok || told.data.endpoint_id !== id) throw problem(404, "Delivery not found");
    const attempts = await listAttempts(convoy, delivery);
    if (!attempts.ok) throw refusal(attempts);
    const made = (attempts.data ?? []).map(toAttempt);
    return c.json({ ...toDelivery(told.data), attempts_made: made }, 200);
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
