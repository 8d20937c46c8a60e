// /events: accepted at once, processed afterwards.
import { Hono } from "hono";
import { MIN_HTTP_TIMEOUT_S } from "../../config.ts";
import { type Body, member, readBody } from "../body.ts";
import type { Context } from "../context.ts";
import type { Engine } from "../engine.ts";
import { Refusal, success, successRaw } from "../envelope.ts";
import { rawMember } from "../json.ts";
import { type Condition, equals, page, timeWindow } from "../paging.ts";
import { createEndpoint, findEndpoint } from "../store/endpoints.ts";
import { acceptEvent, type EventRow } from "../store/events.ts";
import { createSubscription } from "../store/subscriptions.ts";
import { checkUrl } from "../url.ts";
import { eventJson, pageJson } from "../views.ts";

/** What an endpoint made for a dynamic event is otherwise like. */
const DYNAMIC_ENDPOINT = {
  owner_id: "",
  name: "dynamic",
  description: "",
  http_timeout_s: MIN_HTTP_TIMEOUT_S,
  advanced_signatures: true,
  rate_limit: 0,
  rate_limit_duration_s: 0,
};

/** What the fault middleware tells the routes. */
export type EventEnv = { Bindings: { swallow?: boolean } };

function customHeaders(json: Body["json"]): Record<string, string[]> {
  const given = member(json, "custom_headers", "object") ?? {};
  const headers: Record<string, string[]> = {};
  for (const [name, value] of Object.entries(given)) {
    // What cannot be a header must not break every attempt later.
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

/** The members that every kind of event needs; refuses with Convoy's words for what is missing (recorded). */
function eventOf({ raw, json }: Body, problems: string[]) {
  const eventType = member(json, "event_type", "string");
  const data = rawMember(raw, "data");
  if (!eventType) problems.push("event_type:please provide an event type");
  if (data === undefined) problems.push("data:please provide your data");
  if (!eventType || data === undefined || problems.length > 0)
    throw new Refusal(400, problems.join(", "));
  return {
    event_type: eventType,
    data,
    idempotency_key: member(json, "idempotency_key", "string") ?? "",
    custom_headers: customHeaders(json),
  };
}

/** Which events a list means; those still waiting or swallowed are in none. */
function filters(context: Context, query: URLSearchParams): Condition[] {
  const endpointIds = query.getAll("endpointId").filter((id) => id !== "");
  const marks = endpointIds.map(() => "?").join(", ");
  const ofEndpoints = `EXISTS (SELECT 1 FROM json_each(endpoints) WHERE value IN (${marks}))`;
  return [
    { sql: "processed = 1 AND swallowed = 0", values: [] },
    ...timeWindow(context, query),
    ...equals("idempotency_key", query.get("idempotencyKey")),
    ...(endpointIds.length === 0 ? [] : [{ sql: ofEndpoints, values: endpointIds }]),
  ];
}

function endpointForUrl(context: Context, url: string, secret: string): string {
  const known = context.db.get<{ uid: string }>(
    "SELECT uid FROM endpoint WHERE url = ? AND deleted_at IS NULL ORDER BY uid",
    url,
  );
  if (known) return known.uid;
  const { uid } = createEndpoint(context, {
    ...DYNAMIC_ENDPOINT,
    url: checkUrl(url),
    secret,
  });
  createSubscription(context, { name: "dynamic", endpoint_id: uid, event_types: ["*"] });
  return uid;
}

/** The part of the API that takes events and lists what became of them. */
export function eventRoutes(context: Context, engine: Engine): Hono<EventEnv> {
  const routes = new Hono<EventEnv>();
  const accept = (event: Parameters<typeof acceptEvent>[1]) => {
    acceptEvent(context, event);
    engine.wake();
  };

  routes.post("/", async (c) => {
    const body = await readBody(c.req.raw);
    const endpointId = member(body.json, "endpoint_id", "string");
    const event = eventOf(body, []);
    if (!endpointId) throw new Refusal(400, "please provide an endpoint ID");
    if (!findEndpoint(context, endpointId)) throw new Refusal(400, "endpoint not found");
    accept({ ...event, kind: "endpoint", target: endpointId, swallowed: c.env?.swallow === true });
    return success(201, "Event queued successfully", null);
  });

  routes.post("/fanout", async (c) => {
    const body = await readBody(c.req.raw);
    const ownerId = member(body.json, "owner_id", "string");
    const event = eventOf(body, ownerId ? [] : ["owner_id:please provide an owner id"]);
    accept({
      ...event,
      kind: "owner",
      target: ownerId ?? "",
      swallowed: c.env?.swallow === true,
    });
    return success(201, "Endpoint fanout event queued successfully", null);
  });

  routes.post("/broadcast", async (c) => {
    const event = eventOf(await readBody(c.req.raw), []);
    accept({ ...event, kind: "broadcast", target: "*", swallowed: c.env?.swallow === true });
    return success(201, "Broadcast event created successfully", null);
  });

  // An endpoint and its subscription are made on the fly where the URL has none yet.
  routes.post("/dynamic", async (c) => {
    const body = await readBody(c.req.raw);
    const url = member(body.json, "url", "string");
    const event = eventOf(body, url ? [] : ["url:please provide an endpoint url"]);
    const target = endpointForUrl(context, url ?? "", member(body.json, "secret", "string") ?? "");
    accept({ ...event, kind: "endpoint", target, swallowed: c.env?.swallow === true });
    return success(201, "Dynamic event created successfully", null);
  });

  // As replay below: says that it worked, and delivers nothing (recorded).
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

  // Convoy's own replay answers 200 and delivers nothing (recorded), and so does this one.
  routes.put("/:id/replay", (c) =>
    successRaw(
      200,
      "Endpoint event replayed successfully",
      eventJson(context, { ...found(c.req.param("id")), acknowledged_at: context.timestamp() }),
    ),
  );

  return routes;
}
