// /subscriptions
import { Hono } from "hono";
import { type Body, member, readBody, strings } from "../body.ts";
import type { Context } from "../context.ts";
import { Refusal, success } from "../envelope.ts";
import { oneOf, page } from "../paging.ts";
import { findEndpoint } from "../store/endpoints.ts";
import {
  createSubscription,
  deleteSubscription,
  requireSubscription,
  type SubscriptionRow,
  updateSubscription,
} from "../store/subscriptions.ts";
import { subscriptionView } from "../views.ts";

/** The event types that a body asks for; without a licence they are checked and ignored (recorded). */
function eventTypesOf({ options }: Context, json: Body["json"]): string[] | undefined {
  const filter = member(json, "filter_config", "object");
  const types = filter && strings(filter, "event_types");
  return options.licensed && types && types.length > 0 ? types : undefined;
}

/** The part of the API that sets which event types an endpoint gets. */
export function subscriptionRoutes(context: Context): Hono {
  const routes = new Hono();
  const view = (row: SubscriptionRow) =>
    subscriptionView(context, row, findEndpoint(context, row.endpoint_id, true));

  routes.post("/", async (c) => {
    const { json } = await readBody(c.req.raw);
    const name = member(json, "name", "string");
    const endpointId = member(json, "endpoint_id", "string");
    const problems = [
      ...(name ? [] : ["name:please provide a valid subscription name"]),
      ...(endpointId ? [] : ["endpoint_id:please provide a valid endpoint id"]),
    ];
    if (!name || !endpointId) throw new Refusal(400, problems.join(", "));
    const row = createSubscription(context, {
      name,
      endpoint_id: endpointId,
      event_types: eventTypesOf(context, json) ?? ["*"],
    });
    return success(
      201,
      "Subscription created successfully",
      subscriptionView(context, row, undefined),
    );
  });

  routes.get("/", (c) => {
    const query = new URL(c.req.url).searchParams;
    const conditions = [
      { sql: "deleted_at IS NULL", values: [] },
      ...oneOf("endpoint_id", query.getAll("endpointId")),
    ];
    const found = page<SubscriptionRow>(context, "subscription", conditions, query);
    return success(200, "Subscriptions fetched successfully", {
      content: found.content.map(view),
      pagination: found.pagination,
    });
  });

  routes.get("/:id", (c) =>
    success(
      200,
      "Subscription fetched successfully",
      view(requireSubscription(context, c.req.param("id"))),
    ),
  );

  routes.put("/:id", async (c) => {
    const { json } = await readBody(c.req.raw);
    const name = member(json, "name", "string");
    const types = eventTypesOf(context, json);
    const row = updateSubscription(context, c.req.param("id"), {
      ...(name ? { name } : {}),
      ...(types ? { event_types: types } : {}),
    });
    return success(202, "Subscription updated successfully", view(row));
  });

  routes.delete("/:id", (c) => {
    deleteSubscription(context, c.req.param("id"));
    return success(200, "Subscription deleted successfully", null);
  });

  return routes;
}
