// /events: accepted at once, processed afterwards.
import { Hono } from "hono";
import { type Body, member, readBody } from "../body.ts";
import type { Context } from "../context.ts";
import type { Engine } from "../engine.ts";
import { type ApiEnv, Refusal, success, successRaw } from "../envelope.ts";
import { rawMember } from "../json.ts";
import { type Condition, equals, oneOf, page, timeWindow } from "../paging.ts";
import { findEndpoint } from "../store/endpoints.ts";
import { acceptEvent, type EventRow } from "../store/events.ts";
import { eventJson, pageJson } from "../views.ts";

function customHeaders(json: Body["json"]): Record<string, string[]> {
  const given = member(json, "custom_headers", "object") ?? {};
  const headers: Record<string, string[]> = {};
  for (const [name, value] of Object.entries(given)) {
    // Refuse what cannot be a header, or it would break every attempt later.
    if (
      typeof value !== "string" ||
      !/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name) ||
      /[\r\n\0]/.test(value)
    )
      throw new Refusal(400, "Invalid request format");
    headers[name] = [value];
  }
  return headers;
}

/** The members that every event needs; refuses missing ones with Convoy's messages (recorded). */
function eventOf({ raw, json }: Body) {
  const eventType = member(json, "event_type", "string");
  const data = rawMember(raw, "data");
  const problems = [
    ...(eventType ? [] : ["event_type:please provide an event type"]),
    ...(data === undefined ? ["data:please provide your data"] : []),
  ];
  if (!eventType || data === undefined) throw new Refusal(400, problems.join(", "));
  return {
    event_type: eventType,
    data,
    idempotency_key: member(json, "idempotency_key", "string") ?? "",
    custom_headers: customHeaders(json),
  };
}

/** Which events a list shows; those still waiting and swallowed ones are in none. */
function filters(context: Context, query: URLSearchParams): Condition[] {
  return [
    { sql: "processed = 1 AND swallowed = 0", values: [] },
    ...timeWindow(context, query),
    ...equals("idempotency_key", query.get("idempotencyKey")),
    ...oneOf("endpoint_id", query.getAll("endpointId")),
  ];
}

/** The part of the API that accepts and lists events. */
export function eventRoutes(context: Context, engine: Engine): Hono<ApiEnv> {
  const routes = new Hono<ApiEnv>();
  routes.post("/", async (c) => {
    const body = await readBody(c.req.raw);
    const endpointId = member(body.json, "endpoint_id", "string");
    const event = eventOf(body);
    if (!endpointId) throw new Refusal(400, "please provide an endpoint ID");
    if (!findEndpoint(context, endpointId)) throw new Refusal(400, "endpoint not found");
    acceptEvent(context, {
      ...event,
      endpoint_id: endpointId,
      swallowed: c.env?.trouble !== undefined,
    });
    engine.wake();
    return success(201, "Event queued successfully", null);
  });

  // Like replay below: reports success and delivers nothing (recorded).
  routes.post("/batchreplay", (c) => {
    const conditions = filters(context, new URL(c.req.url).searchParams);
    const found = context.db.get<{ events: number }>(
      `SELECT count(*) AS events FROM event WHERE ${conditions.map((one) => one.sql).join(" AND ")}`,
      ...conditions.flatMap((one) => one.values),
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
    const row = context.db.get<EventRow>(
      "SELECT * FROM event WHERE uid = ? AND processed = 1 AND swallowed = 0",
      uid,
    );
    if (!row) throw new Refusal(404, "event not found");
    return row;
  };

  routes.get("/:id", (c) =>
    successRaw(
      200,
      "Endpoint event fetched successfully",
      eventJson(context, found(c.req.param("id"))),
    ),
  );

  // Convoy's replay answers 200 and delivers nothing (recorded), and so does this one.
  routes.put("/:id/replay", (c) =>
    successRaw(
      200,
      "Endpoint event replayed successfully",
      eventJson(context, { ...found(c.req.param("id")), acknowledged_at: context.timestamp() }),
    ),
  );

  return routes;
}
