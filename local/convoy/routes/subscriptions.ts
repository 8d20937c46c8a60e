// /subscriptions
import { Hono } from "hono";
import * as z from "zod/mini";
import { readBody, text, texts } from "../body.ts";
import type { Context } from "../context.ts";
import { Refusal, success } from "../envelope.ts";
import { oneOf, page } from "../paging.ts";
import type { EndpointRow } from "../store/endpoints.ts";
import {
  createSubscription,
  requireSubscription,
  type SubscriptionRow,
} from "../store/subscriptions.ts";
import { subscriptionView } from "../views.ts";

const Fields = z.object({
  name: text,
  endpoint_id: text,
  filter_config: z.nullish(z.object({ event_types: texts })),
});

/** The event types that a body asks for, as JSON; without a licence they are checked and ignored (recorded). */
function eventTypesOf({ options }: Context, { filter_config }: z.infer<typeof Fields>) {
  const types = filter_config?.event_types ?? [];
  return options.licensed && types.length > 0 ? JSON.stringify(types) : undefined;
}

export function subscriptionRoutes(context: Context): Hono {
  const routes = new Hono();
  const view = (row: SubscriptionRow) =>
    subscriptionView(context, row, context.db.find<EndpointRow>("endpoint", row.endpoint_id));

  routes.post("/", async (c) => {
    const { json } = await readBody(c.req.raw, Fields);
    const { name, endpoint_id } = json;
    const problems = [
      ...(name ? [] : ["name:please provide a valid subscription name"]),
      ...(endpoint_id ? [] : ["endpoint_id:please provide a valid endpoint id"]),
    ];
    if (!name || !endpoint_id) throw new Refusal(400, problems.join(", "));
    const event_types = eventTypesOf(context, json) ?? '["*"]';
    const row = createSubscription(context, { name, endpoint_id, event_types });
    const shown = subscriptionView(context, row, undefined);
    return success(201, "Subscription created successfully", shown);
  });

  routes.get("/", (c) => {
    const query = new URL(c.req.url).searchParams;
    const conditions = [
      { sql: "deleted_at IS NULL", values: [] },
      ...oneOf("endpoint_id", query.getAll("endpointId")),
    ];
    const found = page<SubscriptionRow>(context, "subscription", conditions, query);
    const shown = { ...found, content: found.content.map(view) };
    return success(200, "Subscriptions fetched successfully", shown);
  });

  routes.get("/:id", (c) => {
    const row = requireSubscription(context, c.req.param("id"));
    return success(200, "Subscription fetched successfully", view(row));
  });

  // Changes only the given fields.
  routes.put("/:id", async (c) => {
    const { json } = await readBody(c.req.raw, Fields);
    const { uid, name, event_types } = requireSubscription(context, c.req.param("id"));
    context.db.update("subscription", uid, {
      name: json.name || name,
      event_types: eventTypesOf(context, json) ?? event_types,
    });
    const row = requireSubscription(context, uid);
    return success(202, "Subscription updated successfully", view(row));
  });

  routes.delete("/:id", (c) => {
    const { uid } = requireSubscription(context, c.req.param("id"));
    context.db.update("subscription", uid, { deleted_at: context.timestamp() });
    return success(200, "Subscription deleted successfully", null);
  });

  return routes;
}
