// /eventdeliveries: the state of each event at each endpoint, and sending it again.
import { Hono } from "hono";
import * as z from "zod/mini";
import { readBody, texts } from "../body.ts";
import type { Context } from "../context.ts";
import type { Engine } from "../engine.ts";
import { type ApiEnv, Refusal, success, successRaw } from "../envelope.ts";
import { type Condition, equals, oneOf, page, timeWindow } from "../paging.ts";
import { attemptsOf } from "../store/attempts.ts";
import { type DeliveryRow, findDelivery, requireResendable } from "../store/deliveries.ts";
import type { EndpointRow } from "../store/endpoints.ts";
import type { EventRow } from "../store/events.ts";
import { deliveryJson, pageJson } from "../views.ts";

function filters(context: Context, query: URLSearchParams): Condition[] {
  return [
    ...timeWindow(context, query),
    ...oneOf("endpoint_id", query.getAll("endpointId")),
    ...oneOf("status", query.getAll("status")),
    ...equals("event_id", query.get("eventId")),
    ...equals("subscription_id", query.get("subscriptionId")),
    ...equals("event_type", query.get("event_type")),
  ];
}

/** The deliveries of the first event with a key; refuses a key that no event has (both seen). */
function ofKey(context: Context, key: string | null): Condition[] {
  if (!key) return [];
  const event = context.db.get<{ uid: string }>(
    `SELECT uid FROM event WHERE idempotency_key = ? AND processed = 1 AND swallowed = 0
     ORDER BY is_duplicate, created_at, uid LIMIT 1`,
    key,
  );
  if (event === undefined) throw new Refusal(400, "event not found");
  return equals("event_id", event.uid);
}

export function deliveryRoutes(context: Context, engine: Engine): Hono<ApiEnv> {
  const routes = new Hono<ApiEnv>();
  const json = (row: DeliveryRow, inList: boolean): string => {
    const event = context.db.find<EventRow>("event", row.event_id);
    const endpoint = context.db.find<EndpointRow>("endpoint", row.endpoint_id);
    return deliveryJson(context, row, endpoint, event?.created_at ?? row.created_at, inList);
  };

  const found = (uid: string): DeliveryRow => {
    const row = findDelivery(context, uid);
    if (!row) throw new Refusal(404, "event delivery not found");
    return row;
  };

  routes.get("/", (c) => {
    const query = new URL(c.req.url).searchParams;
    const { content, pagination } = page<DeliveryRow>(
      context,
      "delivery",
      [...filters(context, query), ...ofKey(context, query.get("idempotencyKey"))],
      query,
      context.options.version === "26.6" ? "uid" : "created_at, uid",
    );
    const rows = content.map((row) => json(row, true));
    return successRaw(200, "Event deliveries fetched successfully", pageJson(rows, pagination));
  });

  routes.post("/forceresend", async (c) => {
    const { ids } = (await readBody(c.req.raw, z.object({ ids: texts }))).json;
    const rows = (ids ?? []).flatMap((uid) => findDelivery(context, uid) ?? []);
    if (rows.some((row) => row.status !== "Success"))
      throw new Refusal(400, "only successful events can be force resent");
    const sent = rows.filter((row) => engine.requeue(row.uid)).length;
    return success(200, `${sent} successful, ${rows.length - sent} failed`, null);
  });

  routes.get("/:id", (c) => {
    const row = found(c.req.param("id"));
    return successRaw(200, "Event Delivery fetched successfully", json(row, false));
  });

  routes.put("/:id/resend", (c) => {
    const row = found(c.req.param("id"));
    requireResendable(context, row);
    engine.requeue(row.uid);
    const resent = json({ ...row, status: "Scheduled" }, false);
    return successRaw(200, "App event processed for retry successfully", resent);
  });

  routes.get("/:id/deliveryattempts", (c) => {
    const attempts = attemptsOf(context, found(c.req.param("id")).uid);
    const views = `[${attempts.map(({ view }) => view).join(",")}]`;
    return successRaw(200, "Event delivery attempts fetched successfully", views);
  });

  routes.get("/:id/deliveryattempts/:attemptId", (c) => {
    const { id, attemptId } = c.req.param();
    const attempt = attemptsOf(context, id).find(({ uid }) => uid === attemptId);
    if (!attempt) throw new Refusal(404, "delivery attempt not found");
    return successRaw(200, "Event delivery attempt fetched successfully", attempt.view);
  });

  return routes;
}
