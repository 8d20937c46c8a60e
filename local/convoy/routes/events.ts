// /events: accepted at once, processed afterwards.
import { Hono } from "hono";
import * as z from "zod/mini";
import { readBody, text } from "../body.ts";
import type { Context } from "../context.ts";
import type { Engine } from "../engine.ts";
import { type ApiEnv, Refusal, success, successRaw } from "../envelope.ts";
import { rawMember } from "../json.ts";
import { type Condition, equals, oneOf, page, timeWindow, whereOf } from "../paging.ts";
import { requireEndpoint } from "../store/endpoints.ts";
import { acceptEvent, type EventRow } from "../store/events.ts";
import { eventJson, pageJson } from "../views.ts";

// What cannot be a header is refused, or it would break every attempt later.
const HeaderName = z.string().check(z.regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/));
const HeaderValue = z.string().check(z.regex(/^[^\r\n\0]*$/));
const Fields = z.object({
  endpoint_id: text,
  event_type: text,
  idempotency_key: text,
  custom_headers: z.nullish(z.record(HeaderName, HeaderValue)),
});

/** Which events a list shows; those still waiting and swallowed ones are in none. */
function filters(context: Context, query: URLSearchParams): Condition[] {
  return [
    { sql: "processed = 1 AND swallowed = 0", values: [] },
    ...timeWindow(context, query),
    ...equals("idempotency_key", query.get("idempotencyKey")),
    ...oneOf("endpoint_id", query.getAll("endpointId")),
  ];
}

export function eventRoutes(context: Context, engine: Engine): Hono<ApiEnv> {
  const routes = new Hono<ApiEnv>();
  routes.post("/", async (c) => {
    const { raw, json } = await readBody(c.req.raw, Fields);
    const { event_type, endpoint_id, idempotency_key, custom_headers } = json;
    const data = rawMember(raw, "data");
    const problems = [
      ...(event_type ? [] : ["event_type:please provide an event type"]),
      ...(data === undefined ? ["data:please provide your data"] : []),
    ];
    if (!event_type || data === undefined) throw new Refusal(400, problems.join(", "));
    if (!endpoint_id) throw new Refusal(400, "please provide an endpoint ID");
    requireEndpoint(context, endpoint_id, { status: 400, message: "endpoint not found" });
    const headers = Object.entries(custom_headers ?? {}).map(([name, value]) => [name, [value]]);
    acceptEvent(context, {
      endpoint_id,
      event_type,
      data,
      idempotency_key: idempotency_key ?? "",
      custom_headers: JSON.stringify(Object.fromEntries(headers)),
      swallowed: Number(c.env?.trouble !== undefined),
    });
    engine.wake();
    return success(201, "Event queued successfully", null);
  });

  // Like replay below: reports success and delivers nothing (recorded).
  routes.post("/batchreplay", (c) => {
    const where = whereOf(filters(context, new URL(c.req.url).searchParams));
    const found = context.db.get<{ events: number }>(
      `SELECT count(*) AS events FROM event ${where.sql}`,
      ...where.values,
    );
    return success(200, `${found?.events ?? 0} successful, 0 failed`, null);
  });

  routes.get("/", (c) => {
    const query = new URL(c.req.url).searchParams;
    const conditions = filters(context, query);
    const { content, pagination } = page<EventRow>(context, "event", conditions, query);
    const rows = content.map((row) => eventJson(context, row));
    return successRaw(200, "App events fetched successfully", pageJson(rows, pagination));
  });

  const found = (uid: string): EventRow => {
    const row = context.db.find<EventRow>("event", uid);
    if (row?.processed !== 1 || row.swallowed === 1) throw new Refusal(404, "event not found");
    return row;
  };

  routes.get("/:id", (c) => {
    const row = found(c.req.param("id"));
    return successRaw(200, "Endpoint event fetched successfully", eventJson(context, row));
  });

  // Convoy's replay answers 200 and delivers nothing (recorded), and so does this one.
  routes.put("/:id/replay", (c) => {
    const row = { ...found(c.req.param("id")), acknowledged_at: context.timestamp() };
    return successRaw(200, "Endpoint event replayed successfully", eventJson(context, row));
  });

  return routes;
}
